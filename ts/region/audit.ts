// What is held on this node, by whom, and what is left over: from the kernel's own state, compared with our notes.
//
// Facts relied on: group-api 3.7 (the states of a region), kernel-abi 1.6 (its attributes), commands 2.4 (how each leftover comes
// about). Strictly read-only: it makes no semaphore set, opens no device, needs no cluster.conf and no running cluster; what it may not
// read is a note, not an error. Nothing is locked, so what it says is of a moment; a reap looks again.
import { readHint } from "../attributes.ts";
import { DLMFS_TYPE } from "../dlm/dlmfs.ts";
import { errnoName, isCode, O2cbError } from "../errors.ts";
import { requireHostNamespaces } from "../namespaces.ts";
import type { Native, SemaphoreFacts } from "../native-types.ts";
import { bootId, processFacts, type ProcessFacts } from "../process.ts";
import type { HeartbeatMode } from "../steps.ts";
import { isRegionName } from "../volume.ts";
import { account, type Account } from "./accounting.ts";
import type { Audit, Liveness, RegionAudit } from "./audit-types.ts";
import { isOurProgram, leavingProgram } from "./hb-ctl-path.ts";
import {
  allMounts,
  isPinned,
  judgeLiveness,
  pinsRegions,
  proveDeath,
  type MountSeen,
  type Subject,
} from "./liveness.ts";
import {
  heartbeatThread,
  readRecords,
  RECORD_DIRECTORY,
  type JoinRecord,
  type RecordsRead,
} from "./record.ts";
import {
  deviceNumberOf,
  registeredCluster,
  startedRegions,
  type RegisteredCluster,
  type StartedRegion,
} from "./regions.ts";
import { liveNodes } from "./live-nodes.ts";
import { sameDevice } from "./superblock.ts";
import { judgeVerdict } from "./verdict.ts";
import { volumesOnceLocked } from "./volume-lock.ts";

const DEBUG = "/sys/kernel/debug";
const STACK_FILE = "/sys/fs/ocfs2/cluster_stack";
const IPC_LINK = "/proc/self/ns/ipc";

