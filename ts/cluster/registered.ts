// The cluster as the kernel has it registered, whole: nodes, mode, timeouts, regions, who is live and who is connected. Reads only.
//
// Facts relied on: kernel-abi 1.2-1.5 (the tree and its files), 3 (debugfs: livenodes, connected_nodes), 8 (files that old drivers lack).
import type { Native } from "../native-types.ts";
import { connectedNodes, liveNodes } from "../region/live-nodes.ts";
import { registeredCluster, startedRegions } from "../region/regions.ts";
import { clusterDirectory, registeredNodes, type RegisteredNode } from "../stack/registered-nodes.ts";
import type { HeartbeatMode } from "../steps.ts";
import { readTimeouts, type ClusterTimeouts } from "./timeouts.ts";

export type { RegisteredNode } from "../stack/registered-nodes.ts";

export interface RegionState {
  name: string;
  /** the kernel's name of the disk; null where it does not beat */
  disk: string | null;
}

export interface ClusterState {
  name: string;
  /** `<configfs>/cluster/<name>` */
  directory: string;
  mode: HeartbeatMode;
  nodes: RegisteredNode[];
  timeouts: ClusterTimeouts;
  regions: RegionState[];
  /** numbers of nodes that beat; null where debugfs does not tell */
  live: number[] | null;
  /** numbers of peers with a connection; likewise */
  connected: number[] | null;
}

/** Null where no cluster is registered. */
export async function readClusterState(native: Native): Promise<ClusterState | null> {
  const found = await registeredCluster(native);
  if (found === null) return null;
  const directory = clusterDirectory(found);
  const [nodes, timeouts, regions, live, connected] = await Promise.all([
    registeredNodes(native, found),
    readTimeouts(native, directory),
    startedRegions(native),
    liveNodes(native),
    connectedNodes(native),
  ]);
  return {
    name: found.name,
    directory,
    mode: found.mode,
    nodes,
    timeouts,
    regions: regions.map(({ name, dev }) => ({ name, disk: dev?.trim() || null })),
    live,
    connected,
  };
}
