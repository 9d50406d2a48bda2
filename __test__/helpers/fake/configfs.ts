// The cluster tree of configfs: clusters, nodes, the heartbeat group. Regions are in region.ts.
//
// Facts relied on: kernel-abi 1.1-1.5 (linux: fs/ocfs2/cluster/nodemanager.c, heartbeat.c). One cluster at most; a node's
// attributes are set once and in order; `mode` and `dead_threshold` are globals of the module, and what the kernel will not
// take of them it ignores while the write succeeds.
import { DirectoryEvents, WatchedMap } from "./directory-events.ts";
import { refuse } from "./errors.ts";
import { kernelNumber } from "./kernel-number.ts";
import type { FakeNetwork } from "./network.ts";
import { Region, type RegionHost } from "./region.ts";
import { computedDirectory, type DirectoryNode, type FileNode, type TreeNode } from "./tree.ts";

const MAX_NODE_NAME = 64;
const MAX_REGION_NAME = 32;
const MAX_GLOBAL_REGIONS = 32;
const MAX_NODE_NUMBER = 254;

export class ClusterNode {
  readonly name: string;
  port: number | null = null;
  address: string | null = null;
  number: number | null = null;
  local = false;
  readonly events = new DirectoryEvents();

  constructor(name: string) {
    this.name = name;
  }
}

export class Cluster {
  readonly name: string;
  readonly nodes = new WatchedMap<ClusterNode>();
  readonly regions = new WatchedMap<Region>();
  readonly events = new DirectoryEvents();
  readonly timeouts = { idle_timeout_ms: 30_000, keepalive_delay_ms: 2000, reconnect_delay_ms: 2000 };
  fenceMethod: "reset" | "panic" = "reset";

  constructor(name: string) {
    this.name = name;
    // Its two groups go with it.
    for (const group of [this.nodes, this.regions])
      this.events.listen((event) => void (event.kind === "gone" && group.events.tell(event)));
  }

  get localNode(): ClusterNode | null {
    return [...this.nodes.values()].find((node) => node.local) ?? null;
  }
}

/** The machine's side of the tree. */
export interface ConfigfsHost extends RegionHost {
  readonly clusters: WatchedMap<Cluster>;
  /** globals of the module o2hb: they outlive clusters */
  readonly heartbeat: { mode: "local" | "global"; deadThreshold: number };
  readonly network: FakeNetwork;
}

export function clusterSubsystem(host: ConfigfsHost): DirectoryNode {
  return computedDirectory(
    () =>
      Object.fromEntries(
        [...host.clusters.values()].map((cluster) => [cluster.name, clusterDirectory(host, cluster)]),
      ),
    {
      make(name) {
        if (host.clusters.size > 0) refuse("ENOSPC");
        host.clusters.set(name, new Cluster(name));
      },
      remove(name) {
        const cluster = host.clusters.get(name);
        if (cluster !== undefined && cluster.nodes.size + cluster.regions.size > 0) refuse("ENOTEMPTY");
        host.clusters.delete(name);
      },
      events: host.clusters.events,
    },
  );
}

function clusterDirectory(host: ConfigfsHost, cluster: Cluster): DirectoryNode {
  const timeout = (name: keyof Cluster["timeouts"]): FileNode => ({
    kind: "file",
    read: () => `${cluster.timeouts[name]}\n`,
    write(text) {
      const value = kernelNumber(text);
      if (value === 0n) refuse("EINVAL");
      if (value >= 0xffff_ffffn) refuse("ERANGE");
      const next = { ...cluster.timeouts, [name]: Number(value) };
      const isChecked = name !== "reconnect_delay_ms";
      if (isChecked && next.idle_timeout_ms <= next.keepalive_delay_ms) refuse("EINVAL");
      if (isChecked && next[name] !== cluster.timeouts[name] && host.network.connectedPeers.size > 0)
        refuse("EINVAL");
      cluster.timeouts[name] = Number(value);
    },
  });
  return computedDirectory(
    () => ({
      ...(host.features.clusterTimeouts && {
        idle_timeout_ms: timeout("idle_timeout_ms"),
        keepalive_delay_ms: timeout("keepalive_delay_ms"),
        reconnect_delay_ms: timeout("reconnect_delay_ms"),
      }),
      fence_method: host.features.heartbeatMode && fenceMethod(cluster),
      node: nodeGroup(cluster, host),
      heartbeat: heartbeatGroup(host, cluster),
    }),
    { events: cluster.events },
  );
}

function fenceMethod(cluster: Cluster): FileNode {
  return {
    kind: "file",
    read: () => `${cluster.fenceMethod}\n`,
    write(text) {
      const word = /^(reset|panic)\n$/i.exec(text)?.[1]?.toLowerCase();
      if (word !== "reset" && word !== "panic") refuse("EINVAL");
      cluster.fenceMethod = word;
    },
  };
}

