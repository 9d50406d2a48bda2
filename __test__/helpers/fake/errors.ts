// How the fake kernel says no, and how that reaches a caller of `Native`: as an O2cbError of the shape that the real native
// module gives it.
//
// Facts relied on: the code follows from the errno (crates/error, Code::from_errno) unless the operation knows better; those
// exceptions are the ones of crates/sys (volume, claim, heartbeat, region_lock, mount, lock_file).
import { constants } from "node:os";
import { errorCodes, type ErrorCode } from "../../../ts/error-codes.ts";
import { O2cbError } from "../../../ts/errors.ts";

const numbers = new Map<string, number>([
  ...Object.entries(constants.errno),
  // Node's table lacks these; ERESTARTSYS is the restart code that leaks from the lock manager (kernel-abi 7.2).
  ["ENOTBLK", 15],
  ["EBADR", 53],
  ["EUNATCH", 49],
  ["ERESTARTSYS", 512],
]);

/** The positive number of an errno. */
export function errnoNumber(name: string): number {
  const number = numbers.get(name);
  if (number === undefined) throw new TypeError(`'${name}' is no errno`);
  return number;
}

export interface RefusalFields {
  /** where it is not the call's own */
  operation?: string | undefined;
  syscall?: string | undefined;
  path?: string | undefined;
  /** where the native module knows a better code than the errno's */
  code?: ErrorCode | undefined;
  detail?: string | undefined;
  kernelMessages?: readonly string[] | undefined;
  holder?: number | undefined;
}

/** A failed system call inside the fake kernel. Only FakeProcess turns it into what callers see. */
export class Refusal extends Error {
  readonly errno: string | null;
  readonly fields: RefusalFields;

  constructor(errno: string | null, fields: RefusalFields = {}) {
    super(`${errno ?? fields.code ?? "refused"} ${fields.detail ?? fields.path ?? ""}`);
    this.errno = errno;
    this.fields = fields;
  }
}

export function refuse(errno: string, fields: RefusalFields = {}): never {
  errnoNumber(errno);
  throw new Refusal(errno, fields);
}

/** A failure that is no system call's: bad bytes, bad input. */
export function refuseWithCode(code: ErrorCode, detail: string, fields: RefusalFields = {}): never {
  throw new Refusal(null, { ...fields, code, detail });
}

export interface CallKind {
  /** as the Rust core names it */
  operation: string;
  /** the system call an injected failure is blamed on */
  syscall: string;
  /** what an errno means here; null: as everywhere */
  recode?: (errno: string) => ErrorCode | null;
}

/** What a failed open(2) of a device means (crates/sys, device::open_failed). */
export const openFailed = (errno: string): ErrorCode | null => {
  const code = codeFromErrno(errno);
  return code === "O2CB_SERVICE_UNAVAILABLE" || code === "O2CB_INTERNAL_FAILURE" || code === "O2CB_IO"
    ? "O2CB_BAD_DEVICE"
    : null;
};
const among =
  (code: ErrorCode, ...errnos: string[]) =>
  (errno: string): ErrorCode | null =>
    errnos.includes(errno) ? code : null;
const butForTheCaller =
  (code: ErrorCode) =>
  (errno: string): ErrorCode | null =>
    errno === "EPERM" || errno === "ENOMEM" ? null : code;

/** Only what is the caller's own trouble keeps its code (crates/sys, fsdlm). */
const dlmFailed = (errno: string): ErrorCode | null =>
  ["EPERM", "EACCES", "EROFS", "ENOMEM"].includes(errno) ? null : "O2CB_DLM_FAILED";
/** dlm_controld does not run, or has ended (crates/sys, dlm_control). */
const controldLost = (errno: string): ErrorCode | null =>
  ["ECONNREFUSED", "ECONNRESET", "ENOTCONN", "EPIPE"].includes(errno) ? "O2CB_SERVICE_UNAVAILABLE" : null;
/** ts/native-channel */
const otherEndGone = (errno: string): ErrorCode =>
  ["EPIPE", "ECONNRESET"].includes(errno) ? "O2CB_SERVICE_UNAVAILABLE" : "O2CB_IO";
/** crates/sys, dlmfs::refused */
const dlmRefused = (errno: string): ErrorCode | null =>
  ["EINTR", "ENOENT", "EPERM", "EACCES", "ENOMEM"].includes(errno) ? null : "O2CB_DLM_FAILED";

