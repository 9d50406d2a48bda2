// Everything a volume says of itself, judged and with names: for people who look at one, and for programs that make them one.
//
// Facts relied on: disk-format 1 to 4, kernel-abi 2. Reads only, past the page cache; the volume may be mounted, here and elsewhere: then each
// part is right in itself, and two parts may be of two moments. What is damaged is told and does not keep the rest from being shown.
import type {
  HeartbeatSlot,
  JournalFacts,
  Native,
  RegionGeometry,
  SuperblockBackup,
  SuperblockFields,
  SystemFile,
} from "../native-types.ts";
import { heartbeatArea, openVolume, type Volume } from "../volume.ts";
import { featureNames, type FeatureNames } from "./features.ts";
import { nodeNames } from "./node-names.ts";

export interface InspectOptions {
  /** default /etc/ocfs2/cluster.conf; for names of nodes only */
  configPath?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface InspectedSlot {
  slot: number;
  /** null: the slot is free */
  node: number | null;
  /** null where no cluster here knows the number */
  name: string | null;
  /** null where its inode cannot be used, with the reason in `problems` */
  journal: Omit<JournalFacts, "slot"> | null;
}

export interface InspectedBlock extends Omit<HeartbeatSlot, "slot"> {
  /** the block's place, which is the number of the node that it belongs to */
  slot: number;
  name: string | null;
}

export interface VolumeInspection {
  volume: Volume;
  deviceBytes: bigint;
  clusters: number;
  /** null where the bitmap's inode cannot be used */
  clustersInUse: number | null;
  features: FeatureNames;
  superblock: SuperblockFields;
  backups: SuperblockBackup[];
  /** of every slot */
  slots: InspectedSlot[];
  /** in the kernel's units; null where there is no area that can be used, with the reason in `problems` */
  heartbeat: { geometry: RegionGeometry; blocks: InspectedBlock[] } | null;
  systemFiles: SystemFile[];
  /** what should be there and cannot be used */
  problems: { what: string; why: string }[];
}

/** Errors: those of openVolume, O2CB_BAD_DIRECTORY where the system directory is damaged, O2CB_IO. */
export async function inspectVolume(
  native: Native,
  device: string,
  { configPath, signal }: InspectOptions = {},
): Promise<VolumeInspection> {
  const volume = await openVolume(native, device, { signal });
  const names = await nodeNames(native, volume, { signal, configPath });
  const details = await native.inspectVolume(device, { signal, partial: true });
  const { systemFiles, slotMap, journals } = details;
  const problems = [
    ...details.problems,
    ...details.backups.flatMap(({ block, problem }) =>
      problem === null ? [] : [{ what: `backup superblock in block ${block}`, why: problem }],
    ),
    ...systemFiles.flatMap(({ name, problem }) => (problem === null ? [] : [{ what: name, why: problem }])),
  ];
  const nameOf = (node: number): string | null => names.get(node) ?? null;
  const slots = Array.from({ length: volume.maxSlots }, (_, slot): InspectedSlot => {
    const node = slotMap.find((one) => one.slot === slot)?.node ?? null;
    const { slot: _slot, ...journal } = journals.find((one) => one.slot === slot) ?? { slot };
    return {
      slot,
      node,
      name: node === null ? null : nameOf(node),
      journal: "block" in journal ? journal : null,
    };
  });
  const area = heartbeatArea(volume);
  if ("why" in area) problems.push({ what: "heartbeat area", why: area.why });
  const blocks = "why" in area ? [] : await native.readHeartbeatSlots(device, area.geometry, { signal });
  return {
    volume,
    deviceBytes: details.deviceBytes,
    clusters: details.clusters,
    clustersInUse: systemFiles.find(({ name }) => name === "global_bitmap")?.inode?.bitsUsed ?? null,
    features: featureNames(details),
    superblock: details.superblock,
    backups: details.backups,
    slots,
    heartbeat:
      "why" in area
        ? null
        : {
            geometry: area.geometry,
            blocks: blocks
              .filter(isWritten)
              .map((block) => Object.assign(block, { name: nameOf(block.slot) })),
          },
    systemFiles,
    problems,
  };
}

function isWritten({ valid, sequence }: HeartbeatSlot): boolean {
  return !valid || sequence !== 0n;
}
