// Block devices and the volumes on them: facts as the reader of disks reports them, heartbeat slots, and who claims the device.
//
// Facts relied on: disk-format 1.3, 2.4 (stamp, heartbeat area); kernel-abi 2 (slots), 1.6 (a slot of node N lies at
// start_block + N); commands facts 2 and 3 (an exclusive open is refused while anything claims the device, and refuses mounts).
// There are no bytes: nothing here is parsed.
import { createHash } from "node:crypto";
import type {
  BlockDeviceFacts,
  DeviceNumber,
  HeartbeatSlot,
  RegionGeometry,
  VolumeFacts,
} from "../../../ts/native-types.ts";
import { SlotState } from "./volume-details.ts";

export interface VolumeSettings {
  /** 32 upper-case hexadecimal digits; default: one of its own */
  uuid?: string;
  label?: string;
  /** the stamp's 4-byte label; null: a volume without a stamp (classic, local heartbeat). Default `o2cb` */
  stack?: string | null;
  /** the stamp's cluster; default `lab` */
  cluster?: string;
  /** formatted for global heartbeat */
  global?: boolean;
  /** formatted for one node */
  local?: boolean;
  /** holds heartbeat slots only */
  heartbeatDevice?: boolean;
  blockBytes?: number;
  clusterBytes?: number;
  /** file system block where the heartbeat file's extent begins */
  heartbeatStart?: bigint;
  /** why there is no usable heartbeat file */
  heartbeatProblem?: string;
  maxSlots?: number;
}

/** What the first blocks of a volume say, apart from the device it is on. */
export type VolumeContent = Omit<
  VolumeFacts,
  "device" | "deviceNumber" | "isBlockDevice" | "isReadOnly" | "deviceBytes" | "sectorBytes"
>;

let volumes = 0;

/** A volume of any kind; pass it to `kernel.addDisk`. */
export function volume(settings: VolumeSettings = {}): VolumeContent {
  const stack = settings.stack === undefined ? "o2cb" : settings.stack;
  const stamped = stack !== null;
  const blockBytes = settings.blockBytes ?? 4096;
  const clusterBytes = settings.clusterBytes ?? blockBytes;
  const start = settings.heartbeatStart ?? 273n;
  const stamp = stack === "o2cb" ? 0x4000 : 0x80;
  return {
    uuid:
      settings.uuid ??
      createHash("md5")
        .update(`volume ${(volumes += 1)}`)
        .digest("hex")
        .toUpperCase(),
    label: settings.label ?? "",
    blockBytes,
    clusterBytes,
    clusters: 262_144,
    maxSlots: settings.maxSlots ?? (settings.heartbeatDevice ? 0 : 8),
    featureCompat: 0x3,
    featureIncompat:
      0x110 | (settings.heartbeatDevice ? 0x2 : 0) | (settings.local ? 0x8 : 0) | (stamped ? stamp : 0),
    featureRoCompat: 0x1,
    stackLabel: stack,
    stackFlags: settings.global ? 1 : 0,
    clusterName: stamped ? (settings.cluster ?? "lab") : null,
    heartbeat:
      settings.heartbeatProblem === undefined
        ? { startBlock: start, clusters: Math.max(1, (256 * blockBytes) / clusterBytes) }
        : null,
    heartbeatProblem: settings.heartbeatProblem ?? null,
  };
}

export interface DiskSettings {
  /** the kernel's name, as in /dev and /sys/fs/ocfs2 */
  name: string;
  number: DeviceNumber;
  volume?: VolumeContent | null;
  sectorBytes?: number;
  bytes?: bigint;
  readOnly?: boolean;
  /** an image file: no device at all */
  image?: boolean;
  /** what it is a partition of, what stands on it, and its name where it is mapped */
  above?: Partial<BlockDevice["above"]>;
}

export class BlockDevice {
  readonly name: string;
  readonly number: DeviceNumber;
  readonly sectorBytes: number;
  readonly bytes: bigint;
  readonly isImage: boolean;
  /** by byte offset */
  readonly slots = new Map<bigint, HeartbeatSlot>();
  /** slot map and journals; they follow mounts */
  readonly slotState = new SlotState();
  readonly above: Pick<BlockDeviceFacts, "parent" | "holders" | "mapperName">;
  /** what the backups of the superblock say; as many as there are, from the first place on */
  backups: VolumeContent[] = [];
  /** byte offsets of the superblocks that were written, in order */
  readonly superblockWrites: bigint[] = [];
  volume: VolumeContent | null;
  /** why the superblock has a signature and cannot be used, as a scan tells, nor any copy of it written */
  superblockProblem: string | null = null;
  readOnly: boolean;
  /** no read or write reaches the disk any more */
  broken = false;
  /** what claims it: a superblock, a process, or another driver (`dm`) */
  claim: { readonly by: string } | null = null;

  constructor(settings: DiskSettings) {
    this.name = settings.name;
    this.number = settings.number;
    this.volume = settings.volume ?? null;
    this.sectorBytes = settings.sectorBytes ?? 512;
    this.bytes = settings.bytes ?? 1n << 30n;
    this.readOnly = settings.readOnly ?? false;
    this.isImage = settings.image ?? false;
    this.above = { parent: null, holders: [], mapperName: null, ...settings.above };
  }

  facts(path: string, content: VolumeContent): VolumeFacts {
    return {
      ...content,
      device: path,
      deviceNumber: this.isImage ? null : { ...this.number },
      isBlockDevice: !this.isImage,
      isReadOnly: this.readOnly,
      deviceBytes: this.bytes,
      sectorBytes: this.isImage ? 512 : this.sectorBytes,
    };
  }

  readSlots({ startBlock, blockBytes, blocks }: RegionGeometry): HeartbeatSlot[] {
    return Array.from({ length: blocks }, (_, slot) => {
      const found = this.slots.get((startBlock + BigInt(slot)) * BigInt(blockBytes));
      // Zeros check out: the seed is 0 and nothing is inverted (kernel-abi 2.2).
      return found === undefined
        ? { slot, valid: true, sequence: 0n, node: 0, generation: 0n, deadMs: 0 }
        : { ...found, slot };
    });
  }

  writeSlot({ startBlock, blockBytes }: Omit<RegionGeometry, "blocks">, slot: HeartbeatSlot): void {
    this.slots.set((startBlock + BigInt(slot.slot)) * BigInt(blockBytes), slot);
  }
}
