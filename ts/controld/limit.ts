// A piece of work that is given up: by its caller's signal, or when its time has passed. No wait for a daemon is without an end.
import { isCode, O2cbError, type O2cbErrorFields } from "../errors.ts";
import { onAbort } from "../on-abort.ts";

export interface Limit {
  /** milliseconds; Infinity for none */
  deadlineMs: number;
  signal?: AbortSignal | undefined;
}

/**
 * Runs `work` with a signal that fires for either. What it then fails with, as long as that is O2CB_ABORTED, becomes O2CB_TIMEOUT where the time
 * has passed, and keeps being O2CB_ABORTED where the caller gave up. `waitsFor`: `answer to MOUNT`.
 */
export async function withinLimit<T>(
  waitsFor: string,
  { deadlineMs, signal }: Limit,
  fields: O2cbErrorFields,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const giveUp = (): void => controller.abort(signal?.reason);
  let isLate = false;
  // Node's timers hold 31 bits, and what is longer would fire at once. What is waited for keeps the process alive, not the timer.
  const timer =
    deadlineMs > 0x7fff_ffff
      ? undefined
      : setTimeout(() => {
          isLate = !controller.signal.aborted;
          controller.abort();
        }, deadlineMs).unref();
  const forget = signal === undefined ? undefined : onAbort(signal, giveUp);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (!isCode(error, "O2CB_ABORTED") || !controller.signal.aborted) throw error;
    if (isLate)
      throw new O2cbError(
        "O2CB_TIMEOUT",
        `ocfs2_controld has given no ${waitsFor} within ${deadlineMs / 1000} s`,
        {
          remedy: "look at the daemon's log, and whether corosync and dlm_controld answer (dlm_tool status)",
          ...fields,
          cause: error,
        },
      );
    throw new O2cbError("O2CB_ABORTED", `given up while waiting for the ${waitsFor} of ocfs2_controld`, {
      ...fields,
      cause: signal?.reason,
    });
  } finally {
    clearTimeout(timer);
    forget?.();
  }
}