export interface AuditOptions {
  /** only these; default all that exist or are recorded */
  regions?: readonly string[] | undefined;
  /** claim the device for a moment where nothing else tells whether its superblock is alive; default false: nothing is opened */
  probe?: boolean | undefined;
  /** the caller holds the regions' mutexes and has proven their superblocks to be gone, where nothing here says otherwise */
  held?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** Errors: O2CB_ABORTED, and what makes /proc or configfs unreadable. */
export async function audit(native: Native, options: AuditOptions = {}): Promise<Audit> {
  if (options.signal?.aborted)
    throw new O2cbError("O2CB_ABORTED", "the audit was given up", {
      operation: "audit",
      cause: options.signal.reason,
    });
  // First of all: a note is written once its region is there, so one whose region is not found now is over.
  const read = await readRecords(native);
  const [boot, stack, cluster, hbCtlPath, started, mounts, domains, foreign] = await Promise.all([
    bootId(native),
    readHint(native, STACK_FILE),
    registeredCluster(native),
    leavingProgram(native),
    startedRegions(native),
    allMounts(native, options.signal),
    programDomains(native),
    foreignNamespace(native),
  ]);
  const notes =
    read.problem === null ? [] : [`${read.problem}: joins of this package cannot be accounted for`];
  if (foreign !== null) notes.push(foreign.message);
  const known = new Set([...started.map(({ name }) => name), ...read.records.map(({ region }) => region)]);
  const names = options.regions ?? [...known, ...(await setsAlone(native, known))];
  const processes = await recordedProcesses(native, read.records);
  const { probe = false, held = false } = options;
  const othersLeave = hbCtlPath !== null && !(await isOurProgram(native, hbCtlPath));
  const look: Look = {
    native,
    started,
    read,
    mounts,
    domains,
    countsElsewhere: foreign?.path === IPC_LINK,
    processes,
    notes,
    cluster,
    probe,
    held,
    othersLeave,
    bootId: boot,
  };
  const regions = await Promise.all(
    names.toSorted().map((name) => auditRegion(look, name, cluster?.mode ?? "local")),
  );
  return {
    time: new Date().toISOString(),
    bootId: boot,
    stack: stack?.trim() || null,
    cluster: cluster?.name ?? null,
    mode: cluster?.mode ?? null,
    hbCtlPath,
    regions,
    damagedRecords: read.damaged,
    notes: [...new Set(notes)],
  };
}

/**
 * Volumes of which a semaphore set alone is left, as of a command that was killed at its very end. A set's key does not tell its region
 * (it is a checksum of the name), so those are looked for that have been mounted here.
 */
async function setsAlone(native: Native, known: ReadonlySet<string>): Promise<string[]> {
  const others = (await volumesOnceLocked(native)).filter((region) => !known.has(region));
  const sets = await Promise.all(others.map((region) => native.regionSemaphores(region).catch(() => null)));
  return others.filter((_region, index) => sets[index] !== null);
}

interface Look {
  native: Native;
  started: readonly StartedRegion[];
  read: RecordsRead;
  mounts: readonly MountSeen[];
  /** in an IPC namespace of its own: the host's counts are not seen from here */
  countsElsewhere: boolean;
  domains: ReadonlyMap<string, string[]>;
  processes: ReadonlyMap<number, ProcessFacts>;
  notes: string[];
  cluster: RegisteredCluster | null;
  probe: boolean;
  held: boolean;
  othersLeave: boolean;
  bootId: string | null;
}

async function auditRegion(look: Look, name: string, mode: HeartbeatMode): Promise<RegionAudit> {
  const { native, notes } = look;
  const region = look.started.find((one) => one.name === name) ?? null;
  const attribute = async (file: string): Promise<string | null> =>
    region === null ? null : ((await readHint(native, `${region.directory}/${file}`))?.trim() ?? null);
  const [blockBytes, startBlock, blocks, pid, pinned, elapsed, live, semaphores] = await Promise.all([
    attribute("block_bytes"),
    attribute("start_block"),
    attribute("blocks"),
    attribute("pid"),
    isPinned(native, name),
    readHint(native, `${DEBUG}/o2hb/${name}/elapsed_time_in_ms`),
    liveNodes(native, name),
    look.countsElsewhere ? ("unreadable" as const) : readSemaphores(native, name, notes),
  ]);
  const disk = region?.dev || null;
  const records = look.read.records.filter((record) => record.region === name);
  const unreadable = look.read.damaged.filter(({ source }) =>
    source.startsWith(`${RECORD_DIRECTORY}/${name}.`),
  );
  const device =
    disk === null ? recordedDevice(records) : await deviceNumberOf(native, disk).catch(() => null);
  const liveness = await livenessOf(look, { region: name, disk, device });
  const mounts = look.mounts
    .filter(({ entry }) => sameDevice(entry.device, device))
    .map(({ directory, namespace }) => ({ directory, namespace: namespace ?? "self" }));
  const thread = await heartbeatThread(native, pid);
  const references = semaphores === "unreadable" ? null : (semaphores?.references ?? 0);
  const accounted = account({
    references: references ?? 0,
    superblock: liveness.state,
    mountedOn: mounts[0]?.directory ?? null,
    thread: region === null ? "none" : thread,
    records,
    hasUnreadable: unreadable.length > 0,
    othersLeave: look.othersLeave,
    bootId: look.bootId,
    isRunning: ({ pid: number, startTime }) =>
      number !== null && look.processes.get(number)?.startTime === startTime,
    now: Date.now(),
  });
  const facts: Omit<RegionAudit, "verdict" | "reason"> = {
    region: name,
    cluster: region === null ? null : (look.cluster?.name ?? null),
    mode,
    directory: region?.directory ?? null,
    disk,
    deviceNumber: device === null ? null : `${device.major}:${device.minor}`,
    blockBytes: wholeOrNull(blockBytes),
    startBlock: startBlock ?? null,
    blocks: wholeOrNull(blocks),
    pid: wholeOrNull(pid),
    pinned,
    elapsedMs: wholeOrNull(elapsed?.trim() ?? null),
    liveNodes: live,
    references,
    hasSet: semaphores !== null && semaphores !== "unreadable",
    lastUser: look.held ? null : await lastUser(native, semaphores),
    superblock: { ...liveness, mounts },
    domains: look.domains.get(name) ?? [],
    ...visible(accounted, references),
  };
  return { ...facts, ...judgeVerdict(facts) };
}

async function livenessOf(look: Look, subject: Subject): Promise<Liveness> {
  const judged = await judgeLiveness(look.native, subject, look.mounts);
  if (judged.state !== "unknown") return judged;
  if (look.held) return { ...judged, state: "dead" };
  if (!look.probe || look.cluster === null) return judged;
  const canPin = await pinsRegions(look.native, look.cluster.heartbeatDirectory);
  const { claim, ...proven } = await proveDeath(look.native, subject, { patienceMs: 0, canPin });
  claim?.release();
  return proven;
}

/** With a count that may not be read, nothing can be said about what is over. */
function visible(accounted: Account, references: number | null): Account {
  return references === null ? { ...accounted, stale: 0, unexplained: 0, staleRecords: [] } : accounted;
}

/** Why what is seen here is not the host's; null where it is. */
async function foreignNamespace(native: Native): Promise<O2cbError | null> {
  try {
    await requireHostNamespaces(native, "audit");
    return null;
  } catch (error) {
    if (isCode(error, "O2CB_NAMESPACE")) return error as O2cbError;
    throw error;
  }
}

async function readSemaphores(
  native: Native,
  name: string,
  notes: string[],
): Promise<SemaphoreFacts | null | "unreadable"> {
  if (!isRegionName(name)) return null;
  try {
    return await native.regionSemaphores(name);
  } catch (error) {
    notes.push(
      `the references of regions cannot be read (${errnoName(error) ?? (error as Error).message}): run this as root`,
    );
    return "unreadable";
  }
}

async function lastUser(
  native: Native,
  semaphores: SemaphoreFacts | null | "unreadable",
): Promise<RegionAudit["lastUser"]> {
  if (semaphores === null || semaphores === "unreadable" || semaphores.lastPid === null) return null;
  const facts = await processFacts(native, semaphores.lastPid);
  return facts === null ? null : { pid: facts.pid, name: facts.name, holdsMutex: semaphores.mutexHeld };
}

/** The device that a region without a heartbeat was meant for, as far as a note says it. */
function recordedDevice(records: readonly JoinRecord[]): { major: number; minor: number } | null {
  const text = records.find(({ deviceNumber }) => deviceNumber !== null)?.deviceNumber ?? null;
  const [major, minor] = (text ?? "").split(":").map(Number);
  return text === null || major === undefined || minor === undefined ? null : { major, minor };
}

async function recordedProcesses(
  native: Native,
  records: readonly JoinRecord[],
): Promise<Map<number, ProcessFacts>> {
  const pids = [...new Set(records.flatMap(({ pid }) => (pid === null ? [] : [pid])))];
  const facts = await Promise.all(pids.map((pid) => processFacts(native, pid)));
  return new Map(facts.flatMap((one): [number, ProcessFacts][] => (one === null ? [] : [[one.pid, one]])));
}

/** DLM domains made through dlmfs, by name: the directories in which they are. A mount's domain is never there. */
async function programDomains(native: Native): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  const mounts = await native.mounts(null).catch(() => []);
  for (const { target } of mounts.filter(({ type }) => type === DLMFS_TYPE)) {
    for (const name of await native.listDirectories(target).catch(() => []))
      found.set(name, [...(found.get(name) ?? []), `${target}/${name}`]);
  }
  return found;
}

function wholeOrNull(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
