// Global heartbeat: the regions of the configuration started on the devices that carry them, and stopped again.
//
// Facts relied on: group-api 3.3 and 4.6 (a started region has one persistent reference; one that is there already gets no further one; what
// is in configfs and not in the configuration is stopped afterwards), K11 (mounts take no references of these), kernel-abi 1.7 (up to 3
// quorum regions are pinned while a domain lives; of 4 or more the kernel lets any go, so mounts are looked at here) and 1.8.
//
// Unlike the C tool: any block device is looked at, all start side by side, and a failure stops only what this call has started. With local
// heartbeat mounts start their own regions: nothing is to be done, and that is said.
import { O2cbError } from "../errors.ts";
import { requireHostNamespaces } from "../namespaces.ts";
import type { Native } from "../native-types.ts";
import { withRegionLock } from "../region/lock.ts";
import { ensureRegion } from "../region/region.ts";
import { dropReferences } from "../region/stop-region.ts";
import { localNode, type LocalNode, type RunningCluster } from "../stack/cluster.ts";
import type { HeartbeatMode } from "../steps.ts";
import { heartbeatGeometry, regionName, type Volume } from "../volume.ts";
import { findVolumes } from "./heartbeat-devices.ts";
import { clusterHolders, refuseHolders } from "./holders.ts";
import type { WantedCluster } from "./nodes.ts";
import { clusterPlace } from "./place.ts";
import { requireCluster } from "./register.ts";
import { readClusterState, type ClusterState } from "./registered.ts";
import { KernelWrites, type KernelWrite, type WriteOptions } from "./writes.ts";

export interface HeartbeatOptions extends WriteOptions {
  /** pauses before a further look for devices that are not there; default 1, 3 and 5 s */
  rescanMs?: readonly number[] | undefined;
  /** false on a dry run where the cluster would be registered first; default true */
  isRegistered?: boolean | undefined;
}

export interface StartHeartbeatResult {
  cluster: string;
  mode: HeartbeatMode;
  /** started by this call, with their devices */
  started: { region: string; device: string }[];
  /** were running already */
  running: string[];
  /** not in the configuration, and stopped */
  stopped: string[];
  /** not in the configuration, and still there, each with the reason */
  kept: { region: string; reason: string }[];
  writes: KernelWrite[];
}

/**
 * Starts every region of the configuration.
 * Errors: O2CB_SERVICE_UNAVAILABLE (not registered), O2CB_INVALID_CLUSTER_NAME, O2CB_INVALID_HEARTBEAT_MODE, O2CB_CONFIGURATION_ERROR (no
 * region is configured, or no UUID), O2CB_UNKNOWN_REGION (no device), those of ensureRegion.
 */
export async function startHeartbeat(
  native: Native,
  cluster: WantedCluster,
  options: HeartbeatOptions = {},
): Promise<StartHeartbeatResult> {
  const writes = KernelWrites.of(native, options);
  const base = { cluster: cluster.name, mode: cluster.mode, started: [], running: [], stopped: [], kept: [] };
  if (cluster.mode === "local") {
    writes.skip("the start of heartbeats", "with local heartbeat each mount starts its own");
    return { ...base, writes: [] };
  }
  const regions = regionsOf(cluster);
  return writes.exclusively(async () => {
    await requireHostNamespaces(writes.native, "start-heartbeat", writes.signal);
    const configfs = await clusterPlace(writes, options.isRegistered);
    const begun = writes.done.length;
    const state = await readClusterState(writes.native);
    const running: RunningCluster = {
      name: cluster.name,
      mode: "global",
      heartbeatDirectory: `${configfs}/cluster/${cluster.name}/heartbeat`,
    };
    if (options.isRegistered !== false || !writes.dryRun) requireGlobal(state, cluster.name);
    const found = await findVolumes(writes.native, cluster.name, regions, state, writes, options.rescanMs);
    const result: StartHeartbeatResult = { ...base, writes: [] };
    if (writes.dryRun) await planStarts(writes, running, found, state, result);
    else {
      const node = await localNode(writes.native, configfs, cluster.name, writes.signal);
      await startAll(writes, running, node, found, result);
    }
    await stopOthers(writes, running, regions, state, result);
    return { ...result, writes: writes.done.slice(begun) };
  });
}

/** The names of the regions of a configuration. Errors: O2CB_CONFIGURATION_ERROR, O2CB_INVALID_REGION_NAME. */
function regionsOf({ name, heartbeats = [] }: WantedCluster): string[] {
  const regions = heartbeats.map((one) => regionName(typeof one === "string" ? one : one.region));
  if (regions.length > 0) return [...new Set(regions)];
  throw new O2cbError(
    "O2CB_CONFIGURATION_ERROR",
    `cluster '${name}' runs global heartbeat, but no heartbeat region is configured`,
    { operation: "start-heartbeat", cluster: name, remedy: `add one: o2cb add-heartbeat ${name} DEVICE` },
  );
}

function requireGlobal(state: ClusterState | null, name: string): void {
  const fields = {
    operation: "start-heartbeat",
    cluster: name,
    remedy: `register it: o2cb register-cluster ${name}`,
  };
  if (state === null)
    throw new O2cbError(
      "O2CB_SERVICE_UNAVAILABLE",
      `cluster '${name}' is not registered on this node`,
      fields,
    );
  requireCluster(state, name, "start-heartbeat");
  if (state.mode === "global") return;
  throw new O2cbError(
    "O2CB_INVALID_HEARTBEAT_MODE",
    `cluster '${name}' is configured for global heartbeat, but registered with local heartbeat`,
    { ...fields, path: `${state.directory}/heartbeat/mode` },
  );
}

