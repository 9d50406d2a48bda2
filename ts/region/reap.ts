// Dropping what an audit found to be left over, and nothing else.
//
// Facts relied on: a plan is made from a moment's look, so each region is looked at again under the volume's lock (no mount of ours is
// under way), with the device claimed (no mount at all can begin, and the last superblock is completely gone, the kernel's call-out
// included) and with the region's mutex held (no tool joins or leaves). What is planned then must be what was planned before. Where
// the device is gone, the kernel's refusal to remove a pinned region is the last guard (liveness.ts).
// A DLM domain that a killed program left pins its region: it is left first, which the kernel refuses while anybody on this node holds a lock in it.
//
// References that nothing accounts for belong to C tools: only force drops them, and never from a volume that is mounted.
import { exists } from "../attributes.ts";
import { clearDomain } from "../dlm/dlmfs.ts";
import { isCode, O2cbError } from "../errors.ts";
import { requireHostNamespaces } from "../namespaces.ts";
import type { Held, Native, RegionLock } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import { isRegionName } from "../volume.ts";
import { audit } from "./audit.ts";
import type { Audit, ReapAction, ReapPlan, ReapResult, RegionAudit } from "./audit-types.ts";
import { isByPinAlone, pinsRegions, proveDeath } from "./liveness.ts";
import { withRegionLock } from "./lock.ts";
import { forgetRecord, sweepHalfWritten } from "./record.ts";

import { deviceNumberOf, registeredCluster } from "./regions.ts";
import { destroySet, dropReferences } from "./stop-region.ts";
import { lockVolume } from "./volume-lock.ts";

export interface ReapChoice {
  /** drop references that nothing accounts for as well */
  force?: boolean | undefined;
  /** only these */
  regions?: readonly string[] | undefined;
}

/** What a reap would do about what an audit saw. */
export function planReap(seen: Audit, choice: ReapChoice = {}): ReapPlan {
  const plan: ReapPlan = { time: seen.time, actions: [], kept: [] };
  for (const region of seen.regions) {
    if (choice.regions !== undefined && !choice.regions.includes(region.region)) continue;
    const action = planRegion(region, choice.force ?? false);
    if (action !== null) plan.actions.push(action);
    else if (region.verdict !== "absent")
      plan.kept.push({ region: region.region, verdict: region.verdict, reason: region.reason });
  }
  return plan;
}

function planRegion(seen: RegionAudit, force: boolean): ReapAction | null {
  const nothing = {
    region: seen.region,
    drop: 0,
    forced: 0,
    stop: false,
    removeSet: false,
    domains: [],
    records: seen.staleRecords,
  };
  const onlyRecords =
    seen.staleRecords.length === 0
      ? null
      : { ...nothing, reason: `only notes of joins that are over: ${seen.reason}` };
  const isJoining = seen.holders.some(({ kind, references }) => kind === "process" && references === 0);
  const isBusy = seen.lastUser?.holdsMutex === true || isJoining || !isRegionName(seen.region);
  if (isBusy || seen.references === null || seen.mode === "global") return null;
  if (seen.superblock.state === "alive") return onlyRecords;
  // What does not beat and is not counted harms nobody by its end, whatever lives.
  const isIdle = seen.disk === null && seen.references === 0;
  if (seen.superblock.state === "unknown" && !isIdle) return onlyRecords;
  const forced = force ? seen.unexplained : 0;
  const drop = seen.stale;
  const left = seen.references - drop - forced;
  // A program joins its domain with a reference, so a domain without any is what a killed one left; whether it is, shows when it is left.
  const domains = left === 0 && seen.directory !== null ? seen.domains : [];
  const relies = domains.length === 0 && (seen.domains.length > 0 || seen.pinned === true);
  const stop = left === 0 && seen.directory !== null && !relies;
  const removeSet = left === 0 && seen.hasSet && (stop || seen.directory === null);
  // A domain of a program's keeps the region: the last reference stays with it, and the note that explains it.
  if (relies && left === 0) return drop > 0 ? null : onlyRecords;
  if (drop + forced === 0 && !stop && !removeSet) return onlyRecords;
  return { ...nothing, drop, forced, stop, removeSet, domains, reason: seen.reason };
}

export interface ReapOptions {
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
  /** how long to wait for the claim of a superblock that is on its way out; default 1000 */
  patienceMs?: number | undefined;
  /** how long to wait for a region's mutex; default 10 s: a plan is of the moment */
  lockLimitMs?: number | undefined;
}

/**
 * Carries a plan out, region by region, all at once. What cannot be done is said in `skipped`; nothing is half done.
 * Errors: O2CB_NAMESPACE (regions are global, references and processes are not: here the host's cannot be seen), O2CB_ABORTED.
 */
export async function reap(native: Native, plan: ReapPlan, options: ReapOptions = {}): Promise<ReapResult> {
  const result: ReapResult = { done: [], skipped: [], kept: plan.kept };
  if (plan.actions.length > 0) await requireHostNamespaces(native, "reap", options.signal);
  await Promise.all(
    plan.actions.map(async (action) => {
      try {
        const reason = await reapRegion(native, action, options);
        if (reason === null) result.done.push(action);
        else result.skipped.push({ region: action.region, reason, code: null });
      } catch (error) {
        if (isCode(error, "O2CB_ABORTED") && options.signal?.aborted) throw error;
        const code = error instanceof O2cbError ? error.code : null;
        result.skipped.push({ region: action.region, reason: (error as Error).message, code });
      }
    }),
  );
  await sweepHalfWritten(native);
  const order = (one: { region: string }, other: { region: string }): number =>
    one.region < other.region ? -1 : 1;
  result.done.sort(order);
  result.skipped.sort(order);
  return result;
}

