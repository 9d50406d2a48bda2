// Which nodes beat on a volume, from the blocks on the disk and from what this host's kernel has seen.
//
// Facts relied on (kernel-abi 2.3, 3): what debugfs lists as live, this kernel has seen beating within the dead time; it looks at configured
// nodes only. In global mode nodes beat in the cluster's regions, not in the volume's. Nobody beats for a user stack: there corosync knows who
// is a member, as far as this node's side of the cluster is the one with quorum.
import type { Native } from "../native-types.ts";
import { beatingBlocks, type WatchBlocksOptions } from "../region/heartbeat-blocks.ts";
import { liveNodes } from "../region/live-nodes.ts";
import { corosyncMembers } from "../stack/user-cluster.ts";
import { CLASSIC_STACK, heartbeatArea, type Volume } from "../volume.ts";

export type BeatOptions = WatchBlocksOptions;

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
  if (volume.isLocal) return NOTHING;
  if (volume.stack !== CLASSIC_STACK) {
    const live = await corosyncMembers(native, volume.cluster, options.signal);
    return { ...NOTHING, live, isComplete: live.size > 0 };
  }
  const area = heartbeatArea(volume);
  const onVolume = new Set(await liveNodes(native, volume.uuid));
  if ("geometry" in area)
    for (const { slot } of await beatingBlocks(native, volume.device, area.geometry, onVolume, options))
      onVolume.add(slot);
  if (volume.heartbeatMode === "local") return { live: onVolume, isComplete: "geometry" in area, onVolume };
  const live = await liveNodes(native);
  return { live: new Set([...(live ?? []), ...onVolume]), isComplete: live !== null, onVolume };
}
