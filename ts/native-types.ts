// What the Rust core can do, as the TypeScript above it sees it: the interface `Native` and its plain data.
// One call is one kernel-visible action, or one critical section that must not be split; it holds no policy.
//
// Facts relied on: everything that can block runs on a thread of its own, never on libuv's pool, and settles a promise.
// A `signal` interrupts a blocked call with the cancel signal; the call then rejects with O2CB_ABORTED, or succeeds when
// the kernel was faster. Work that sleeps uninterruptibly cannot be cancelled by anything and settles when it settles.
// Failures are errors with `code`, `operation`, `errno` (negative), `syscall`, `path`, `kernelMessages` and `holder`.
//
// __test__/helpers/fake-native.ts is the other implementation: it keeps state, and can fail the n-th call.

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

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

export type PathKind = "directory" | "file" | "block" | "character" | "link" | "other";

export interface PathFacts {
  /** symbolic links followed */
  realPath: string;
  kind: PathKind;
  /** of the file system that holds it */
  device: DeviceNumber;
  /** the device it is, for block and character devices */
  represents: DeviceNumber | null;
  /** as in mountinfo */
  mountId: bigint;
  isMountRoot: boolean;
  /** statfs f_type */
  filesystemMagic: number;
}

/** One line of mountinfo. */
export interface MountEntry {
  id: bigint;
  parent: bigint;
  device: DeviceNumber;
  /** the path within the file system that is mounted: not "/" for a bind mount of a part */
  root: string;
  target: string;
  options: string;
  type: string;
  source: string;
  superOptions: string;
}

export interface SemaphoreFacts {
  references: number;
  mutexHeld: boolean;
  /** the last process that operated on the mutex; null when none did */
  lastPid: number | null;
}

/** The mutex of one region's semaphore set, held (group-api 3.6). Every method after release or destroy throws O2CB_NO_SEM. */
export interface RegionLock {
  readonly region: string;
  references(): number;
  /** +1; undo: the reference goes with this process. Returns the count after. */
  take(undo: boolean): number;
  /** -1 without waiting; false where the count was 0 already, because somebody's undo came first. */
  drop(undo: boolean): { dropped: boolean; references: number };
  /** makes one reference of this process persistent: +1 without undo and -1 with it, in one atomic operation */
  handOver(): void;
  /** IPC_RMID; takes the place of release */
  destroy(): void;
  /** releasing twice does nothing */
  release(): void;
}

/** Something held until released; releasing twice does nothing. */
export interface Held {
  release(): void;
}

export interface MountRequest {
  source: string;
  target: string;
  type: string;
  /** MS_* bits */
  flags: number;
  /** file system options, without the VFS ones */
  options: readonly string[];
  /** `fsopen`: the new calls, whose context carries the kernel's own messages; `mount`: mount(2) */
  api: "fsopen" | "mount";
  /** path of a mount namespace to do it in; null = this one */
  namespace: string | null;
}

export interface UnmountRequest {
  target: string;
  /** MNT_FORCE 1, MNT_DETACH 2, UMOUNT_NOFOLLOW 8 */
  flags: number;
  namespace: string | null;
}

/** A mount namespace with a process in it that stands for it. */
export interface MountNamespace {
  /** as the link /proc/PID/ns/mnt names it: `4026531841` */
  inode: string;
  pid: number;
}

export type WatchEvent =
  /** the superblock under a mount that was added has died; the mount's watch is gone with it */
  | { kind: "unmounted"; id: number }
  /** an entry of a directory that was added was made, removed or renamed */
  | { kind: "changed"; id: number; name: string | null }
  /** a directory that was added is gone itself */
  | { kind: "gone"; id: number }
  /** this namespace's mount table has changed */
  | { kind: "mounts" }
  /** the kernel dropped events: everything has to be looked at again */
  | { kind: "lost" };

/** One inotify instance and the mount table. It keeps no mount busy, and nothing runs but in `next`. */
export interface EventWatch extends Held {
  /**
   * Tells when the superblock under the mount root `path` dies, however it dies (IN_UNMOUNT). `path` may lead through
   * /proc/PID/root. Null where `path` is not on that device. The same superblock twice gives the same id.
   */
  addMount(path: string, device: DeviceNumber, options?: CallOptions): Promise<number | null>;
  /** tells when an entry of the directory is made, removed or renamed */
  addDirectory(path: string, options?: CallOptions): Promise<number>;
  /** an id that is gone already is none of its business */
  remove(id: number): void;
  /** waits for events, one at least; one call at a time. Events that come between two calls are kept. */
  next(options?: CallOptions): Promise<WatchEvent[]>;
}

/** How a lock of the distributed lock manager is held: PR by any number of nodes, EX by one. */
export type LockLevel = "PR" | "EX";

