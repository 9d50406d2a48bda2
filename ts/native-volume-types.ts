// What the Rust core tells of volumes and their devices, and what it is given to change one: plain data of `Native` (native-types.ts, which
// passes it on; import it from there). The facts are the disk's (disk-format specification), raw and without judgement.

/** A block device's number. */
export interface DeviceNumber {
  major: number;
  minor: number;
}

/** What the first bytes of a volume say (disk-format specification, sections 1 and 2.4); raw facts, no judgement. */
export interface VolumeFacts {
  /** the path it was read through, as given */
  device: string;
  deviceNumber: DeviceNumber | null;
  /** false for an image file */
  isBlockDevice: boolean;
  /** BLKROGET: the device itself refuses writes */
  isReadOnly: boolean;
  deviceBytes: bigint;
  /** logical sector size; 512 for an image file */
  sectorBytes: number;
  /** 32 upper-case hexadecimal digits */
  uuid: string;
  label: string;
  blockBytes: number;
  clusterBytes: number;
  clusters: number;
  maxSlots: number;
  featureCompat: number;
  featureIncompat: number;
  featureRoCompat: number;
  /** 4 bytes up to a NUL, or null where the volume carries no cluster information (classic) */
  stackLabel: string | null;
  stackFlags: number;
  clusterName: string | null;
  /** the heartbeat file's only extent; null where it is not one extent of depth 0, with the reason in `heartbeatProblem` */
  heartbeat: { startBlock: bigint; clusters: number } | null;
  heartbeatProblem: string | null;
}

/** The rest of a superblock (disk-format 1.3). */
export interface SuperblockFields {
  /** blocks of the two directories' inodes */
  rootBlock: bigint;
  systemBlock: bigint;
  /** in every inode of this volume */
  fsGeneration: number;
  /** of the superblock's own inode */
  generation: number;
  /** the kernel does not count */
  mountCount: number;
  maxMountCount: number;
  /** bit 0: errors were seen */
  state: number;
  errorBehaviour: number;
  /** seconds; 0 = never */
  checkInterval: number;
  /** seconds since 1970 */
  lastCheck: bigint;
  creatorOs: number;
  /** operations of tunefs.ocfs2 that were not finished */
  tunefsFlags: number;
  /** 0 where no feature needs it */
  uuidHash: number;
  firstClusterGroup: bigint;
  inlineXattrBytes: number;
  directoryHashSeeds: number[];
  /** as they stand on the disk; 0 without the feature metaecc. They were verified. */
  checkCrc: number;
  checkEcc: number;
}

export interface InodeFacts {
  generation: number;
  /** bytes */
  size: bigint;
  clusters: number;
  mode: number;
  /** disk-format 2.1 */
  flags: number;
  /** of the cluster bitmap and the allocators, else null */
  bitsUsed: number | null;
  bitsAll: number | null;
}

export interface SystemFile {
  name: string;
  /** of its inode */
  block: bigint;
  isDirectory: boolean;
  /** null where it cannot be used, with the reason in `problem` */
  inode: InodeFacts | null;
  problem: string | null;
}

/** A slot that a node has taken: it has the volume mounted, or died and nobody has recovered it. */
export interface SlotOwner {
  slot: number;
  node: number;
}

/** A slot's journal, as its inode tells (disk-format 4). */
export interface JournalFacts {
  slot: number;
  /** of its inode */
  block: bigint;
  /** of its inode */
  generation: number;
  /** mounted, or in need of recovery */
  dirty: boolean;
  recoveryGeneration: number;
}

/** A copy of the superblock that a volume of its size should have. */
export interface SuperblockBackup {
  block: bigint;
  /** why it cannot be used */
  problem: string | null;
}

/** Everything a volume says of itself (disk-format 1 to 4). Each block is right in itself; two may be of two moments. */
export interface VolumeDetails extends VolumeFacts {
  superblock: SuperblockFields;
  /** in the order of the disk */
  systemFiles: SystemFile[];
  /** the taken slots, by number */
  slotMap: SlotOwner[];
  /** of every slot, by number */
  journals: JournalFacts[];
  backups: SuperblockBackup[];
  /** slot map and journals that cannot be used and are missing above; empty unless `partial` was asked for */
  problems: { what: string; why: string }[];
}

