// The mutex of a region's semaphore set, as crates/sys/src/region_lock.rs takes it, and what may be done while it is held.
//
// Facts relied on: group-api 3.6 and K1-K7. Down is one vector with undo on both operations; a set that vanished before or
// while the process slept on it is looked up anew; a drop that finds 0 does not wait.
import type { RegionLock, SemaphoreFacts } from "../../../ts/native-types.ts";
import { deferred } from "./deferred.ts";
import { abortedCall, Refusal, refuse, refuseWithCode } from "./errors.ts";
import type { FakeProcess } from "./process.ts";
import { regionKey, type Operation, type SemaphoreSet } from "./semaphores.ts";

export const MUTEX = 0;
export const COUNT = 1;
const MAX_NAME = 32;

export const MUTEX_DOWN: readonly Operation[] = [
  { index: MUTEX, add: 0, undo: true },
  { index: MUTEX, add: 1, undo: true },
];
export const MUTEX_UP: readonly Operation[] = [{ index: MUTEX, add: -1, undo: true }];

function keyOf(region: string): number {
  const key = regionKey(region);
  if (region === "" || Buffer.byteLength(region) > MAX_NAME || key === 0)
    refuseWithCode("O2CB_INVALID_REGION_NAME", `'${region}' cannot be a region's name`);
  return key;
}

export async function acquireRegion(
  process: FakeProcess,
  region: string,
  create: boolean,
  timeoutMs: number,
  interrupt: AbortSignal,
  late: string | null,
): Promise<RegionLock | null> {
  const key = keyOf(region);
  const { kernel, task } = process;
  const table = kernel.semaphores(task.ipc);
  const pause = kernel.clock.wait(timeoutMs);
  const givenUp = deferred<void>();
  const giveUp = (): void => givenUp.resolve();
  interrupt.addEventListener("abort", giveUp, { once: true });
  void pause.over.then(giveUp);
  try {
    for (;;) {
      if (interrupt.aborted) throw abortedCall();
      if (!create && table.find(key) === undefined) return null;
      const set = table.get(key, create, region);
      if (late !== null) refuse(late);
      try {
        if ((await set.operateOrSleep(task, MUTEX_DOWN, givenUp.promise)) === "done")
          return new FakeRegionLock(process, region, set);
      } catch (error) {
        if (error instanceof Refusal && (error.errno === "EINVAL" || error.errno === "EIDRM")) continue;
        throw error;
      }
      if (interrupt.aborted) throw abortedCall();
      const holder = set.lastPid(MUTEX);
      refuse("EAGAIN", {
        holder: holder ?? undefined,
        detail: `the region's mutex is held${holder === null ? "" : ` by process ${holder}`}, after ${timeoutMs} ms`,
      });
    }
  } finally {
    pause.cancel();
    interrupt.removeEventListener("abort", giveUp);
  }
}

export function queryRegion(process: FakeProcess, region: string): SemaphoreFacts | null {
  const set = process.kernel.semaphores(process.task.ipc).find(keyOf(region));
  if (set === undefined) return null;
  if (set.values.length < 2) refuse("EINVAL", { syscall: "semget", code: "O2CB_BAD_SEM" });
  return { references: set.value(COUNT), mutexHeld: set.value(MUTEX) !== 0, lastPid: set.lastPid(MUTEX) };
}

export class FakeRegionLock implements RegionLock {
  readonly region: string;
  readonly #process: FakeProcess;
  readonly #set: SemaphoreSet;
  #held = true;

  constructor(process: FakeProcess, region: string, set: SemaphoreSet) {
    this.#process = process;
    this.region = region;
    this.#set = set;
  }

  references(): number {
    return this.#do("RegionLock.references", [], (set) => set.value(COUNT));
  }

  take(undo: boolean): number {
    return this.#do("RegionLock.take", [undo], (set) => {
      set.operate(this.#process.task, [{ index: COUNT, add: 1, undo }]);
      return set.value(COUNT);
    });
  }

  drop(undo: boolean): { dropped: boolean; references: number } {
    return this.#do("RegionLock.drop", [undo], (set) => {
      try {
        set.operate(this.#process.task, [{ index: COUNT, add: -1, undo }]);
      } catch (error) {
        if (error instanceof Refusal && error.errno === "EAGAIN")
          return { dropped: false, references: set.value(COUNT) };
        throw error;
      }
      return { dropped: true, references: set.value(COUNT) };
    });
  }

  handOver(): void {
    this.#do("RegionLock.handOver", [], (set) =>
      set.operate(this.#process.task, [
        { index: COUNT, add: 1, undo: false },
        { index: COUNT, add: -1, undo: true },
      ]),
    );
  }

  destroy(): void {
    this.#do("RegionLock.destroy", [], (set) => {
      if (!set.removed) this.#process.kernel.semaphores(this.#process.task.ipc).remove(set);
      this.#held = false;
    });
  }

  release(): void {
    if (!this.#held) return;
    this.#process.callNow("RegionLock.release", [this.region], () => {
      this.#held = false;
      if (!this.#set.removed && this.#set.value(MUTEX) > 0) this.#set.operate(this.#process.task, MUTEX_UP);
    });
  }

  #do<T>(
    name:
      | "RegionLock.references"
      | "RegionLock.take"
      | "RegionLock.drop"
      | "RegionLock.handOver"
      | "RegionLock.destroy",
    args: readonly unknown[],
    work: (set: SemaphoreSet) => T,
  ): T {
    return this.#process.callNow(name, [this.region, ...args], () => {
      if (!this.#held)
        refuseWithCode("O2CB_NO_SEM", `the lock of region ${this.region} is not held any more`);
      return work(this.#set);
    });
  }
}
