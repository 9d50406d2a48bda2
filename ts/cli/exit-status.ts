// The exit statuses: one table for the mount helpers, which mount(8) and umount(8) hand on as their own, and one for the
// commands that only succeed or fail.
//
// Facts relied on: util-linux MNT_EX_* (commands 1.1): 1 wrong usage or permissions, 2 system error, 4 internal error,
// 8 interrupted, 32 the mount failed. 16 (mtab) cannot happen here, since no mtab is written; 64 is mount -a's own.
import { errnoName, O2cbError, type ErrorCode } from "../errors.ts";
import { UsageError } from "./argv.ts";

export const exitStatus = {
  success: 0,
  usage: 1,
  system: 2,
  internal: 4,
  interrupted: 8,
  failure: 32,
} as const;

const byCode: Partial<Record<ErrorCode, number>> = {
  O2CB_BAD_MOUNT_OPTION: exitStatus.usage,
  O2CB_PERMISSION_DENIED: exitStatus.usage,
  O2CB_NO_MEMORY: exitStatus.system,
  O2CB_NATIVE_MISSING: exitStatus.system,
  O2CB_INTERNAL_FAILURE: exitStatus.internal,
  O2CB_ABORTED: exitStatus.interrupted,
};

/** Errnos that mean the same whatever was being done. */
const byErrno: Record<string, number> = {
  ENOMEM: exitStatus.system,
  EMFILE: exitStatus.system,
  ENFILE: exitStatus.system,
  // A code says "permission denied" for a disk that refuses writes, too: that is no matter of who asks.
  EROFS: exitStatus.failure,
};

/** What a command's statuses are. */
export interface Statuses {
  success: number;
  usage: number;
  internal: number;
  /** of a command that failed so */
  of(error: unknown): number;
}

/** Every failure has the one status; the C tool's statuses are 0 and 1 (commands 3.1). */
export function oneFailure(status: number): Statuses {
  return { success: 0, usage: status, internal: status, of: () => status };
}

/** The status that says what became of the command that threw `error`. */
export function statusOf(error: unknown): number {
  if (error instanceof UsageError) return exitStatus.usage;
  if (!(error instanceof O2cbError)) return exitStatus.internal;
  if (error.code === "O2CB_ABORTED") return exitStatus.interrupted;
  const errno = byErrno[errnoName(error) ?? ""];
  if (errno !== undefined) return errno;
  // An errno that no code stands for: the kernel failed, not we.
  if (error.code === "O2CB_INTERNAL_FAILURE" && error.errno !== undefined) return exitStatus.failure;
  return byCode[error.code] ?? exitStatus.failure;
}

export const mountStatuses: Statuses = { ...exitStatus, of: statusOf };
