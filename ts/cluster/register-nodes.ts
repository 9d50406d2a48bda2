// The nodes of a registered cluster: which are to go, which to come, and how each is made.
//
// Facts relied on: kernel-abi 1.4: port and address, then num, then local; each is written once, so a change is remove and make anew. The
// directory of a live node is never removed: some kernels hang in the next rmdir after that. `num` reads 0 also where it was
// never set, so a remote node of number 0 is told from a half-made one by the kernel only, which refuses a second write.
import { O2cbError } from "../errors.ts";
import type { DesiredNode } from "./desired-state.ts";
import { explainLocal, type WantedCluster } from "./nodes.ts";
import { readClusterState, type ClusterState, type RegisteredNode } from "./registered.ts";
import type { KernelWrites } from "./writes.ts";

export interface NodePlan {
  local: DesiredNode;
  remove: RegisteredNode[];
  /** in the order in which they are made: the local one is last */
  add: DesiredNode[];
  /** kept nodes whose number, 0, may never have been set */
  doubtful: string[];
}

/**
 * What has to be done for the nodes.
 * Errors: O2CB_REGION_IN_USE where a node would have to go that is live, or that this host's heartbeat relies on.
 */
export function planNodes(cluster: WantedCluster, local: DesiredNode, state: ClusterState | null): NodePlan {
  const kept = (node: DesiredNode): boolean => state !== null && isWanted(state, node, node === local);
  const keptNames = new Set(cluster.nodes.filter(kept).map(({ name }) => name));
  const remove = (state?.nodes ?? []).filter(({ name }) => !keptNames.has(name));
  for (const node of remove) {
    const reason = state === null ? null : whyNotRemovable(state, node);
    if (state !== null && reason !== null) throw notRemovable(state.name, node, reason, cluster);
  }
  const add = cluster.nodes
    .filter((node) => !keptNames.has(node.name))
    .toSorted((a, b) => Number(a === local) - Number(b === local));
  const doubtful = cluster.nodes.filter(
    (node) => keptNames.has(node.name) && node.number === 0 && node !== local,
  );
  return { local, remove, add, doubtful: doubtful.map(({ name }) => name) };
}

/** Whether the node is registered as it is to be. */
export function isWanted(state: ClusterState, wanted: DesiredNode, isLocal: boolean): boolean {
  const found = state.nodes.find(({ name }) => name === wanted.name);
  if (found === undefined || found.local !== isLocal) return false;
  return found.number === wanted.number && found.address === wanted.address && found.port === wanted.port;
}

/** Null where the node can be removed safely. */
function whyNotRemovable({ regions, live }: ClusterState, node: RegisteredNode): string | null {
  if (regions.length === 0) return null;
  if (node.local) return "this host's heartbeat relies on it";
  if (live === null) return "heartbeat regions exist, and debugfs is not there to tell whether it is live";
  return node.number !== null && live.includes(node.number) ? "it is live" : null;
}

function notRemovable(
  cluster: string,
  { name }: RegisteredNode,
  reason: string,
  { nodes }: WantedCluster,
): O2cbError {
  const isChanged = nodes.some((node) => node.name === name);
  return new O2cbError(
    "O2CB_REGION_IN_USE",
    `node '${name}' of cluster '${cluster}' cannot be ${isChanged ? "changed" : "removed"}: ${reason}`,
    {
      operation: "register-cluster",
      cluster,
      remedy: "take the cluster offline on that node first, or on this one, and register it again",
    },
  );
}

/** Looked at once more right before: a node may have come to life meanwhile. */
export async function removeNodes(
  writes: KernelWrites,
  cluster: string,
  directory: string,
  nodes: readonly RegisteredNode[],
): Promise<void> {
  for (const node of nodes) {
    const state = await readClusterState(writes.native);
    const reason = state === null ? null : whyNotRemovable(state, node);
    if (reason !== null)
      throw notRemovable(cluster, node, reason, { name: cluster, mode: "local", nodes: [] });
    await writes.removeDirectory(`${directory}/node/${node.name}`);
  }
}

/** Makes one node. Its directory is added to `created` as soon as it is there. */
export async function addNode(
  writes: KernelWrites,
  cluster: string,
  path: string,
  node: DesiredNode,
  isLocal: boolean,
  created: string[],
): Promise<void> {
  const { native, signal } = writes;
  if (await writes.makeDirectory(path)) created.push(path);
  await native.writeAttribute(`${path}/ipv4_port`, String(node.port), { signal });
  await native.writeAttribute(`${path}/ipv4_address`, node.address, { signal });
  await native.writeAttribute(`${path}/num`, String(node.number), { signal });
  if (!isLocal) return;
  try {
    await native.writeAttribute(`${path}/local`, "1", { signal });
  } catch (error) {
    throw explainLocal(error, cluster, node, `${path}/local`);
  }
}

/** Sets the number 0 of a node where it never was: the kernel takes it once, and says so without changing anything. */
export async function finishNumber(writes: KernelWrites, path: string): Promise<void> {
  await writes.writeOnce(`${path}/num`, "0");
}
