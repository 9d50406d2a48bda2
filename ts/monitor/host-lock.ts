// One monitor that reaps on each host: a lock that ends with its process.
import { isCode, isErrno, O2cbError } from "../errors.ts";
import type { Held, Native } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import { failureOf } from "./failure.ts";

const PATH = "/run/ocfs2-group/monitor.lock";
/** For one that is just ending. */
const PATIENCE_MS = 1000;

/**
 * Null, and a warning, where /run cannot be written: two monitors harm nobody, since each drops only what it has proven.
 * Errors: O2CB_ALREADY_RUNNING, O2CB_ABORTED, what the kernel says of the file.
 */
export async function lockHost(
  native: Native,
  signal: AbortSignal,
  onStep: OnStep | undefined,
): Promise<Held | null> {
  try {
    return await native.lockFile(PATH, PATIENCE_MS, { signal });
  } catch (error) {
    if (isCode(error, "O2CB_TIMEOUT"))
      throw new O2cbError("O2CB_ALREADY_RUNNING", "another monitor runs on this host", {
        operation: "watch",
        path: PATH,
        remedy: `nothing needs to be done; fuser ${PATH} names its process`,
        cause: error,
      });
    if (!isErrno(error, "ENOENT", "EROFS", "ENOSPC", "EDQUOT", "EACCES", "EPERM")) throw error;
    const { code, message } = failureOf(error);
    emit(onStep, {
      step: "warning",
      code,
      message: `'${PATH}' cannot be locked, so a second monitor would not be noticed: ${message}`,
    });
    return null;
  }
}
