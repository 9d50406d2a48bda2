// The heartbeat blocks on a device: does another host beat with this host's number, do all count to the same dead time, is a live node
// one that this host does not know?
//
// Facts relied on: kernel-abi 2.1-2.4. The kernel says nothing of a second host with its number before its own block is overwritten, accepts
// another dead time with a line in the log, and ignores blocks of nodes that are not configured.
import type { HeartbeatSlot } from "../../native-types.ts";
import { beatingBlocks } from "../../region/heartbeat-blocks.ts";
import { CLASSIC_STACK, heartbeatArea, type Volume } from "../../volume.ts";
import { readClusterState, type ClusterState } from "../registered.ts";
import { failure, good, warning, type CheckContext, type Finding } from "./finding.ts";

const ID = "heartbeat-slots";
const INTERVAL_MS = 2000;

export async function slotFindings(volume: Volume, context: CheckContext): Promise<Finding[]> {
  const { native } = context;
  const { device } = volume;
  // Nobody beats for a user stack.
  if (volume.stack !== CLASSIC_STACK) return [];
  const area = heartbeatArea(volume);
  // The check of the area says so.
  if ("why" in area) return [];
  const live = await beatingBlocks(native, device, area.geometry, new Set(), context);
  if (live.length === 0) return [good(ID, `no node beats on '${device}'`, device)];
  const seen = `on '${device}' beat the nodes ${live.map(({ slot }) => slot).join(", ")}`;
  const cluster = await readClusterState(native);
  if (cluster === null)
    return [warning(ID, `${seen}, and no cluster is registered here to compare with`, null, device)];
  const found = [
    ...foreignSelf(volume, cluster, live),
    ...otherDeadTimes(volume, cluster, live),
    ...strangers(volume, cluster, live),
  ];
  return found.length > 0 ? found : [good(ID, `${seen}, all of this cluster and with its dead time`, device)];
}

/** This host's number, written by another host. */
function foreignSelf(volume: Volume, cluster: ClusterState, live: readonly HeartbeatSlot[]): Finding[] {
  const own = cluster.nodes.find(({ local }) => local);
  if (own === undefined || !live.some(({ slot }) => slot === own.number)) return [];
  if (cluster.regions.some(({ name, disk }) => name === volume.uuid && disk !== null)) return [];
  return [
    failure(
      ID,
      `node ${own.number} beats on '${volume.device}', and that is not this host (node '${own.name}', whose heartbeat does not run there)`,
      `give one of the two hosts another number in cluster.conf, on all nodes`,
      volume.device,
    ),
  ];
}

function otherDeadTimes(volume: Volume, cluster: ClusterState, live: readonly HeartbeatSlot[]): Finding[] {
  const threshold = cluster.timeouts.deadThreshold;
  if (threshold === null) return [];
  // Drivers of the first years leave the field empty (kernel-abi 2.1).
  const others = live.filter(({ deadMs }) => deadMs !== 0 && deadMs !== threshold * INTERVAL_MS);
  return others.map(({ slot, deadMs }) =>
    failure(
      ID,
      `node ${slot} on '${volume.device}' counts to ${deadMs / INTERVAL_MS} before it takes a node for dead, and this host to ${threshold}`,
      "give O2CB_HEARTBEAT_THRESHOLD one value on all nodes, and restart the cluster",
      volume.device,
    ),
  );
}

/** Live, and unknown to this host's kernel, which therefore does not look at its block. */
function strangers(volume: Volume, cluster: ClusterState, live: readonly HeartbeatSlot[]): Finding[] {
  const known = new Set(cluster.nodes.map(({ number }) => number));
  return live
    .filter(({ slot }) => !known.has(slot))
    .map(({ slot }) =>
      failure(
        ID,
        `node ${slot} beats on '${volume.device}', and the cluster '${cluster.name}' of this host has no such node: the two do not see each other`,
        "make cluster.conf equal on all nodes, and register the cluster again",
        volume.device,
      ),
    );
}
