// Taking the cluster offline on this host: what is provably left over is cleared, what is in use is named, and then it goes.
//
// Facts relied on: group-api 6.9 and commands 4.2 (the init script kills every process that uses dlmfs, and leaves orphans in the way: both
// are not done here), kernel-abi 5 (a domain goes with its directory, once no lock file is in it), 1.7. Nothing of what is in use is touched, unless
// `kill` says so for the programs that use dlmfs: they are ended by kill(1), and their domains removed.
import { isErrno } from "../errors.ts";
import { requireHostNamespaces } from "../namespaces.ts";
import type { Native } from "../native-types.ts";
import { pause } from "../pause.ts";
import { processFacts } from "../process.ts";
import { audit } from "../region/audit.ts";
import { planReap, reap } from "../region/reap.ts";
import { stopHeartbeat } from "./heartbeat.ts";
import { clusterHolders, refuseHolders, type ClusterHolders, type ClusterProcess } from "./holders.ts";
import { requireCluster, unregisterCluster } from "./register.ts";
import { readClusterState } from "./registered.ts";
import { leaveUserStack } from "./use-stack.ts";
import { KernelWrites, type KernelWrite, type WriteOptions } from "./writes.ts";

const KILL = "/bin/kill";
/** How long the kernel may take to close what a killed process had open. */
const PATIENCE_MS = 5000;

export interface OfflineOptions extends WriteOptions {
  /** default: whichever is registered */
  name?: string | null | undefined;
  /** end the processes that have files of dlmfs open; default false */
  kill?: boolean | undefined;
  /** on a dry run: the mounts that are there now would have been unmounted before */
  assumeUnmounted?: boolean | undefined;
}

export interface OfflineResult {
  /** null where none was registered */
  cluster: string | null;
  /** the user stack that was the running one, and is not any more; null where the classic one was */
  stack: string | null;
  /** regions that nobody counted on any more */
  reaped: string[];
  killed: ClusterProcess[];
  /** regions of global heartbeat */
  stopped: string[];
  unregistered: boolean;
  writes: KernelWrite[];
}

/**
 * A cluster that is not registered is success. A user stack has none: its label is put back.
 * Errors: O2CB_REGION_IN_USE with the names of what holds it, O2CB_INVALID_CLUSTER_NAME, O2CB_NAMESPACE, O2CB_TIMEOUT.
 */
export async function offline(native: Native, options: OfflineOptions = {}): Promise<OfflineResult> {
  const writes = KernelWrites.of(native, options);
  return writes.exclusively(async () => {
    const begun = writes.done.length;
    const result: OfflineResult = {
      cluster: null,
      stack: null,
      reaped: [],
      killed: [],
      stopped: [],
      unregistered: false,
      writes: [],
    };
    const { assumeUnmounted } = options;
    result.stack = await leaveUserStack(writes, { operation: "offline", assumeUnmounted });
    const state = await readClusterState(writes.native);
    if (state === null) return { ...result, writes: writes.done.slice(begun) };
    const { name } = state;
    result.cluster = name;
    if (options.name != null) requireCluster(state, options.name, "offline");
    await requireHostNamespaces(writes.native, "offline", writes.signal);
    result.reaped = await clear(writes);
    if (options.kill) result.killed = await endPrograms(writes, await clusterHolders(writes));
    const holders = await clusterHolders(writes);
    refuseHolders(name, writes.dryRun ? afterwards(holders, options, result) : holders, "offline");
    const assumed = { writes, assumeUnmounted: true, assumeStopped: true };
    result.stopped = (await stopHeartbeat(writes.native, name, assumed)).stopped;
    result.unregistered = (await unregisterCluster(writes.native, name, assumed)).removed;
    return { ...result, writes: writes.done.slice(begun) };
  });
}

/** Only what is proven to be nobody's any more; a C tool's reference never. */
async function clear(writes: KernelWrites): Promise<string[]> {
  const { native, signal, onStep } = writes;
  const plan = planReap(await audit(native, { probe: true, signal }));
  const stopping = plan.actions.filter(({ stop }) => stop).map(({ region }) => region);
  if (plan.actions.length === 0) return [];
  if (writes.dryRun) {
    for (const region of stopping)
      writes.skip(`region ${region}`, "nobody counts on it: it would be stopped first");
    return stopping;
  }
  const { done, skipped } = await reap(native, plan, { signal, onStep });
  for (const { region, reason } of skipped) writes.skip(`clearing region ${region}`, reason);
  return done.filter(({ stop }) => stop).map(({ region }) => region);
}

async function endPrograms(
  writes: KernelWrites,
  { processes, domains }: ClusterHolders,
): Promise<ClusterProcess[]> {
  const { native, signal } = writes;
  const self = await processFacts(native, "self").catch(() => null);
  const ended = processes.filter(({ pid }) => pid !== self?.pid);
  for (const { pid } of ended) await native.runProgram(KILL, ["-9", String(pid)], { signal });
  for (const { directory } of domains) if (directory !== null) await removeDomain(writes, directory);
  return ended;
}

/** The directory with its lock files. What is busy is tried for a while: a process that was killed closes its files when it can. */
async function removeDomain(writes: KernelWrites, directory: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 2, 500)) {
    try {
      for (const lock of await writes.native.listFiles(directory).catch((): string[] => []))
        await writes.native.removeFile(`${directory}/${lock}`);
      await writes.removeDirectory(directory);
      return;
    } catch (error) {
      if (!isErrno(error, "EBUSY", "ENOTEMPTY") || performance.now() >= end) throw error;
    }
    await pause(pauseMs);
  }
}

/** What a dry run would find once what it has listed were done. */
function afterwards(
  holders: ClusterHolders,
  { kill = false, assumeUnmounted = false }: OfflineOptions,
  { reaped }: OfflineResult,
): ClusterHolders {
  const unmounted = new Set(assumeUnmounted ? holders.mounts.map(({ entry }) => numberOf(entry.device)) : []);
  const isLeft = ({ region, deviceNumber }: { region: string; deviceNumber: string | null }): boolean =>
    !reaped.includes(region) && !(deviceNumber !== null && unmounted.has(deviceNumber));
  return {
    mounts: assumeUnmounted ? [] : holders.mounts,
    processes: kill ? [] : holders.processes,
    domains: holders.domains.filter(({ directory }) => (directory === null ? !assumeUnmounted : !kill)),
    regions: holders.regions.filter(isLeft),
  };
}

function numberOf({ major, minor }: { major: number; minor: number }): string {
  return `${major}:${minor}`;
}