export const callKinds = {
  readVolume: { operation: "read-volume", syscall: "open", recode: openFailed },
  inspectVolume: { operation: "inspect-volume", syscall: "open", recode: openFailed },
  listBlockDevices: { operation: "list-block-devices", syscall: "read" },
  scanVolumes: { operation: "scan-volumes", syscall: "pread" },
  readSuperblocks: { operation: "read-superblocks", syscall: "pread", recode: openFailed },
  writeSuperblock: { operation: "write-superblock", syscall: "pwrite" },
  readHeartbeatSlots: {
    operation: "read-heartbeat-slots",
    syscall: "pread",
    recode: (errno) => (errno === "EIO" ? null : openFailed(errno)),
  },
  claimDevice: { operation: "claim-device", syscall: "open", recode: openFailed },
  inspectPath: { operation: "inspect-path", syscall: "realpath" },
  readAttribute: { operation: "read-attribute", syscall: "read" },
  writeAttribute: { operation: "write-attribute", syscall: "write" },
  listDirectories: { operation: "list-directories", syscall: "getdents" },
  makeDirectory: { operation: "make-directory", syscall: "mkdir" },
  removeDirectory: { operation: "remove-directory", syscall: "rmdir" },
  readLink: { operation: "read-link", syscall: "readlink" },
  listFiles: { operation: "list-files", syscall: "getdents" },
  replaceFile: { operation: "replace-file", syscall: "rename" },
  removeFile: { operation: "remove-file", syscall: "unlink" },
  startHeartbeat: {
    operation: "start-heartbeat",
    syscall: "write",
    recode: among("O2CB_HEARTBEAT_FAILED", "EIO", "EINTR", "EINVAL"),
  },
  lockRegion: {
    operation: "lock-region",
    syscall: "semtimedop",
    recode: (errno) =>
      ({ EINVAL: "O2CB_BAD_SEM", EIDRM: "O2CB_NO_SEM", EAGAIN: "O2CB_TIMEOUT" } as const)[errno] ?? null,
  },
  regionSemaphores: { operation: "query-region", syscall: "semctl" },
  mount: { operation: "mount", syscall: "mount", recode: butForTheCaller("O2CB_MOUNT_FAILED") },
  unmount: {
    operation: "unmount",
    syscall: "umount2",
    recode: (errno) =>
      errno === "EINVAL" ? "O2CB_NOT_MOUNTED" : butForTheCaller("O2CB_UNMOUNT_FAILED")(errno),
  },
  mounts: { operation: "read-mounts", syscall: "open" },
  mountNamespaces: { operation: "list-namespaces", syscall: "readlink" },
  watchEvents: { operation: "watch-events", syscall: "inotify_init" },
  openLockspace: { operation: "open-lockspace", syscall: "dlm_create_lockspace", recode: dlmFailed },
  "Lockspace.lock": { operation: "take-lock", syscall: "dlm_ls_lock", recode: dlmFailed },
  "Lockspace.close": { operation: "close-lockspace", syscall: "dlm_release_lockspace", recode: dlmFailed },
  "LockspaceLock.readValue": { operation: "read-value", syscall: "read" },
  "LockspaceLock.writeValue": { operation: "write-value", syscall: "write" },
  "LockspaceLock.wanted": { operation: "await-blocking", syscall: "poll" },
  "LockspaceLock.release": { operation: "release-lock", syscall: "dlm_ls_unlock", recode: dlmFailed },
  openDlmLock: { operation: "open-dlm-lock", syscall: "open", recode: dlmRefused },
  openDlmLockApart: { operation: "open-dlm-lock", syscall: "open", recode: dlmRefused },
  unlinkDlmLock: { operation: "unlink-dlm-lock", syscall: "unlink" },
  lockRange: { operation: "lock-range", syscall: "open" },
  "DlmLock.readValue": { operation: "dlm-lock-value", syscall: "pread" },
  "DlmLock.writeValue": { operation: "dlm-lock-value", syscall: "pwrite" },
  "DlmLock.waitBlocked": { operation: "wait-dlm-blocked", syscall: "poll" },
  "DlmLock.close": { operation: "release", syscall: "close" },
  readClusterMap: { operation: "read-cluster-map", syscall: "cmap_get_string" },
  isQuorate: { operation: "read-quorum", syscall: "quorum_getquorate" },
  joinProcessGroup: { operation: "join-group", syscall: "cpg_join" },
  "ProcessGroup.next": { operation: "next-group-events", syscall: "poll" },
  "ProcessGroup.send": { operation: "send-to-group", syscall: "cpg_mcast_joined" },
  "ProcessGroup.leave": { operation: "leave-group", syscall: "cpg_leave" },
  "ProcessGroup.close": { operation: "close-group", syscall: "cpg_finalize" },
  lockspaceState: { operation: "read-lockspace", syscall: "dlmc_lockspace_info", recode: controldLost },
  connectDlmControl: { operation: "connect-dlm-controld", syscall: "dlmc_fs_connect", recode: controldLost },
  "DlmControl.register": {
    operation: "register-lockspace",
    syscall: "dlmc_fs_register",
    recode: controldLost,
  },
  "DlmControl.unregister": {
    operation: "unregister-lockspace",
    syscall: "dlmc_fs_unregister",
    recode: controldLost,
  },
  "DlmControl.notified": { operation: "say-notified", syscall: "dlmc_fs_notified", recode: controldLost },
  "DlmControl.next": { operation: "next-dlm-answer", syscall: "dlmc_fs_result", recode: controldLost },
  dlmVersion: { operation: "read-dlm-version", syscall: "read" },
  openControlDevice: { operation: "open-control-device", syscall: "write" },
  "ControlDevice.nodeDown": { operation: "tell-node-down", syscall: "write" },
  listenAbstract: { operation: "listen-abstract", syscall: "bind" },
  setIoPriority: { operation: "set-io-priority", syscall: "ioprio_set" },
  runProgram: { operation: "run-program", syscall: "posix_spawn" },
  startProgram: { operation: "start-program", syscall: "execve" },
  "ForegroundProgram.ended": { operation: "await-program", syscall: "waitid" },
  lockFile: { operation: "lock-file", syscall: "open", recode: among("O2CB_TIMEOUT", "EAGAIN") },
  connectAbstract: { operation: "connect-abstract", syscall: "connect" },
  "ByteChannel.write": { operation: "write-channel", syscall: "write", recode: otherEndGone },
  "ByteChannel.read": { operation: "read-channel", syscall: "read", recode: otherEndGone },
  "ByteChannel.end": { operation: "end-channel", syscall: "shutdown" },
  "ByteChannel.close": { operation: "close-channel", syscall: "close" },
  "RegionLock.references": {
    operation: "count-references",
    syscall: "semctl",
    recode: among("O2CB_NO_SEM", "EINVAL", "EIDRM"),
  },
  "RegionLock.take": {
    operation: "take-reference",
    syscall: "semtimedop",
    recode: among("O2CB_NO_SEM", "EINVAL", "EIDRM"),
  },
  "RegionLock.drop": {
    operation: "drop-reference",
    syscall: "semtimedop",
    recode: among("O2CB_NO_SEM", "EINVAL", "EIDRM"),
  },
  "RegionLock.handOver": {
    operation: "hand-over-reference",
    syscall: "semtimedop",
    recode: among("O2CB_NO_SEM", "EINVAL", "EIDRM"),
  },
  "RegionLock.destroy": { operation: "destroy-semaphores", syscall: "semctl" },
  "RegionLock.release": { operation: "release-region", syscall: "semtimedop" },
  "EventWatch.addMount": { operation: "watch-mount", syscall: "inotify_add_watch" },
  "EventWatch.addDirectory": { operation: "watch-directory", syscall: "inotify_add_watch" },
  "EventWatch.remove": { operation: "unwatch", syscall: "inotify_rm_watch" },
  "EventWatch.next": { operation: "next-events", syscall: "poll" },
  "EventWatch.release": { operation: "release", syscall: "close" },
  "Held.release": { operation: "release", syscall: "close" },
} as const satisfies Record<string, CallKind>;

