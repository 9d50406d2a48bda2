// The heartbeat blocks on a disk: which of them a node may stand behind, and behind which one beats.
//
// Facts relied on (kernel-abi 2.3, 2.4): a block beats if its checksum holds, its generation is not 0 and its sequence changes, which it
// does every 2 s; the sequence is the writer's clock, so one look cannot tell.
import type { HeartbeatSlot, Native, RegionGeometry } from "../native-types.ts";
import { pause as realPause } from "../pause.ts";

/** The heartbeat's interval, and the time in which each node that beats has surely written. */
const INTERVAL_MS = 2000;
const SETTLE_MS = 4000;

export interface WatchBlocksOptions {
  signal?: AbortSignal | undefined;
  /** how it waits between two looks; a test has no time to */
  pause?: ((milliseconds: number) => Promise<void>) | undefined;
}

/** Not empty, not left cleanly, and whole. */
export function isInUse({ valid, sequence, generation }: HeartbeatSlot): boolean {
  return valid && sequence !== 0n && generation !== 0n;
}

/**
 * The blocks that change, apart from those of nodes that are `known` to beat; each as it was seen last. Waits 2 to 4 s where the
 * first look leaves a question, else not at all. Errors: those of reading the device.
 */
export async function beatingBlocks(
  native: Native,
  device: string,
  geometry: RegionGeometry,
  known: ReadonlySet<number>,
  { signal, pause = (milliseconds) => realPause(milliseconds, signal) }: WatchBlocksOptions,
): Promise<HeartbeatSlot[]> {
  const first = await native.readHeartbeatSlots(device, geometry, { signal });
  let open = first.filter((block) => isInUse(block) && !known.has(block.slot));
  const found: HeartbeatSlot[] = [];
  for (let waited = 0; open.length > 0 && waited < SETTLE_MS; waited += INTERVAL_MS) {
    await pause(INTERVAL_MS);
    const now = await native.readHeartbeatSlots(device, geometry, { signal });
    open = open.filter((before) => {
      const after = now[before.slot];
      const beats = after !== undefined && isInUse(after) && after.sequence !== before.sequence;
      if (beats) found.push(after);
      return !beats;
    });
  }
  return found.toSorted((one, other) => one.slot - other.slot);
}
