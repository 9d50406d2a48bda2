// A digest of what a cluster's configuration comes to, to be compared between nodes before they join (users.md C14).
//
// It covers what all nodes must agree on: the cluster's name and mode, its nodes, its regions in global mode (in local mode nothing
// reads them), and the timeouts. It does not depend on the order, comments, forms of numbers, `node_count`, or which node asks.
import { createHash } from "node:crypto";
import type { ConfiguredCluster } from "./model.ts";

/** As the kernel is told, all nodes the same. */
export interface Timeouts {
  /** iterations of 2 s, plus one */
  heartbeatThreshold: number;
  idleTimeoutMs: number;
  keepaliveDelayMs: number;
  reconnectDelayMs: number;
}

export interface EffectiveConfig {
  /** one fact a line, the first names the form */
  text: string;
  /** of the text, lower-case hexadecimal */
  sha256: string;
}

export function effectiveConfig(cluster: ConfiguredCluster, timeouts: Timeouts): EffectiveConfig {
  const nodes = cluster.nodes.toSorted((a, b) => a.number - b.number || (a.name < b.name ? -1 : 1));
  const regions = cluster.mode === "global" ? cluster.heartbeats.map(({ region }) => region).toSorted() : [];
  const lines = [
    "ocfs2-group configuration 1",
    `cluster ${JSON.stringify(cluster.name)}`,
    `heartbeat-mode ${cluster.mode}`,
    ...nodes.map(
      ({ number, address, port, name }) => `node ${number} ${address} ${port} ${JSON.stringify(name)}`,
    ),
    ...regions.map((region) => `region ${JSON.stringify(region)}`),
    `heartbeat-threshold ${timeouts.heartbeatThreshold}`,
    `idle-timeout-ms ${timeouts.idleTimeoutMs}`,
    `keepalive-delay-ms ${timeouts.keepaliveDelayMs}`,
    `reconnect-delay-ms ${timeouts.reconnectDelayMs}`,
  ];
  const text = `${lines.join("\n")}\n`;
  return { text, sha256: createHash("sha256").update(text).digest("hex") };
}
