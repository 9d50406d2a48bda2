// The heartbeat blocks on a device: does another host beat with this host's number, do all count to the same dead time, is a live node
// one that this host does not know?
//
// Facts relied on: kernel-abi 2.1-2.4. A block beats if its checksum holds, its generation is not 0 and its sequence changes within
// two intervals of 2 s. The kernel says nothing of a second host with its number before its own block is overwritten, accepts
// another dead time with a line in the log, and ignores blocks of nodes that are not configured.
import type { HeartbeatSlot, Native, RegionGeometry } from "../../native-types.ts";
import { heartbeatGeometry, type Volume } from "../../volume.ts";
import { readClusterState, type ClusterState } from "../registered.ts";
import { failure, good, warning, type CheckContext, type Finding } from "./finding.ts";

const ID = "heartbeat-slots";
/** Two intervals of the heartbeat: every node that beats has written in it. */
const SETTLE_MS = 4000;
const INTERVAL_MS = 2000;

export async function slotFindings(volume: Volume, context: CheckContext): Promise<Finding[]> {
  const { native, signal } = context;
  const { device } = volume;
  let geometry: RegionGeometry;
  try {
    geometry = heartbeatGeometry(volume);
  } catch {
    // The check of the area says so.
    return [];
  }
  const live = await liveSlots(native, device, geometry, context, signal);
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

async function liveSlots(
  native: Native,
  device: string,
  geometry: RegionGeometry,
  context: CheckContext,
  signal: AbortSignal | undefined,
): Promise<HeartbeatSlot[]> {
  const first = await native.readHeartbeatSlots(device, geometry, { signal });
  const hopeful = first.filter(({ valid, generation }) => valid && generation !== 0n);
  if (hopeful.length === 0) return [];
  await context.pause(SETTLE_MS);
  const second = await native.readHeartbeatSlots(device, geometry, { signal });
  return hopeful.flatMap((before) => {
    const now = second.find(({ slot }) => slot === before.slot);
    const beats = now !== undefined && now.valid && now.generation !== 0n && now.sequence !== before.sequence;
    return beats ? [now] : [];
  });
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
