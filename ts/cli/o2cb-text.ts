// The configuration as the C tool lists it, which scripts read: long, as stanzas that a configuration file could have, and in one line each.
//
// Facts relied on: the shapes of group-api 6.5.
import type { ConfiguredCluster, ConfiguredHeartbeat, ConfiguredNode } from "../config/model.ts";

/** One element per line; a long listing ends in an empty one. */
export interface Listing {
  long(): string[];
  oneline(): string[];
}

export function heartbeatListing({ region }: ConfiguredHeartbeat, { name }: ConfiguredCluster): Listing {
  return {
    long: () =>
      stanza("heartbeat", [
        ["region", region],
        ["cluster", name],
      ]),
    oneline: () => [`heartbeat: ${region} ${name}`],
  };
}

export function nodeListing(node: ConfiguredNode, { name }: ConfiguredCluster): Listing {
  return {
    long: () =>
      stanza("node", [
        ["number", node.number],
        ["name", node.name],
        ["ip_address", node.address],
        ["ip_port", node.port],
        ["cluster", name],
      ]),
    oneline: () => [`node: ${node.number} ${node.name} ${node.address}:${node.port} ${name}`],
  };
}

export function clusterListing({ name, nodeCount, mode }: ConfiguredCluster): Listing {
  return {
    long: () =>
      stanza("cluster", [
        ["node_count", nodeCount],
        ["heartbeat_mode", mode],
        ["name", name],
      ]),
    oneline: () => [`cluster: ${nodeCount} ${mode} ${name}`],
  };
}

function stanza(type: string, values: readonly (readonly [key: string, value: string | number])[]): string[] {
  return [`${type}:`, ...values.map(([key, value]) => `\t${key} = ${value}`), ""];
}