/** This process's membership in a lockspace of fs/dlm. */
export interface Lockspace {
  /**
   * Null only with `trylock`, where it is refused now. Given up by `signal` it settles once the DLM has answered that: an error means that
   * nothing is held, and a grant that was faster stands.
   */
  lock(
    name: string,
    level: LockLevel,
    trylock: boolean,
    options?: CallOptions,
  ): Promise<LockspaceLock | null>;
  /** O2CB_DOMAIN_IN_USE while this process holds or awaits a lock of it. Nothing can end it; twice does nothing. */
  close(): Promise<void>;
}

/** A lock of fs/dlm, held by this process: other processes of this node are kept out like other nodes. */
export interface LockspaceLock {
  /** 32 bytes: what came with the lock, or was written since; null where it was lost with a holder. Never blocks. */
  readValue(): Uint8Array | null;
  /** exactly 32 bytes; needs EX; others see it after the release. Never blocks. */
  writeValue(value: Uint8Array): void;
  /** whether somebody else has wanted the lock since it was taken; never blocks */
  isWanted(): boolean;
  /** settles when somebody else wants the lock; O2CB_ABORTED where it is released meanwhile */
  wanted(options?: CallOptions): Promise<void>;
  /** gives it up and waits until the DLM says so, which nothing can end; twice does nothing */
  release(): Promise<void>;
}

/** One open file of dlmfs: a lock that this node holds through this process. */
export interface DlmLock {
  /** 64 bytes; none where the value was lost */
  readValue(options?: CallOptions): Promise<Uint8Array>;
  /** exactly 64 bytes, in one write; EBADF under PR */
  writeValue(value: Uint8Array, options?: CallOptions): Promise<void>;
  /** settles when another node waits for this lock; the lock cannot end meanwhile */
  waitBlocked(options?: CallOptions): Promise<void>;
  /** the same asked at once; never blocks */
  isBlocked(): boolean;
  /** ends this holder once no call above is at work; never blocks; twice does nothing */
  close(): void;
}

/** A place that this process holds against others of this node. */
export interface RangeLock extends Held {
  /** whether another process waits for it; never blocks */
  isAwaited(): boolean;
}

export interface ProgramRequest {
  /** looked for in PATH where it has no slash */
  file: string;
  args: readonly string[];
  /** what its environment has besides this process's */
  environment: Readonly<Record<string, string>>;
  /** descriptors of this process whose file's path holds one of these stay open in it and in its children */
  keepOpen: readonly string[];
}

/** A program with this process's standard streams and terminal. The kernel kills it when this process ends, however that comes about. */
export interface ForegroundProgram {
  readonly pid: number;
  /** sends a signal by its number; false where it has ended */
  kill(signal: number): boolean;
  /** its exit status, 128+n where signal n ended it */
  ended(): Promise<number>;
}

export interface Native {
  // -- volumes and devices
  readVolume(device: string, options?: CallOptions): Promise<VolumeFacts>;
  /**
   * O_DIRECT. A slot map or journal that cannot be used is O2CB_BAD_DIRECTORY; with `partial` it is missing, and among the
   * problems.
   */
  inspectVolume(
    device: string,
    options?: CallOptions & { partial?: boolean | undefined },
  ): Promise<VolumeDetails>;
  /** every block device with a size, in the kernel's order */
  listBlockDevices(options?: CallOptions): Promise<BlockDeviceFacts[]>;
  /** O_DIRECT; what each device carries, in their order, by `threads` threads at a time. One device's failure is its own. */
  scanVolumes(
    devices: readonly string[],
    slotMaps: boolean,
    threads: number,
    options?: CallOptions,
  ): Promise<ScannedDevice[]>;
  /** O_DIRECT */
  readHeartbeatSlots(
    device: string,
    geometry: RegionGeometry,
    options?: CallOptions,
  ): Promise<HeartbeatSlot[]>;
  /** O_DIRECT; writes nothing. O2CB_UNSUPPORTED_VOLUME for a change that this volume cannot hold. */
  readSuperblocks(device: string, change: SuperblockChange, options?: CallOptions): Promise<Superblocks>;
  /**
   * Makes block `block` `new` where it is `old`: one sector, O_DIRECT, written out, and read back past the cache. False where it was `new`
   * already. O2CB_VERIFY_FAILED where it is neither, or does not read back; O2CB_UNSUPPORTED_VOLUME for what is no change of a superblock.
   */
  writeSuperblock(
    device: string,
    copy: Pick<SuperblockCopy, "block" | "old" | "new">,
    options?: CallOptions,
  ): Promise<boolean>;
  /** open O_RDONLY|O_EXCL; null where something claims the device (EBUSY). Holding it keeps mounts away. */
  claimDevice(device: string, options?: CallOptions): Promise<Held | null>;

