// What the Rust core can do, as the TypeScript above it sees it: the interface `Native` and its plain data.
// One call is one kernel-visible action, or one critical section that must not be split; it holds no policy.
//
// Facts relied on: everything that can block runs on a thread of its own, never on libuv's pool, and settles a promise.
// A `signal` interrupts a blocked call with the cancel signal; the call then rejects with O2CB_ABORTED, or succeeds when
// the kernel was faster. Work that sleeps uninterruptibly cannot be cancelled by anything and settles when it settles.
// Failures are errors with `code`, `operation`, `errno` (negative), `syscall`, `path`, `kernelMessages` and `holder`.
//
// __test__/helpers/fake-native.ts is the other implementation: it keeps state, and can fail the n-th call.

import type {
  LockLevel,
  Lockspace,
  DlmLock,
  RangeLock,
  ProgramRequest,
  ForegroundProgram,
} from "./native-dlm-types.ts";
import type { ByteChannel } from "./native-channel-types.ts";
import type { NativeStack } from "./native-stack-types.ts";
import type {
  DeviceNumber,
  VolumeFacts,
  VolumeDetails,
  BlockDeviceFacts,
  ScannedDevice,
  SuperblockChange,
  SuperblockCopy,
  Superblocks,
  HeartbeatSlot,
  RegionGeometry,
} from "./native-volume-types.ts";

export type * from "./native-channel-types.ts";
export type * from "./native-dlm-types.ts";
export type * from "./native-stack-types.ts";
export type * from "./native-volume-types.ts";

export interface CallOptions {
  signal?: AbortSignal | undefined;
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

export interface Native extends NativeStack {
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
  /** Gives this process's program code back to the page cache, from where it comes again as it is used; how many bytes of it were mapped. */
  releaseCode(): number;
  /** connects to an abstract Unix stream socket by its exact name; waits where its backlog is full. ECONNREFUSED where nobody listens,
   * O2CB_SERVICE_UNAVAILABLE without errno where neither root nor this process's own user does. */
  connectAbstract(name: string, options?: CallOptions): Promise<ByteChannel>;
}