async function startAll(
  writes: KernelWrites,
  cluster: RunningCluster,
  node: LocalNode,
  volumes: readonly Volume[],
  result: StartHeartbeatResult,
): Promise<void> {
  const { native, signal, onStep } = writes;
  const attempts = await Promise.allSettled(
    volumes.map((volume) =>
      withRegionLock(native, volume.uuid, true, { signal, onStep }, async (lock) => {
        const origin = await ensureRegion({ native, cluster, volume, signal, onStep }, node, lock);
        // Before anything else can fail: what is in this list is stopped then.
        if (origin === "created") result.started.push({ region: volume.uuid, device: volume.device });
        else result.running.push(volume.uuid);
        // Also where a start was killed before it: the C tools expect one.
        if (lock.references() === 0) lock.take(false);
      }),
    ),
  );
  const failed = attempts.find((attempt) => attempt.status === "rejected");
  if (failed === undefined) return;
  const error: unknown = failed.reason;
  for (const { region } of result.started) {
    try {
      await stopRegion(writes, cluster, region);
    } catch (rollbackError) {
      if (error instanceof O2cbError) error.rollbackError ??= rollbackError;
    }
  }
  throw error;
}

/** What a start would write. */
async function planStarts(
  { native }: KernelWrites,
  cluster: RunningCluster,
  volumes: readonly Volume[],
  state: ClusterState | null,
  result: StartHeartbeatResult,
): Promise<void> {
  for (const volume of volumes) {
    const isRunning = state?.regions.some(({ name, disk }) => name === volume.uuid && disk !== null);
    if (isRunning) {
      result.running.push(volume.uuid);
      continue;
    }
    const directory = `${cluster.heartbeatDirectory}/${volume.uuid}`;
    const geometry = heartbeatGeometry(volume);
    await native.makeDirectory(directory);
    await native.writeAttribute(`${directory}/block_bytes`, String(geometry.blockBytes));
    await native.writeAttribute(`${directory}/start_block`, String(geometry.startBlock));
    await native.writeAttribute(`${directory}/blocks`, String(geometry.blocks));
    await native.startHeartbeat(directory, volume.device);
    result.started.push({ region: volume.uuid, device: volume.device });
  }
}

/** Peers refuse a node whose regions are others than theirs: what is not configured any more goes, where the kernel lets it. */
async function stopOthers(
  writes: KernelWrites,
  cluster: RunningCluster,
  regions: readonly string[],
  state: ClusterState | null,
  result: StartHeartbeatResult,
): Promise<void> {
  for (const { name } of state?.regions ?? []) {
    if (regions.includes(name)) continue;
    try {
      await stopRegion(writes, cluster, name);
      result.stopped.push(name);
    } catch (error) {
      const reason = (error as Error).message;
      writes.warn(
        "O2CB_REGION_IN_USE",
        `region ${name} is not in the configuration and cannot be stopped: ${reason}`,
      );
      result.kept.push({ region: name, reason });
    }
  }
}

/** All references go: of a global region they say who started it, not who uses it. Errors: O2CB_REGION_IN_USE. */
async function stopRegion(writes: KernelWrites, cluster: RunningCluster, region: string): Promise<void> {
  const { native, signal, onStep } = writes;
  const directory = `${cluster.heartbeatDirectory}/${region}`;
  if (writes.dryRun) return native.removeDirectory(directory);
  await withRegionLock(native, region, true, { signal, onStep }, (lock) =>
    dropReferences(native, directory, lock, { count: lock.references(), undo: false }, onStep),
  );
}

export interface StopHeartbeatResult {
  cluster: string;
  mode: HeartbeatMode | null;
  stopped: string[];
  writes: KernelWrite[];
}

/**
 * Stops every global region of the cluster; none is success.
 * Errors: O2CB_REGION_IN_USE with what uses them, O2CB_INVALID_CLUSTER_NAME.
 */
export async function stopHeartbeat(
  native: Native,
  cluster: string,
  options: WriteOptions & {
    /** on a dry run: the mounts that are there now would have been unmounted before */
    assumeUnmounted?: boolean | undefined;
  } = {},
): Promise<StopHeartbeatResult> {
  const writes = KernelWrites.of(native, options);
  return writes.exclusively(async () => {
    const begun = writes.done.length;
    const state = await readClusterState(writes.native);
    const result: StopHeartbeatResult = { cluster, mode: state?.mode ?? null, stopped: [], writes: [] };
    if (state === null) return result;
    requireCluster(state, cluster, "stop-heartbeat");
    if (state.mode === "local") {
      writes.skip("the stop of heartbeats", "with local heartbeat each unmount stops its own");
      return result;
    }
    if (state.regions.length === 0) return result;
    await requireHostNamespaces(writes.native, "stop-heartbeat", writes.signal);
    if (!(writes.dryRun && options.assumeUnmounted))
      refuseHolders(cluster, await clusterHolders(writes), "stop-heartbeat");
    const running = { name: cluster, mode: state.mode, heartbeatDirectory: `${state.directory}/heartbeat` };
    const attempts = await Promise.allSettled(
      state.regions.map(async ({ name }) => {
        await stopRegion(writes, running, name);
        result.stopped.push(name);
      }),
    );
    const failed = attempts.find((attempt) => attempt.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return { ...result, writes: writes.done.slice(begun) };
  });
}
