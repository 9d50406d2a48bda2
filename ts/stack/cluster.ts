// The cluster as the kernel has it registered: its name, its heartbeat mode, and which of its nodes is this host.
//
// Facts relied on: the kernel allows one cluster directory (group-api 4.1); `mode` is missing on drivers that know only
// local heartbeat (3.2); exactly one node has `local` set, and without it no heartbeat starts (5.3).
import { readOptional } from "../attributes.ts";
import { isErrno, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { liveNodes } from "../region/live-nodes.ts";
import type { HeartbeatMode } from "../steps.ts";

export interface RunningCluster {
  name: string;
  mode: HeartbeatMode;
  /** `<configfs>/cluster/<name>/heartbeat` */
  heartbeatDirectory: string;
}

export interface LocalNode {
  name: string;
  number: number;
}

/**
 * The registered cluster.
 * Errors: O2CB_SERVICE_UNAVAILABLE where none is registered.
 */
export async function runningCluster(
  native: Native,
  configfs: string,
  signal?: AbortSignal,
): Promise<RunningCluster> {
  const directory = `${configfs}/cluster`;
  let names: string[] = [];
  try {
    names = await native.listDirectories(directory, { signal });
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
  }
  const name = names[0];
  if (name === undefined) {
    throw new O2cbError("O2CB_SERVICE_UNAVAILABLE", "no cluster is registered on this node", {
      operation: "find-cluster",
      path: directory,
      remedy: "register one: o2cb register-cluster NAME",
    });
  }
  const heartbeatDirectory = `${directory}/${name}/heartbeat`;
  const mode = (await readOptional(native, `${heartbeatDirectory}/mode`, signal))?.trimEnd();
  return { name, mode: mode === "global" ? "global" : "local", heartbeatDirectory };
}

/**
 * This host's node in the cluster.
 * Errors: O2CB_CONFIGURATION_ERROR where no node is local.
 */
export async function localNode(
  native: Native,
  configfs: string,
  cluster: string,
  signal?: AbortSignal,
): Promise<LocalNode> {
  const directory = `${configfs}/cluster/${cluster}/node`;
  const nodes = await native.listDirectories(directory, { signal });
  for (const name of nodes) {
    const local = await readOptional(native, `${directory}/${name}/local`, signal);
    if (local === null || !(Number(local) > 0)) continue;
    const number = (await readOptional(native, `${directory}/${name}/num`, signal)) ?? "";
    if (/^\d{1,3}$/.test(number) && Number(number) <= 254) return { name, number: Number(number) };
    throw new O2cbError(
      "O2CB_INVALID_NODE_NUM",
      `the number of node '${name}' in cluster '${cluster}' cannot be read`,
      {
        operation: "find-node",
        cluster,
        path: `${directory}/${name}/num`,
      },
    );
  }
  throw new O2cbError(
    "O2CB_CONFIGURATION_ERROR",
    `none of the ${nodes.length} nodes of cluster '${cluster}' is this host`,
    {
      operation: "find-node",
      cluster,
      path: directory,
      remedy:
        "name this host in /etc/ocfs2/cluster.conf as `hostname` prints it, and register the cluster again",
    },
  );
}

/** Whether the kernel sees this node heartbeating in any region; null where debugfs does not tell (kernel-abi 3). */
export async function isLive(native: Native, node: LocalNode): Promise<boolean | null> {
  return (await liveNodes(native))?.includes(node.number) ?? null;
}