function nodeGroup(cluster: Cluster, host: ConfigfsHost): DirectoryNode {
  return computedDirectory(
    () =>
      Object.fromEntries(
        [...cluster.nodes.values()].map((node) => [node.name, nodeDirectory(cluster, node, host)]),
      ),
    {
      make(name) {
        if (Buffer.byteLength(name) > MAX_NODE_NAME) refuse("ENAMETOOLONG");
        cluster.nodes.set(name, new ClusterNode(name));
      },
      remove(name) {
        // The heartbeat thread depends on the local node (o2hb_thread); drivers without pins let it go.
        const beats = [...cluster.regions.values()].some((region) => region.device !== null);
        if (host.features.pinning && beats && cluster.nodes.get(name)?.local) refuse("EBUSY");
        cluster.nodes.delete(name);
      },
      events: cluster.nodes.events,
    },
  );
}

function nodeDirectory(cluster: Cluster, node: ClusterNode, host: ConfigfsHost): DirectoryNode {
  const others = [...cluster.nodes.values()].filter((other) => other !== node);
  const attribute = (read: () => string, write: (text: string) => void): TreeNode => ({
    kind: "file",
    read: () => `${read()}\n`,
    write,
  });
  return computedDirectory(() => ({
    num: attribute(
      () => String(node.number ?? 0),
      (text) => {
        const value = kernelNumber(text);
        if (value > MAX_NODE_NUMBER) refuse("ERANGE");
        if (node.address === null || node.port === null) refuse("EINVAL");
        if (node.number !== null) refuse("EBUSY");
        if (others.some((other) => other.number === Number(value))) refuse("EEXIST");
        node.number = Number(value);
      },
    ),
    ipv4_port: attribute(
      () => String(node.port ?? 0),
      (text) => {
        const value = kernelNumber(text);
        if (value === 0n) refuse("EINVAL");
        if (value >= 65_535n) refuse("ERANGE");
        if (node.port !== null) refuse("EBUSY");
        node.port = Number(value);
      },
    ),
    ipv4_address: attribute(
      () => node.address ?? "0.0.0.0",
      (text) => {
        // What follows the fourth part is not looked at.
        const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})/.exec(text)?.slice(1) ?? refuse("EINVAL");
        if (parts.some((part) => Number(part) > 255)) refuse("ERANGE");
        const address = parts.map(Number).join(".");
        if (node.address !== null) refuse("EBUSY");
        if (others.some((other) => other.address === address)) refuse("EEXIST");
        node.address = address;
      },
    ),
    local: attribute(
      () => (node.local ? "1" : "0"),
      (text) => {
        const value = kernelNumber(text) !== 0n;
        if (node.number === null) refuse("EINVAL");
        if (value && others.some((other) => other.local)) refuse("EBUSY");
        const { addresses } = host.network;
        if (value && addresses !== null && !addresses.has(node.address ?? "")) refuse("EADDRNOTAVAIL");
        node.local = value;
      },
    ),
  }));
}

function heartbeatGroup(host: ConfigfsHost, cluster: Cluster): DirectoryNode {
  const regions = (): Record<string, TreeNode> =>
    Object.fromEntries([...cluster.regions.values()].map((region) => [region.name, region.directory()]));
  return computedDirectory(
    () => ({
      dead_threshold: host.features.clusterTimeouts && deadThreshold(host, cluster),
      mode: host.features.heartbeatMode && mode(host, cluster),
      ...regions(),
    }),
    {
      make(name: string) {
        if (Buffer.byteLength(name) > MAX_REGION_NAME) refuse("ENAMETOOLONG");
        if (host.heartbeat.mode === "global" && cluster.regions.size >= MAX_GLOBAL_REGIONS) refuse("EFBIG");
        cluster.regions.set(name, new Region(name, cluster, host));
      },
      async remove(name: string) {
        const region = cluster.regions.get(name);
        if (region === undefined) refuse("EPERM");
        await region.stop();
        cluster.regions.delete(name);
      },
      events: cluster.regions.events,
    },
  );
}

function deadThreshold(host: ConfigfsHost, cluster: Cluster): FileNode {
  return {
    kind: "file",
    read: () => `${host.heartbeat.deadThreshold}\n`,
    write(text) {
      const value = Number(BigInt.asUintN(32, kernelNumber(text)));
      if (value > 2 && cluster.regions.size === 0) host.heartbeat.deadThreshold = value;
    },
  };
}

function mode(host: ConfigfsHost, cluster: Cluster): FileNode {
  return {
    kind: "file",
    read: () => `${host.heartbeat.mode}\n`,
    write(text) {
      const word = text.replace(/\n$/, "").toLowerCase();
      const found =
        word === "" ? undefined : (["local", "global"] as const).find((name) => name.startsWith(word));
      if (found === undefined) refuse("EINVAL");
      if (cluster.regions.size === 0) host.heartbeat.mode = found;
    },
  };
}