/** A block device as the kernel lists it; raw facts. */
export interface BlockDeviceFacts {
  /** the kernel's */
  name: string;
  number: DeviceNumber;
  /** to the KiB */
  bytes: bigint;
  /** the whole disk that it is a partition of */
  parent: string | null;
  /** the kernel's names of devices that stand on it: of the device mapper, md, bcache */
  holders: string[];
  /** of a mapped device that has a node of this name in /dev/mapper */
  mapperName: string | null;
}

/**
 * What has the signature of a volume, damaged or not. Label, stack and cluster have one character for each byte, since they need not be
 * UTF-8: Buffer.from(label, "latin1").
 */
export interface ScannedVolume {
  /** 32 upper-case hexadecimal digits */
  uuid: string;
  label: string;
  featureIncompat: number;
  /** null where the volume carries no cluster information */
  stackLabel: string | null;
  stackFlags: number;
  clusterName: string | null;
  /** why its superblock cannot be used; null where it can */
  problem: string | null;
  /** the taken slots; null where they were not asked for, or cannot be read */
  slotMap: SlotOwner[] | null;
  slotMapProblem: string | null;
}

export interface ScannedDevice {
  /** as given */
  device: string;
  /** null where there is none */
  volume: ScannedVolume | null;
  /** why the device could not be read: a code, and what happened; null where it could */
  code: string | null;
  failure: string | null;
}

/** Which cluster a volume belongs to (disk-format 1.3). */
export interface ClusterStamp {
  /** 4 bytes */
  stack: string;
  /** bit 0: o2cb's global heartbeat */
  flags: number;
  /** 1 to 16 bytes */
  cluster: string;
}

/** What is to be changed in a superblock; what is absent stays. */
export interface SuperblockChange {
  /** up to 64 bytes */
  label?: string | undefined;
  /** 32 upper-case hexadecimal digits */
  uuid?: string | undefined;
  /** for one node, or for a cluster */
  local?: boolean | undefined;
  /** null: without a stamp (classic) */
  stamp?: ClusterStamp | null | undefined;
}

/** Bytes of a block in which two superblocks differ. */
export interface SuperblockField {
  field: "check" | "features" | "label" | "uuid" | "stamp";
  /** in the block */
  start: number;
  length: number;
}

/** One copy of the superblock, and what a change makes of it. */
export interface SuperblockCopy {
  block: bigint;
  /** of the block, in bytes */
  offset: bigint;
  /** the whole block as it is */
  old: Uint8Array;
  /** the whole block as it would be */
  new: Uint8Array;
  /** in what the two differ */
  fields: SuperblockField[];
  /** why it must not be written, as a phrase; `new` is then what `old` is */
  problem: string | null;
}

/** The superblock and all its copies (disk-format 1.2); nothing else of the volume was read. */
export interface Superblocks {
  device: string;
  deviceNumber: DeviceNumber | null;
  isReadOnly: boolean;
  deviceBytes: bigint;
  sectorBytes: number;
  /** as they are, from the primary */
  uuid: string;
  /** the bytes up to the first NUL */
  label: Uint8Array;
  blockBytes: number;
  clusterBytes: number;
  maxSlots: number;
  rootBlock: bigint;
  systemBlock: bigint;
  firstGroupBlock: bigint;
  featureCompat: number;
  featureIncompat: number;
  featureRoCompat: number;
  /** the primary, then the backups by their place. All get what the primary has or is to have. */
  copies: SuperblockCopy[];
}

export interface HeartbeatSlot {
  slot: number;
  /** whether the checksum over `blockBytes` holds */
  valid: boolean;
  /** seconds; 0 = never written */
  sequence: bigint;
  node: number;
  /** 0 = left cleanly */
  generation: bigint;
  deadMs: number;
}

export interface RegionGeometry {
  /** in units of blockBytes */
  startBlock: bigint;
  blockBytes: number;
  blocks: number;
}
