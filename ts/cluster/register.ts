// Registering a cluster in configfs, as the kernel wants it, and taking it out again.
//
// Facts relied on: group-api 5.3, 5.5 and K16 (cluster, mode, nodes; port, address, num, local), kernel-abi 1.3 (one cluster: ENOSPC), 1.4
// (attributes are written once; `local` once, with 1, never 0; a node that is live is never removed), 1.5 (mode and
// dead_threshold are globals of the module, inherited from an earlier cluster, and ignored in silence while a region exists).
//
// Unlike the C tool: no local node is an error before anything is touched; what was made is undone on a failure; all is read back; nodes come
// before the local one, so that a registration that was killed is seen by the missing local node.
import { isErrno, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { listOrNone } from "../region/regions.ts";
import type { HeartbeatMode } from "../steps.ts";
import { clusterNameProblem } from "../config/names.ts";
import type { DesiredNode, DesiredTimeouts } from "./desired-state.ts";
import { checkNodes, findLocalNode, hostName, type WantedCluster } from "./nodes.ts";
import { clusterPlace, requireHostNetwork } from "./place.ts";
import { readClusterState, type ClusterState } from "./registered.ts";
import { addNode, finishNumber, isWanted, planNodes, removeNodes, type NodePlan } from "./register-nodes.ts";
import { checkTimeouts, setTimeouts, type TimeoutsResult } from "./timeouts.ts";
import { KernelWrites, type KernelWrite, type WriteOptions } from "./writes.ts";

export interface RegisterOptions extends WriteOptions {
  /** default: the kernel's */
  hostname?: string | undefined;
  timeouts?: DesiredTimeouts | undefined;
  /** false on a dry run where the stack would be loaded first; default true */
  isLoaded?: boolean | undefined;
}

export interface RegisterResult {
  cluster: string;
  mode: HeartbeatMode;
  /** whether it was not registered before */
  created: boolean;
  node: { name: string; number: number };
  added: string[];
  removed: string[];
  timeouts: TimeoutsResult;
  writes: KernelWrite[];
}

/**
 * Registers the cluster, or makes a registered one as it is to be. Timeouts of a cluster that was registered before are set as far as the
 * kernel has it now; the rest is told in `timeouts.refused`.
 * Errors: O2CB_CONFIGURATION_ERROR, O2CB_CLUSTER_EXISTS (another one is registered), O2CB_REGION_IN_USE, O2CB_INVALID_HEARTBEAT_MODE,
 * O2CB_INTERNAL_FAILURE (the kernel ignored a write), O2CB_NAMESPACE, O2CB_HOSTNAME_UNKNOWN, those of detectStack.
 */
export async function registerCluster(
  native: Native,
  cluster: WantedCluster,
  options: RegisterOptions = {},
): Promise<RegisterResult> {
  const writes = KernelWrites.of(native, options);
  checkName(cluster.name);
  checkNodes(cluster.name, cluster.nodes);
  checkTimeouts(options.timeouts ?? {});
  const hostname = options.hostname ?? (await hostName(writes.native, writes.signal));
  const local = findLocalNode(cluster.name, cluster.nodes, hostname);
  return writes.exclusively(async () => {
    await requireHostNetwork(writes.native, "register-cluster");
    const configfs = await clusterPlace(writes, options.isLoaded);
    const begun = writes.done.length;
    const state = await readClusterState(writes.native);
    if (state !== null && state.name !== cluster.name) throw otherCluster(cluster.name, state.name);
    const plan = planNodes(cluster, local, state);
    if (state !== null) checkMode(cluster, state);
    const created: string[] = [];
    try {
      const timeouts = await carryOut(writes, `${configfs}/cluster`, cluster, state, plan, {
        timeouts: options.timeouts ?? {},
        created,
      });
      if (!writes.dryRun) await verify(writes.native, cluster, local);
      return {
        cluster: cluster.name,
        mode: cluster.mode,
        created: state === null,
        node: { name: local.name, number: local.number },
        added: plan.add.map(({ name }) => name),
        removed: plan.remove.map(({ name }) => name),
        timeouts,
        writes: writes.done.slice(begun),
      };
    } catch (error) {
      await undo(writes, created, error);
      throw error;
    }
  });
}

async function carryOut(
  writes: KernelWrites,
  clusters: string,
  cluster: WantedCluster,
  before: ClusterState | null,
  plan: NodePlan,
  { timeouts, created }: { timeouts: DesiredTimeouts; created: string[] },
): Promise<TimeoutsResult> {
  const directory = `${clusters}/${cluster.name}`;
  if (before === null) await makeCluster(writes, clusters, cluster.name, created);
  const state = before ?? { directory, regions: [], connected: null };
  await setMode(writes, cluster, directory, before?.mode ?? null);
  const set = await setTimeouts(writes, state, timeouts, {
    whatIsPossible: before !== null,
    isNew: before === null,
  });
  await removeNodes(writes, cluster.name, directory, plan.remove);
  for (const name of plan.doubtful) await finishNumber(writes, `${directory}/node/${name}`);
  for (const node of plan.add) {
    // The rollback takes away what is made, also half.
    await addNode(writes, cluster.name, `${directory}/node/${node.name}`, node, node === plan.local, created);
  }
  return set;
}

async function makeCluster(
  writes: KernelWrites,
  clusters: string,
  name: string,
  created: string[],
): Promise<void> {
  try {
    if (await writes.makeDirectory(`${clusters}/${name}`)) created.push(`${clusters}/${name}`);
  } catch (error) {
    if (!isErrno(error, "ENOSPC")) throw error;
    const [other] = await listOrNone(writes.native, clusters).catch(() => []);
    throw otherCluster(name, other ?? null, error);
  }
}

/** Errors: O2CB_INVALID_HEARTBEAT_MODE (the driver has no such mode), O2CB_INTERNAL_FAILURE (it was ignored). */
async function setMode(
  writes: KernelWrites,
  { name, mode }: WantedCluster,
  directory: string,
  before: HeartbeatMode | null,
): Promise<void> {
  // A new cluster inherits the mode of the last one: it is written in any case (kernel-abi 1.5).
  if (before === mode) return;
  const path = `${directory}/heartbeat/mode`;
  const fields = { operation: "register-cluster", cluster: name, path };
  try {
    await writes.native.writeAttribute(path, mode, { signal: writes.signal });
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    if (mode === "local") return writes.skip("the heartbeat mode", "this driver knows local heartbeat only");
    throw new O2cbError(
      "O2CB_INVALID_HEARTBEAT_MODE",
      `cluster '${name}' is to run global heartbeat, but this driver knows local heartbeat only`,
      { ...fields, remedy: `set it to local: o2cb heartbeat-mode ${name} local`, cause: error },
    );
  }
  if (writes.dryRun) return;
  const now = (await writes.native.readAttribute(path, { signal: writes.signal })).trim();
  if (now === mode) return;
  throw new O2cbError(
    "O2CB_INTERNAL_FAILURE",
    `the kernel took the heartbeat mode '${mode}' of cluster '${name}' and kept '${now}'`,
    { ...fields, remedy: "see whether a heartbeat region exists: then the kernel ignores the mode" },
  );
}

/** The mode stands still while a region exists: said before anything is touched. */
function checkMode(cluster: WantedCluster, state: ClusterState): void {
  const regions = state.regions.map(({ name }) => name);
  if (state.mode === cluster.mode || regions.length === 0) return;
  throw new O2cbError(
    "O2CB_REGION_IN_USE",
    `cluster '${state.name}' runs ${state.mode} heartbeat and cannot change to ${cluster.mode} while there are heartbeat regions: ${regions.join(", ")}`,
    {
      operation: "register-cluster",
      cluster: state.name,
      path: `${state.directory}/heartbeat/mode`,
      region: regions[0],
      remedy: "unmount its volumes and take it offline on this node first: o2cb drain",
    },
  );
}

/** The kernel ignores some writes in silence: what it has must be what was asked for. */
async function verify(native: Native, cluster: WantedCluster, local: DesiredNode): Promise<void> {
  const state = await readClusterState(native);
  const fault =
    state?.name !== cluster.name
      ? "the cluster is not there"
      : (cluster.nodes
          .filter((node) => !isWanted(state, node, node === local))
          .map(({ name }) => `node '${name}' is not as it was written`)[0] ??
        (state.mode === cluster.mode ? undefined : `its heartbeat mode is ${state.mode}`));
  if (fault === undefined) return;
  throw new O2cbError("O2CB_INTERNAL_FAILURE", `cluster '${cluster.name}' is not registered: ${fault}`, {
    operation: "register-cluster",
    cluster: cluster.name,
    path: state?.directory,
    remedy: "see whether another program changes the cluster at the same time, and try again",
  });
}

async function undo(writes: KernelWrites, created: readonly string[], error: unknown): Promise<void> {
  if (writes.dryRun) return;
  for (const path of created.toReversed()) {
    try {
      await writes.removeDirectory(path);
    } catch (rollbackError) {
      if (error instanceof O2cbError) error.rollbackError ??= rollbackError;
    }
  }
}

export interface UnregisterResult {
  cluster: string;
  /** false where it was not registered */
  removed: boolean;
  writes: KernelWrite[];
}

/**
 * Takes the cluster out of the kernel; absent is success.
 * Errors: O2CB_REGION_IN_USE with the names of the regions, O2CB_INVALID_CLUSTER_NAME where another cluster is registered.
 */
export async function unregisterCluster(
  native: Native,
  name: string,
  options: WriteOptions & {
    /** on a dry run: the regions that are there now would have been stopped before */
    assumeStopped?: boolean | undefined;
  } = {},
): Promise<UnregisterResult> {
  const writes = KernelWrites.of(native, options);
  return writes.exclusively(async () => {
    const begun = writes.done.length;
    const state = await readClusterState(writes.native);
    if (state === null) return { cluster: name, removed: false, writes: [] };
    requireCluster(state, name, "unregister-cluster");
    const regions = state.regions.map((region) => region.name);
    if (regions.length > 0 && !(writes.dryRun && options.assumeStopped)) throw stillActive(state, regions);
    // Without its local node the cluster is offline at once, and no heartbeat can begin under our hands.
    const nodes = state.nodes.toSorted((a, b) => Number(b.local) - Number(a.local));
    try {
      for (const node of nodes) await writes.removeDirectory(`${state.directory}/node/${node.name}`);
      await writes.removeDirectory(state.directory);
    } catch (error) {
      if (!isErrno(error, "EBUSY", "ENOTEMPTY")) throw error;
      throw stillActive(state, await listOrNone(writes.native, `${state.directory}/heartbeat`), error);
    }
    return { cluster: name, removed: true, writes: writes.done.slice(begun) };
  });
}

function stillActive(state: ClusterState, regions: readonly string[], cause?: unknown): O2cbError {
  const why =
    regions.length === 0
      ? "a heartbeat or a DLM domain relies on its nodes"
      : `${regions.length === 1 ? "there is the heartbeat region" : "there are the heartbeat regions"} ${regions.join(", ")}`;
  return new O2cbError("O2CB_REGION_IN_USE", `cluster '${state.name}' is still active: ${why}`, {
    operation: "unregister-cluster",
    cluster: state.name,
    region: regions[0],
    path: state.directory,
    remedy: "see what uses them: ocfs2_hb_ctl --audit; o2cb drain unmounts and takes the cluster offline",
    cause,
  });
}

/** Errors: O2CB_INVALID_CLUSTER_NAME. */
export function requireCluster(state: Pick<ClusterState, "name">, name: string, operation: string): void {
  if (state.name === name) return;
  throw new O2cbError(
    "O2CB_INVALID_CLUSTER_NAME",
    `cluster '${name}' is not registered on this node, '${state.name}' is`,
    { operation, cluster: state.name, remedy: `name '${state.name}', or register '${name}' in its place` },
  );
}

function checkName(name: string): void {
  const problem = clusterNameProblem(name);
  if (problem === null) return;
  throw new O2cbError("O2CB_INVALID_CLUSTER_NAME", `'${name}' cannot be a cluster's name: ${problem}`, {
    operation: "register-cluster",
    remedy: "rename it in /etc/ocfs2/cluster.conf, on all nodes and volumes alike",
  });
}

function otherCluster(name: string, other: string | null, cause?: unknown): O2cbError {
  const which = other === null ? "another cluster is" : `cluster '${other}' is`;
  return new O2cbError(
    "O2CB_CLUSTER_EXISTS",
    `cluster '${name}' cannot be registered: ${which} registered on this node, and the kernel knows one at most`,
    {
      operation: "register-cluster",
      cluster: other ?? undefined,
      errno: (cause as O2cbError | undefined)?.errno,
      remedy: `take it offline first: o2cb offline${other === null ? "" : ` ${other}`}`,
      cause,
    },
  );
}