/** Null when done, else why not. */
async function reapRegion(native: Native, action: ReapAction, options: ReapOptions): Promise<string | null> {
  const { region, drop, forced, stop, removeSet } = action;
  const isOnlyNotes = drop + forced === 0 && !stop && !removeSet;
  if (isOnlyNotes) {
    const now = await lookAgain(native, region, { probe: true });
    const known = new Set(planRegion(now, false)?.records);
    const over = action.records.filter((id) => known.has(id));
    for (const id of over) await forgetRecord(native, id, options.onStep);
    return over.length > 0 ? null : changed(now);
  }
  const volumeLock = await lockVolume(native, region, options);
  let claim: Held | null = null;
  try {
    const before = await lookAgain(native, region, { probe: true });
    if (before.verdict === "absent") return changed(before);
    const cluster = await registeredCluster(native);
    const canPin = cluster !== null && (await pinsRegions(native, cluster.heartbeatDirectory));
    // Where the number cannot be read this throws: a disk that is there must not be taken for one that is gone.
    const device =
      before.disk === null ? numberOf(before.deviceNumber) : await deviceNumberOf(native, before.disk);
    const subject = { region, disk: before.disk, device };
    const death = await proveDeath(native, subject, {
      patienceMs: options.patienceMs ?? 1000,
      canPin,
      signal: options.signal,
    });
    claim = death.claim;
    const isProven = death.state === "dead";
    if (!isProven && before.disk !== null)
      return `its superblock is not proven to be gone: ${death.evidence.at(-1)?.says}`;
    if (isByPinAlone(death) && before.disk !== null && !stop)
      return "its superblock is not proven to be gone: the device is, and only the region's removal would tell";
    const lockOptions = {
      signal: options.signal,
      onStep: options.onStep,
      limitMs: options.lockLimitMs ?? 10_000,
    };
    return await withRegionLock(native, region, true, lockOptions, async (lock) => {
      const tidy = async (): Promise<void> => {
        // The lock may have made the set: whoever left meanwhile, the kernel's program say, had removed it with the region.
        const hasRegion =
          cluster !== null && (await exists(native, `${cluster.heartbeatDirectory}/${region}`));
        if (!hasRegion && lock.references() === 0) destroySet(lock, options.onStep);
      };
      try {
        const reason = await dropPlanned(native, action, isProven, lock, options);
        if (reason !== null) await tidy();
        return reason;
      } catch (error) {
        try {
          await tidy();
        } catch {
          // It is gone already, or cannot be looked at: the first failure is the one to tell.
        }
        throw error;
      }
    });
  } finally {
    claim?.release();
    volumeLock.release();
  }
}

async function dropPlanned(
  native: Native,
  action: ReapAction,
  isProven: boolean,
  lock: RegionLock,
  { onStep }: ReapOptions,
): Promise<string | null> {
  const now = await lookAgain(native, action.region, { held: true });
  // The lock has just made a set where there was none.
  const again = planRegion({ ...now, hasSet: action.removeSet }, action.forced > 0);
  if (again === null || !isSame(again, action) || (!isProven && now.disk !== null)) return changed(now);
  emit(onStep, { step: "reap", region: action.region, reason: action.reason });
  for (const domain of again.domains)
    if (!(await clearDomain(native, domain)))
      return `a program on this node holds a lock in its DLM domain '${domain}'`;
  const which = { count: action.drop + action.forced, undo: false };
  if (now.directory !== null) await dropReferences(native, now.directory, lock, which, onStep);
  else {
    for (let left = which.count; left > 0; left -= 1) lock.drop(false);
    if (lock.references() === 0) destroySet(lock, onStep);
  }
  for (const id of again.records) await forgetRecord(native, id, onStep);
  return null;
}

function changed({ reason }: RegionAudit): string {
  return `its state has changed since it was looked at: ${reason}`;
}

async function lookAgain(
  native: Native,
  region: string,
  how: { probe?: boolean; held?: boolean },
): Promise<RegionAudit> {
  const { regions } = await audit(native, { regions: [region], ...how });
  const [one] = regions;
  if (one === undefined)
    throw new O2cbError("O2CB_UNKNOWN_REGION", `the region '${region}' could not be looked at`, {
      operation: "reap",
      region,
    });
  return one;
}

function isSame(one: ReapAction, other: ReapAction): boolean {
  const domains = (action: ReapAction): string => action.domains.join(" ");
  return (
    one.drop === other.drop &&
    one.forced === other.forced &&
    one.stop === other.stop &&
    domains(one) === domains(other)
  );
}

function numberOf(text: string | null): { major: number; minor: number } | null {
  const [major, minor] = (text ?? "").split(":").map(Number);
  return major === undefined || minor === undefined || text === null ? null : { major, minor };
}
