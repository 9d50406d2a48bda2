// The sub-commands of o2cb that only read the configuration: the C tool's listings, what is wrong with the file, and its digest.
//
// Facts relied on: the listings' shapes and options (group-api 6.4, 6.5), which scripts read.
import type { ConfiguredCluster } from "../config/model.ts";
import type { Arguments } from "./argv.ts";
import { configuration, configuredCluster as configured } from "./o2cb-configuration.ts";
import { answer, cluster, flag, subcommand, type Subcommand } from "./o2cb-syntax.ts";
import { clusterListing, heartbeatListing, nodeListing, type Listing } from "./o2cb-text.ts";

const oneline = flag("oneline", "oneline", "write each in one line");

/** Errors of `run`: those of loading the configuration, and O2CB_CONFIGURATION_ERROR for a cluster that it does not have. */
export function listCommands(): readonly Subcommand[] {
  const lines = (args: Arguments, listings: readonly Listing[]): string[] =>
    listings.flatMap((one) => (args.flag("oneline") ? one.oneline() : one.long()));
  return [
    subcommand("list-clusters", {
      summary: "list the clusters of the configuration by name",
      async run(args, context) {
        const config = await configuration(args, context);
        const names = config.clusters.map(({ name }) => name);
        return answer({ clusters: names }, names);
      },
    }),
    subcommand("list-cluster", {
      summary: "list a cluster of the configuration with its heartbeat regions and nodes",
      operands: [cluster],
      options: [oneline],
      async run(args, context) {
        const found = await configured(args, context);
        const [nodes, heartbeats] = [nodeListings(found), heartbeatListings(found)];
        const { name, mode, nodeCount } = found;
        const data = { cluster: { name, mode, nodeCount }, ...nodesData(found), ...heartbeatsData(found) };
        return answer(data, lines(args, [...heartbeats, ...nodes, clusterListing(found)]));
      },
    }),
    subcommand("list-nodes", {
      summary: "list the nodes of a cluster of the configuration",
      operands: [cluster],
      options: [oneline],
      async run(args, context) {
        const found = await configured(args, context);
        return answer(nodesData(found), lines(args, nodeListings(found)));
      },
    }),
    subcommand("list-heartbeats", {
      summary: "list the heartbeat regions of a cluster of the configuration",
      operands: [cluster],
      options: [oneline],
      async run(args, context) {
        const found = await configured(args, context);
        return answer(heartbeatsData(found), lines(args, heartbeatListings(found)));
      },
    }),
  ];
}

function nodeListings(found: ConfiguredCluster): Listing[] {
  return found.nodes.map((node) => nodeListing(node, found));
}

function heartbeatListings(found: ConfiguredCluster): Listing[] {
  return found.heartbeats.map((heartbeat) => heartbeatListing(heartbeat, found));
}

function nodesData({ name: owner, nodes }: ConfiguredCluster): object {
  return {
    nodes: nodes.map(({ name, number, address, port }) => ({ name, number, address, port, cluster: owner })),
  };
}

function heartbeatsData({ name: owner, heartbeats }: ConfiguredCluster): object {
  return { heartbeats: heartbeats.map(({ region }) => ({ region, cluster: owner })) };
}
