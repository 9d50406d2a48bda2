// The cluster as the kernel has it registered, whole: nodes, mode, timeouts, regions, who is live and who is connected. Reads only.
//
// Facts relied on: kernel-abi 1.2-1.5 (the tree and its files), 3 (debugfs: livenodes, connected_nodes), 8 (files that old drivers lack).
// An attribute that was never set reads as 0 or 0.0.0.0.
import { readHint, readOptional } from "../attributes.ts";
import type { Native } from "../native-types.ts";
import { registeredCluster, startedRegions } from "../region/regions.ts";
import type { HeartbeatMode } from "../steps.ts";
import { readTimeouts, type ClusterTimeouts } from "./timeouts.ts";

const DEBUG = "/sys/kernel/debug";

export interface RegisteredNode {
  name: string;
  /** null where it was never set, as the next two */
  number: number | null;
  address: string | null;
  port: number | null;
  /** it is this host */
  local: boolean;
}

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
  const directory = found.heartbeatDirectory.replace(/\/heartbeat$/, "");
  const names = await native.listDirectories(`${directory}/node`);
  const [nodes, timeouts, regions, live, connected] = await Promise.all([
    Promise.all(names.toSorted().map((name) => readNode(native, `${directory}/node/${name}`, name))),
    readTimeouts(native, directory),
    startedRegions(native),
    nodeNumbers(native, `${DEBUG}/o2hb/livenodes`),
    nodeNumbers(native, `${DEBUG}/o2net/connected_nodes`),
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

async function readNode(native: Native, directory: string, name: string): Promise<RegisteredNode> {
  const [number, address, port, local] = await Promise.all(
    ["num", "ipv4_address", "ipv4_port", "local"].map(
      async (file) => (await readOptional(native, `${directory}/${file}`))?.trim() ?? "",
    ),
  );
  const hasPort = Number(port) > 0;
  const isSet = hasPort && address !== "0.0.0.0";
  return {
    name,
    // Only what has an address and a port can have a number (kernel-abi 1.4); before that it reads as 0.
    number: isSet && /^\d{1,3}$/.test(number ?? "") ? Number(number) : null,
    address: address === "" || address === "0.0.0.0" ? null : (address ?? null),
    port: hasPort ? Number(port) : null,
    local: Number(local) > 0,
  };
}

async function nodeNumbers(native: Native, path: string): Promise<number[] | null> {
  const text = await readHint(native, path);
  return text === null ? null : text.split(/\s+/).filter(Boolean).map(Number);
}
