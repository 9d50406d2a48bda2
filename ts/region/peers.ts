// Does this kernel see every node that beats in a region? Asked once its heartbeat is steady, before anything relies on it.
//
// Facts relied on: the kernel calls a start steady after three rounds of 2 s (kernel-abi 1.8), and sees another node only once that
// node's block has changed twice (2.3). A node that is slow for a few seconds, under load or behind a busy disk, is therefore missed:
// measured on 6.1, a mount that the C tool made within 4 s of its start joined the DLM's domain alone, took a slot, and replayed the
// journal of a node that was mounted and writing. A mount that waits until the kernel has seen the others cannot do that.
//
// A block's sequence is its writer's clock in seconds, its generation 0 after a clean leave. A node that died stays in its block: it
// counts as dead once it has been silent for the time that it names itself, by its own last date or by ours. Blocks of nodes that are
// not configured here are ignored by the kernel; one that beats is a node that this host would never speak to.
//
// Whether a node that the kernel does see is well is the kernel's business.
import { O2cbError } from "../errors.ts";
import type { HeartbeatSlot, Native, RegionGeometry } from "../native-types.ts";
import { pause } from "../pause.ts";
import type { LocalNode, RunningCluster } from "../stack/cluster.ts";
import { registeredNodes } from "../stack/registered-nodes.ts";
import { emit, type OnStep } from "../steps.ts";
import { isInUse } from "./heartbeat-blocks.ts";
import { liveNodes } from "./live-nodes.ts";

/** What the kernel assumes where it is not told (kernel-abi 0): drivers of the first years leave the field empty. */
const DEFAULT_DEAD_MS = 62_000;
const LOOK_EVERY_MS = 500;
/** So many changes of a block, each a beat of 2 s, and a kernel that looks every 2 s has seen two of them. */
const CHANGES_SEEN_BY_ALL = 3;
/** A node that beats all this time and is not seen will not be seen. */
const PATIENCE_MS = 120_000;

export interface PeersRequest {
  native: Native;
  device: string;
  region: string;
  geometry: RegionGeometry;
  node: LocalNode;
  cluster: RunningCluster;
  /** the blocks as they were some seconds ago, before the start; null where the region ran already */
  before: readonly HeartbeatSlot[] | null;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
  /** replaced by tests */
  clock?: PeersClock;
}

export interface PeersClock {
  /** milliseconds since 1970 */
  now(): number;
  pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void>;
}

/** One block, as it has been seen to change. */
interface Watched {
  last: HeartbeatSlot;
  /** when it was first seen as it is now */
  since: number;
  changes: number;
}

const systemClock: PeersClock = { now: () => Date.now(), pause };

/**
 * Settles when each node that beats in the region is seen by this kernel, or has been silent for its dead time.
 * Errors: O2CB_CONFIGURATION_ERROR (a node beats that this host does not know), O2CB_TIMEOUT (one that is never seen), O2CB_ABORTED,
 * those of reading the device.
 */
export async function seePeers(request: PeersRequest): Promise<void> {
  const { native, device, region, geometry, node, signal, onStep, clock = systemClock } = request;
  const began = clock.now();
  const watched = new Map<number, Watched>();
  for (const slot of request.before ?? []) look(watched, slot, began);
  let known: ReadonlySet<number> | undefined;
  for (let isTold = false; ;) {
    const slots = await native.readHeartbeatSlots(device, geometry, { signal });
    const live = await liveNodes(native);
    // Without debugfs a region that ran already says nothing: whoever started it has waited.
    if (live === null && request.before === null) return;
    const now = clock.now();
    const missing = slots.filter((slot) => {
      if (slot.slot === node.number || !isInUse(slot)) return false;
      const seen = look(watched, slot, now);
      return !(live?.includes(slot.slot) ?? seen.changes >= CHANGES_SEEN_BY_ALL) && !isDead(seen, now);
    });
    if (missing.length === 0) return;
    known ??= await knownNodes(request);
    for (const { slot } of missing) {
      const beats = (watched.get(slot)?.changes ?? 0) > 0;
      if (beats && known.size > 0 && !known.has(slot)) throw stranger(request, slot);
      if (beats && now - began > PATIENCE_MS) throw neverSeen(request, slot);
    }
    if (!isTold) emit(onStep, { step: "wait-nodes", region, nodes: missing.map(({ slot }) => slot) });
    isTold = true;
    await clock.pause(LOOK_EVERY_MS, signal);
  }
}

function look(watched: Map<number, Watched>, slot: HeartbeatSlot, now: number): Watched {
  const known = watched.get(slot.slot);
  if (known === undefined) {
    const first = { last: slot, since: now, changes: 0 };
    watched.set(slot.slot, first);
    return first;
  }
  if (known.last.sequence !== slot.sequence || known.last.generation !== slot.generation) {
    known.last = slot;
    known.since = now;
    known.changes += 1;
  }
  return known;
}

/** Silent for its dead time: as we have seen it or, where it has not moved at all, by the date it has written. */
function isDead({ last, since, changes }: Watched, now: number): boolean {
  const deadMs = last.deadMs === 0 ? DEFAULT_DEAD_MS : last.deadMs;
  return now - since > deadMs || (changes === 0 && now - Number(last.sequence) * 1000 > deadMs);
}

/** The numbers of the nodes that this host's kernel knows; empty where it does not tell. */
async function knownNodes({ native, cluster }: PeersRequest): Promise<ReadonlySet<number>> {
  const nodes = await registeredNodes(native, cluster).catch(() => []);
  return new Set(nodes.flatMap(({ number }) => number ?? []));
}

function stranger({ device, region, cluster }: PeersRequest, slot: number): O2cbError {
  return new O2cbError(
    "O2CB_CONFIGURATION_ERROR",
    `node ${slot} beats on '${device}', and cluster '${cluster.name}' of this host has no such node: the two would use the volume without knowing of each other`,
    {
      operation: "see-nodes",
      path: device,
      region,
      cluster: cluster.name,
      remedy: "make /etc/ocfs2/cluster.conf equal on all nodes, and register the cluster again",
    },
  );
}

function neverSeen({ device, region, cluster }: PeersRequest, slot: number): O2cbError {
  return new O2cbError(
    "O2CB_TIMEOUT",
    `node ${slot} beats on '${device}', but this host's kernel has not taken it for alive within ${PATIENCE_MS / 1000} s`,
    {
      operation: "see-nodes",
      path: device,
      region,
      cluster: cluster.name,
      remedy: "look at the kernel log of both nodes, and at the path to the disk",
    },
  );
}
