// Which nodes beat on a volume, from the blocks on the disk and from what this host's kernel has seen.
//
// Facts relied on (kernel-abi 2.3, 2.4, 3): a block beats if its checksum holds, its generation is not 0 and its sequence changes, which
// it does every 2 s; the sequence is the writer's clock, so one look cannot tell. What debugfs lists as live, this kernel has seen
// beating within the dead time; it looks at configured nodes only. In global mode nodes beat in the cluster's regions, not in the volume's.
import { readHint } from "../attributes.ts";
import { isCode } from "../errors.ts";
import type { HeartbeatSlot, Native, RegionGeometry } from "../native-types.ts";
import { pause as realPause } from "../pause.ts";
import { CLASSIC_STACK, heartbeatGeometry, type Volume } from "../volume.ts";

const DEBUG = "/sys/kernel/debug/o2hb";
/** The heartbeat's interval, and the time in which each node that beats has surely written. */
const INTERVAL_MS = 2000;
const SETTLE_MS = 4000;

export interface BeatOptions {
  signal?: AbortSignal | undefined;
  /** how it waits between two looks; a test has no time to */
  pause?: ((milliseconds: number) => Promise<void>) | undefined;
}

export interface Beats {
  /** numbers of the nodes that beat where those beat that have this volume mounted */
  live: ReadonlySet<number>;
  /** whether a node that is not live is known not to be */
  isComplete: boolean;
  /** numbers of the nodes that beat on the volume itself; in global mode only a region's volume has any */
  onVolume: ReadonlySet<number>;
}

const NOTHING: Beats = { live: new Set(), isComplete: false, onVolume: new Set() };

/** Waits 2 to 4 s where the first look leaves a question, else not at all. Errors: those of reading the device. */
export async function beatingNodes(
  native: Native,
  volume: Volume,
  options: BeatOptions = {},
): Promise<Beats> {
  // Nobody beats for a local volume, and other stacks have no blocks.
  if (volume.isLocal || volume.stack !== CLASSIC_STACK) return NOTHING;
  const geometry = geometryOf(volume);
  const seen = await liveInKernel(native, volume.uuid);
  const onVolume = new Set(seen ?? []);
  if (geometry !== null)
    for (const node of await beatingOnDisk(native, volume.device, geometry, onVolume, options))
      onVolume.add(node);
  if (volume.heartbeatMode === "local") return { live: onVolume, isComplete: geometry !== null, onVolume };
  const live = await liveInKernel(native, null);
  return { live: new Set([...(live ?? []), ...onVolume]), isComplete: live !== null, onVolume };
}

function geometryOf(volume: Volume): RegionGeometry | null {
  try {
    return heartbeatGeometry(volume);
  } catch (error) {
    if (isCode(error, "O2CB_BAD_HEARTBEAT_FILE", "O2CB_INVALID_BLOCK_SIZE")) return null;
    throw error;
  }
}

/** Live nodes of a region of this host, or of all its regions; null where there is none, or debugfs does not tell. */
async function liveInKernel(native: Native, region: string | null): Promise<number[] | null> {
  const text = await readHint(
    native,
    region === null ? `${DEBUG}/livenodes` : `${DEBUG}/${region}/livenodes`,
  );
  return text === null ? null : text.split(/\s+/).filter(Boolean).map(Number);
}

/** Nodes whose blocks change, apart from those that are `known` to beat. */
async function beatingOnDisk(
  native: Native,
  device: string,
  geometry: RegionGeometry,
  known: ReadonlySet<number>,
  { signal, pause = (milliseconds) => realPause(milliseconds, signal) }: BeatOptions,
): Promise<number[]> {
  const first = await native.readHeartbeatSlots(device, geometry, { signal });
  let open = first.filter((block) => isInUse(block) && !known.has(block.slot));
  const found: number[] = [];
  for (let waited = 0; open.length > 0 && waited < SETTLE_MS; waited += INTERVAL_MS) {
    await pause(INTERVAL_MS);
    const now = await native.readHeartbeatSlots(device, geometry, { signal });
    const changes = (before: HeartbeatSlot): boolean => {
      const after = now[before.slot];
      return after !== undefined && isInUse(after) && after.sequence !== before.sequence;
    };
    found.push(...open.filter(changes).map(({ slot }) => slot));
    open = open.filter((before) => !changes(before));
  }
  return found;
}

/** Not empty, not left cleanly, and whole. */
function isInUse({ valid, sequence, generation }: HeartbeatSlot): boolean {
  return valid && sequence !== 0n && generation !== 0n;
}