export type CallName = keyof typeof callKinds;

/** Code::from_errno of crates/error/src/table.rs. */
export function codeFromErrno(errno: string): ErrorCode {
  switch (errno) {
    case "EPERM":
    case "EACCES":
    case "EROFS":
      return "O2CB_PERMISSION_DENIED";
    case "ENOENT":
    case "ENOTDIR":
    case "EISDIR":
      return "O2CB_SERVICE_UNAVAILABLE";
    case "EIO":
      return "O2CB_IO";
    case "ENOMEM":
      return "O2CB_NO_MEMORY";
    case "EINTR":
      return "O2CB_ABORTED";
    case "ETIMEDOUT":
      return "O2CB_TIMEOUT";
    default:
      return "O2CB_INTERNAL_FAILURE";
  }
}

/** What a caller of the native module gets for a refusal. */
export function errorFor(name: CallName, path: string | undefined, { errno, fields }: Refusal): O2cbError {
  const kind: CallKind = callKinds[name];
  const code =
    fields.code ??
    (errno === null ? "O2CB_INTERNAL_FAILURE" : (kind.recode?.(errno) ?? codeFromErrno(errno)));
  const number = errno === null ? undefined : errnoNumber(errno);
  const syscall = errno === null ? undefined : (fields.syscall ?? kind.syscall);
  const where = fields.path ?? path;
  const tail = number === undefined ? "" : ` (${syscall}: errno ${number})`;
  const operation = fields.operation ?? kind.operation;
  const message = `${operation}${where === undefined ? "" : ` '${where}'`}: ${fields.detail ?? errorCodes[code].sentence}${tail}`;
  return new O2cbError(code, message, {
    operation,
    errno: number === undefined ? undefined : -number,
    syscall,
    path: where,
    kernelMessages: fields.kernelMessages,
    holder: fields.holder,
  });
}

/** The call was given up before or while it ran; nothing has happened. */
export function abortedCall(syscall?: string): Refusal {
  return new Refusal("EINTR", { code: "O2CB_ABORTED", syscall });
}
