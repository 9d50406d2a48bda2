// One look of the monitor: what an audit sees now against what was told before, and what is to be done about it.
//
// Facts relied on: those of monitor.ts. A superblock that another tool mounted is given a record here, while it lives, so that its
// reference is known to be a mount's when it dies. What drops nothing (a region without references, a set without a region)
// waits some seconds: it may be something that a person or a tool without the mutex is about to use.
import type { EventWatch, Native } from "../native-types.ts";
import { audit } from "../region/audit.ts";
import type { Audit, MonitorEvent, ReapAction, RegionAudit, Verdict } from "../region/audit-types.ts";
import { allMounts, type MountSeen } from "../region/liveness.ts";
import { planReap } from "../region/reap.ts";
import { heartbeatThread, newRecord, writeRecord } from "../region/record.ts";
import { MOUNT_SERVICE } from "../stack/cluster-stack.ts";
import type { OnStep } from "../steps.ts";
import type { Alarm } from "./alarm.ts";
import { failureOf, type Failure } from "./failure.ts";
import type { Reaps } from "./reaps.ts";
import { mountsOf, noGrowth, observe, pathTo } from "./references.ts";
import { TrackedRegion } from "./tracked-region.ts";

const SETTLE_MS = 5000;
const SELDOM_MS = 30_000;
const LEFT_ALONE: readonly Verdict[] = ["pinned-without-reference", "unexplained-references", "unknown"];

export interface Looking {
  readonly native: Native;
  readonly signal: AbortSignal;
  readonly onStep: OnStep | undefined;
  /** of every time span; 1 but in tests */
  readonly scale: number;
  readonly events: EventWatch;
  readonly regions: Map<string, TrackedRegion>;
  /** ids of watches that were told to be over before they were known */
  readonly overEarly: ReadonlySet<number>;
  readonly alarm: Alarm;
  /** null for one that only looks */
  readonly reaps: Reaps | null;
  /** whether nothing was looked at before */
  readonly isFirst: boolean;
  tell(event: MonitorEvent): void;
  fail(region: string, failure: Failure): void;
  recovered(region: string): void;
}

export async function lookAtAll(looking: Looking): Promise<void> {
  const mounts = await allMounts(looking.native, looking.signal);
  const seen = await auditAll(looking);
  const noted = new Set<string>();
  for (const region of seen.regions) {
    const tracked = track(looking, region);
    for (const event of tracked.appearance(region)) looking.tell(event);
    if (region.mode === "global") continue;
    if (await lookAtSuperblock(looking, tracked, region, mounts)) noted.add(region.region);
  }
  const actions = new Map(planReap(seen).actions.map((action) => [action.region, action]));
  for (const region of seen.regions) {
    // What was noted just now is in no audit yet; the next one follows at once.
    if (noted.has(region.region)) looking.alarm.ask(Date.now());
    else decide(looking, track(looking, region), region, actions.get(region.region) ?? null);
  }
  forgetAbsent(looking, seen);
}

/** Every region there is, and those that were there: of these a semaphore set may be left, which nothing lists by name. */
async function auditAll(looking: Looking): Promise<Audit> {
  const { native, signal } = looking;
  const seen = await audit(native, { signal });
  const names = new Set(seen.regions.map(({ region }) => region));
  const missing = [...looking.regions.keys()].filter((name) => !names.has(name));
  if (missing.length > 0) {
    const rest = await audit(native, { regions: missing, signal });
    seen.regions.push(...rest.regions.filter(({ verdict }) => verdict !== "absent"));
  }
  const unsure = seen.regions.filter((region) => needsProbe(looking, region)).map(({ region }) => region);
  if (unsure.length > 0) {
    const probed = await audit(native, { regions: unsure, probe: true, signal });
    seen.regions = [...seen.regions.filter(({ region }) => !unsure.includes(region)), ...probed.regions];
  }
  return seen;
}