  // -- paths, attributes, directories
  inspectPath(path: string, namespace: string | null, options?: CallOptions): Promise<PathFacts>;
  /** the whole file as text, bytes that are not UTF-8 replaced; at most 64 KiB */
  readAttribute(path: string, options?: CallOptions): Promise<string>;
  /** exactly one write(2), at most 4095 bytes; a short write is an error */
  writeAttribute(path: string, value: string, options?: CallOptions): Promise<void>;
  /** names of the sub-directories, in the kernel's order, without following links */
  listDirectories(path: string, options?: CallOptions): Promise<string[]>;
  /** mkdir, mode 0755 */
  makeDirectory(path: string, options?: CallOptions): Promise<void>;
  removeDirectory(path: string, options?: CallOptions): Promise<void>;
  readLink(path: string, options?: CallOptions): Promise<string>;
  /** names of all entries but sub-directories */
  listFiles(path: string, options?: CallOptions): Promise<string[]>;
  /**
   * Makes `content` the whole of a file, or changes nothing: a temporary file beside it (`.NAME.PID.N.tmp`) with `mode`, fsync,
   * rename, fsync of the directory, which is created (0755) where missing. A link at `path` is followed.
   */
  replaceFile(path: string, content: string, mode: number, options?: CallOptions): Promise<void>;
  /** unlink(2) */
  removeFile(path: string, options?: CallOptions): Promise<void>;

  // -- regions
  /** opens the device read-write and writes the descriptor's number to `<directory>/dev`; blocks until the heartbeat is steady */
  startHeartbeat(directory: string, device: string, options?: CallOptions): Promise<void>;
  /** the region's mutex. `create` false: null where no set exists. O2CB_TIMEOUT with `holder` after timeoutMs. */
  lockRegion(
    region: string,
    create: boolean,
    timeoutMs: number,
    options?: CallOptions,
  ): Promise<RegionLock | null>;
  /** without the mutex, without creating anything; null where no set exists */
  regionSemaphores(region: string): Promise<SemaphoreFacts | null>;

  // -- mounts
  mount(request: MountRequest, options?: CallOptions): Promise<void>;
  unmount(request: UnmountRequest, options?: CallOptions): Promise<void>;
  mounts(namespace: string | null, options?: CallOptions): Promise<MountEntry[]>;
  /** every mount namespace that has a process, this one first */
  mountNamespaces(options?: CallOptions): Promise<MountNamespace[]>;
  watchEvents(options?: CallOptions): Promise<EventWatch>;

  // -- the distributed lock manager
  /**
   * Joins a lockspace of fs/dlm through libdlm, which is loaded then; made (0600) where this node has none of that name. It waits for
   * dlm_controld, and nothing can end that. O2CB_DLM_UNAVAILABLE without the library or the kernel's control device.
   */
  openLockspace(name: string, options?: CallOptions): Promise<Lockspace>;
  /**
   * open(2) of a lock's file in dlmfs, made where missing (0664). With `trylock` null where it is refused now (ETXTBSY); without it the
   * call may sleep where nothing can end it, and this process with it.
   */
  openDlmLock(
    path: string,
    level: LockLevel,
    trylock: boolean,
    options?: CallOptions,
  ): Promise<DlmLock | null>;
  /**
   * The same without `trylock`, in a process of its own: this one can end meanwhile, and the lock is then given up when it is granted. `place` stays
   * held for as long as that process waits. Given up by `signal` it mostly still gives the lock, later.
   */
  openDlmLockApart(
    path: string,
    level: LockLevel,
    place: RangeLock | null,
    options?: CallOptions,
  ): Promise<DlmLock>;
  /** unlink(2): the node gives a cached lock up. False where somebody on this node holds it (EBUSY), true where it is not there. */
  unlinkDlmLock(path: string, options?: CallOptions): Promise<boolean>;
  /**
   * A lock on one place (below 2^62) of a file that is created where missing (0600, two directories above it 0755), between all
   * opens of it on this node; first come, first served among those that wait. Null without `wait` where it is held.
   */
  lockRange(
    path: string,
    place: bigint,
    how: { exclusive: boolean; wait: boolean },
    options?: CallOptions,
  ): Promise<RangeLock | null>;

  // -- the rest
  /** ioprio_set(2) for one process */
  setIoPriority(pid: number, ioClass: number, level: number): Promise<void>;
  /** runs a program by absolute path with an empty environment but PATH and LC_ALL=C; its exit status (128+n for a signal) */
  runProgram(path: string, args: readonly string[], options?: CallOptions): Promise<number>;
  /** fork(2) and execve(2); the error has the latter's errno, such as ENOENT */
  startProgram(request: ProgramRequest): Promise<ForegroundProgram>;
  /** flock(2) LOCK_EX on a file that is created (0600, its directory 0755) where missing; O2CB_TIMEOUT after timeoutMs */
  lockFile(path: string, timeoutMs: number, options?: CallOptions): Promise<Held>;
  /** connects to an abstract Unix stream socket by its exact name; the descriptor, close-on-exec, non-blocking */
  connectAbstract(name: string, options?: CallOptions): Promise<number>;
}
