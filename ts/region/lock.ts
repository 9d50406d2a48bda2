// Taking the mutex of a region, with patience that can be seen and given up.
//
// Facts relied on: whoever starts a heartbeat holds the mutex for 4 to 16 seconds (group-api 4.3, R12), the C tools without
// any time limit, and GETPID tells who holds it. So the wait is cut into slices: after each the caller hears of it.
import { isCode, O2cbError } from "../errors.ts";
import type { Native, RegionLock } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";

const SLICE_MS = 1000;
/** A start that never becomes stable is given up by the kernel after 30 s at most (15 iterations, kernel-abi 1.8). */
const DEFAULT_LIMIT_MS = 120_000;

export interface LockOptions {
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
  limitMs?: number | undefined;
}

/**
 * Runs `work` with the region's mutex held and releases it however `work` ends (unless it destroyed the set).
 * With `create` false and no set on this node, `work` is given null.
 * Errors: O2CB_TIMEOUT with `holder`, O2CB_ABORTED, O2CB_BAD_SEM, O2CB_PERMISSION_DENIED.
 */
export async function withRegionLock<T>(
  native: Native,
  region: string,
  create: true,
  options: LockOptions,
  work: (lock: RegionLock) => Promise<T>,
): Promise<T>;
export async function withRegionLock<T>(
  native: Native,
  region: string,
  create: false,
  options: LockOptions,
  work: (lock: RegionLock | null) => Promise<T>,
): Promise<T>;
export async function withRegionLock<T>(
  native: Native,
  region: string,
  create: boolean,
  options: LockOptions,
  work: (lock: never) => Promise<T>,
): Promise<T> {
  const lock = await acquire(native, region, create, options);
  try {
    return await work(lock as never);
  } finally {
    lock?.release();
  }
}

async function acquire(
  native: Native,
  region: string,
  create: boolean,
  options: LockOptions,
): Promise<RegionLock | null> {
  const limitMs = options.limitMs ?? DEFAULT_LIMIT_MS;
  for (let waitedMs = 0; ; waitedMs += SLICE_MS) {
    try {
      return await native.lockRegion(region, create, SLICE_MS, { signal: options.signal });
    } catch (error) {
      if (!isCode(error, "O2CB_TIMEOUT")) throw error;
      const holder = (error as O2cbError).holder ?? null;
      if (waitedMs + SLICE_MS >= limitMs) {
        const who = holder === null ? "another process" : `process ${holder}`;
        throw new O2cbError(
          "O2CB_TIMEOUT",
          `${who} has held the mutex of heartbeat region '${region}' for ${Math.round(limitMs / 1000)} s`,
          {
            operation: "lock-region",
            region,
            holder: holder ?? undefined,
            remedy: "look at what that process waits for; when it ends, the kernel releases the mutex",
            cause: error,
          },
        );
      }
      emit(options.onStep, { step: "wait-region-lock", region, holder, waitedMs: waitedMs + SLICE_MS });
    }
  }
}