/**
 * Where debugfs does not tell, only a claim does. It keeps mounts away for a moment, so it is made where a superblock has been
 * seen to die, or where nothing has changed for a while.
 */
function needsProbe({ regions, reaps, scale }: Looking, region: RegionAudit): boolean {
  const tracked = regions.get(region.region);
  if (tracked === undefined || reaps === null || region.mode === "global") return false;
  if (region.superblock.state !== "unknown" || region.lastUser?.holdsMutex === true) {
    tracked.settled("unsure");
    return false;
  }
  const now = Date.now();
  const since = tracked.since("unsure", `${region.references} ${region.pid}`, now);
  return tracked.died || tracked.leaving || now - since >= SELDOM_MS * scale;
}

function track({ regions, isFirst }: Looking, { region }: RegionAudit): TrackedRegion {
  let tracked = regions.get(region);
  if (tracked === undefined) {
    tracked = new TrackedRegion(region, isFirst ? null : noGrowth);
    regions.set(region, tracked);
  }
  return tracked;
}

/** True where a record was written. */
async function lookAtSuperblock(
  looking: Looking,
  tracked: TrackedRegion,
  region: RegionAudit,
  mounts: readonly MountSeen[],
): Promise<boolean> {
  const isAlive = region.superblock.state === "alive";
  const isOver = region.superblock.state === "dead" || (!isAlive && tracked.watch === null);
  if (tracked.died || (tracked.told && isOver)) endSuperblock(looking, tracked);
  const own = isAlive ? mountsOf(region, mounts) : [];
  const isNew = isAlive && !tracked.told;
  if (isAlive && region.directory !== null && tracked.watch === null)
    await watchSuperblock(looking, tracked, region, own);
  if (isAlive && tracked.watch !== null) tracked.leaving = false;
  if (looking.reaps === null || region.references === null) return false;
  const { references, growth } = observe(region, own, tracked.growth, isNew, Date.now());
  if (!isAlive || references === 0) {
    tracked.growth = growth;
    tracked.isUnnoted = false;
    return false;
  }
  // Only of one that is watched: it was alive a moment ago, and its death will be told.
  if (tracked.watch === null) return false;
  tracked.isUnnoted = !(await note(looking, tracked, region, own, references));
  if (!tracked.isUnnoted) tracked.growth = growth;
  return !tracked.isUnnoted;
}

function endSuperblock(looking: Looking, tracked: TrackedRegion): void {
  if (tracked.watch !== null) looking.events.remove(tracked.watch);
  tracked.watch = null;
  tracked.leaving = looking.reaps !== null;
  for (const event of tracked.end()) looking.tell(event);
}

async function watchSuperblock(
  looking: Looking,
  tracked: TrackedRegion,
  region: RegionAudit,
  mounts: readonly MountSeen[],
): Promise<void> {
  const { events, signal } = looking;
  let problem: unknown = null;
  for (const mount of mounts) {
    try {
      const id = await events.addMount(pathTo(mount), mount.entry.device, { signal });
      if (id === null || looking.overEarly.has(id)) continue;
      tracked.watch = id;
      const isTold = tracked.told;
      tracked.told = true;
      const { region: name, disk } = region;
      if (!isTold) looking.tell({ event: "superblock", region: name, disk, directory: mount.directory });
      return;
    } catch (error) {
      if (signal.aborted) throw error;
      problem ??= error;
    }
  }
  if (problem !== null && tracked.isStuck) looking.fail(region.region, failureOf(problem));
}

async function note(
  { native, onStep }: Looking,
  tracked: TrackedRegion,
  region: RegionAudit,
  mounts: readonly MountSeen[],
  references: number,
): Promise<boolean> {
  const [first] = mounts;
  const record = await newRecord(native, {
    region: region.region,
    thread: await heartbeatThread(native, region.pid === null ? null : String(region.pid)),
    service: MOUNT_SERVICE,
    persistent: true,
    device: first?.entry.source ?? null,
    deviceNumber: region.deviceNumber,
    cluster: region.cluster,
    references,
    observed: true,
    directory: first?.directory ?? null,
    namespace: first?.namespace ?? null,
  });
  // It is tried again, but said once.
  return writeRecord(native, record, tracked.isUnnoted ? undefined : onStep);
}

