// The one place that calls mount(2): on which interface, what an abort means while it runs, and what its errno means.
//
// Facts relied on: fsopen(2) exists since 5.2 and carries the kernel's own messages; some flags have no word there
// (commands 1.2, toolchain 5.2). mount(2) of a clustered volume can wait 60 s for peers and 90 s for the DLM domain, much
// of it uninterruptibly (kernel-abi 7.2): an abort is bounded by a grace time, the kernel is not.
import { isCode, isErrno, type O2cbError } from "../errors.ts";
import type { MountRequest, Native } from "../native-types.ts";

/** MS_* that fsconfig and mount attributes can express; anything else goes through mount(2). */
const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  SYNCHRONOUS: 16,
  MANDLOCK: 64,
  DIRSYNC: 128,
  NOSYMFOLLOW: 256,
  NOATIME: 1024,
  NODIRATIME: 2048,
  SILENT: 32768,
  RELATIME: 1 << 21,
  STRICTATIME: 1 << 24,
  LAZYTIME: 1 << 25,
} as const;
const FSOPEN_FLAGS = Object.values(MS).reduce((all, flag) => all | flag, 0);
export const MS_RDONLY = MS.RDONLY;
export const MS_REMOUNT = 32;

export type Performed =
  | { result: "mounted" }
  | { result: "in-kernel"; settled: Promise<"mounted" | "failed"> };

/**
 * Mounts, by fsopen where the request fits it, else by mount(2). After an abort it waits `graceMs` for the kernel's answer
 * and then reports `in-kernel` with a promise of that answer.
 */
export async function performMount(
  native: Native,
  request: Omit<MountRequest, "api">,
  graceMs: number,
  signal?: AbortSignal,
): Promise<Performed> {
  const mounted = attempt(native, request, signal);
  if (signal === undefined) {
    await mounted;
    return { result: "mounted" };
  }
  const grace = abortGrace(signal, graceMs);
  try {
    const first = await Promise.race([mounted.then(() => "mounted" as const), grace.expired]);
    if (first === "mounted") return { result: "mounted" };
    return {
      result: "in-kernel",
      settled: mounted.then(
        () => "mounted" as const,
        () => "failed" as const,
      ),
    };
  } finally {
    grace.stop();
  }
}

async function attempt(
  native: Native,
  request: Omit<MountRequest, "api">,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fits =
    (request.flags & ~FSOPEN_FLAGS) === 0 &&
    !request.options.some((option) => option.includes(",") || option.startsWith("="));
  if (fits) {
    try {
      return await native.mount({ ...request, api: "fsopen" }, { signal });
    } catch (error) {
      // Kernels before 5.2, and containers that filter the new calls; nothing has happened then.
      if (
        !isErrno(error, "ENOSYS") &&
        !((error as O2cbError).syscall === "fsopen" && isErrno(error, "EPERM"))
      )
        throw error;
    }
  }
  await native.mount({ ...request, api: "mount" }, { signal });
}

function abortGrace(signal: AbortSignal, graceMs: number): { expired: Promise<"expired">; stop: () => void } {
  let timer: NodeJS.Timeout | undefined;
  let start = (): void => {};
  const expired = new Promise<"expired">((resolve) => {
    start = () => {
      timer = setTimeout(() => resolve("expired"), graceMs);
    };
    if (signal.aborted) start();
    else signal.addEventListener("abort", start, { once: true });
  });
  return {
    expired,
    stop() {
      signal.removeEventListener("abort", start);
      clearTimeout(timer);
    },
  };
}

/** Whether the kernel gave up because it was asked to. */
export function wasInterrupted(error: unknown): boolean {
  return isCode(error, "O2CB_ABORTED") || isErrno(error, "EINTR");
}