/** What is to be done, or told, or waited for. */
function decide(
  looking: Looking,
  tracked: TrackedRegion,
  region: RegionAudit,
  action: ReapAction | null,
): void {
  const { alarm, reaps, scale } = looking;
  const now = Date.now();
  const { state } = region.superblock;
  const isAlive = state === "alive";
  const isBusy = region.lastUser?.holdsMutex === true;
  const isReaping = reaps?.has(region.region) ?? false;
  if (reaps !== null && action !== null) {
    if (!isReaping && !isBusy) startReap(looking, tracked, region, action, reaps, now);
  } else {
    tracked.settled("leftover");
    tracked.settled("stuck");
    if (state === "dead" && !isReaping && !isBusy) tracked.leaving = false;
    const isUnwatched = isAlive && region.directory !== null && tracked.watch === null;
    if (region.mode === "local" && (isBusy || tracked.leaving || isUnwatched || tracked.isUnnoted))
      alarm.ask(tracked.later(now, scale));
    else if (!isReaping) {
      tracked.decided();
      looking.recovered(region.region);
    }
  }
  tellKept(looking, tracked, region, isBusy, now);
  const isWaiting =
    region.holders.some(({ kind }) => kind === "process") ||
    state === "unknown" ||
    region.references === null ||
    (!isAlive && (region.unexplained > 0 || region.holders.some(({ kind }) => kind === "mount")));
  if (region.mode === "local" && isWaiting) alarm.ask(now + SELDOM_MS * scale);
}

function startReap(
  { alarm, scale, tell }: Looking,
  tracked: TrackedRegion,
  region: RegionAudit,
  action: ReapAction,
  reaps: Reaps,
  now: number,
): void {
  const { drop, stop, removeSet, records } = action;
  const settles =
    tracked.since("leftover", JSON.stringify([drop, stop, removeSet, records]), now) + SETTLE_MS * scale;
  if (drop === 0 && !tracked.leaving && now < settles) return alarm.ask(settles);
  if (now < tracked.waitsUntil) return alarm.ask(tracked.waitsUntil);
  tracked.later(now, scale);
  reaps.start(action, region.references ?? 0, (reason) => {
    if (!tracked.isStuck) return;
    tracked.since("stuck", reason, now);
    if (tracked.tellOnce("stuck"))
      tell({ event: "kept", region: region.region, verdict: region.verdict, reason });
  });
}

function tellKept(
  { alarm, scale, isFirst, tell }: Looking,
  tracked: TrackedRegion,
  { region, verdict, reason, references, unexplained }: RegionAudit,
  isBusy: boolean,
  now: number,
): void {
  if (!LEFT_ALONE.includes(verdict) || isBusy || (tracked.leaving && !tracked.isStuck))
    return tracked.settled("kept");
  const settles = tracked.since("kept", `${verdict} ${references} ${unexplained}`, now) + SETTLE_MS * scale;
  // What is there already when the monitor starts is told at once.
  if (!isFirst && now < settles) alarm.ask(settles);
  else if (tracked.tellOnce("kept")) tell({ event: "kept", region, verdict, reason });
}

function forgetAbsent(looking: Looking, seen: Audit): void {
  const names = new Set(seen.regions.map(({ region }) => region));
  for (const tracked of [...looking.regions.values()]) {
    if (names.has(tracked.name)) continue;
    if (tracked.told || tracked.died) endSuperblock(looking, tracked);
    for (const event of tracked.appearance(null)) looking.tell(event);
    looking.recovered(tracked.name);
    looking.regions.delete(tracked.name);
  }
}
