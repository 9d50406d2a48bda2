// System V semaphore sets with undo, one table per IPC namespace.
//
// Facts relied on: semop(2), semctl(2), linux: ipc/sem.c. A vector happens wholly or not at all; a sleeper is woken by any change
// that lets its vector pass, and with EIDRM when the set is removed; undo entries belong to the process and are void once the
// set is gone; at exit a value is kept between 0 and 32767 (exit_sem). A removed set's id gives EINVAL (group-api 3.6).
import { crc32 } from "node:zlib";
import { deferred, type Deferred } from "./deferred.ts";
import { refuse } from "./errors.ts";
import type { Task } from "./task.ts";

/** SEMVMX */
export const MAX_VALUE = 32767;

export interface Operation {
  index: number;
  /** added to the value; 0 waits for zero */
  add: number;
  undo: boolean;
}

interface Sleeper {
  task: Task;
  operations: readonly Operation[];
  woken: Deferred<"done" | "removed">;
}

/** Key of a region's set (group-api K1). */
export function regionKey(region: string): number {
  return crc32(region) | 0;
}

export class SemaphoreSet {
  readonly key: number;
  /** the region or whoever made it, for messages */
  readonly label: string;
  readonly values: number[];
  readonly lastPids: number[];
  removed = false;
  readonly #undo = new Map<Task, number[]>();
  #sleepers: Sleeper[] = [];

  constructor(key: number, label: string, count: number) {
    this.key = key;
    this.label = label;
    this.values = Array.from({ length: count }, () => 0);
    this.lastPids = Array.from({ length: count }, () => 0);
  }

  value(index: number): number {
    if (this.removed) refuse("EINVAL", { syscall: "semctl" });
    return this.values[index] ?? refuse("EINVAL", { syscall: "semctl" });
  }

  lastPid(index: number): number | null {
    return this.lastPids[index] || null;
  }

  /** semop with IPC_NOWAIT: EAGAIN, ERANGE, EINVAL. */
  operate(task: Task, operations: readonly Operation[]): void {
    if (this.removed) refuse("EINVAL");
    if (!this.#attempt(task, operations)) refuse("EAGAIN");
  }

  /** semop that sleeps; null after an interruption. EINVAL where the set is gone before, EIDRM where it goes meanwhile. */
  async operateOrSleep(
    task: Task,
    operations: readonly Operation[],
    interrupted: Promise<void>,
  ): Promise<"done" | "interrupted"> {
    if (this.removed) refuse("EINVAL");
    if (this.#attempt(task, operations)) return "done";
    const sleeper: Sleeper = { task, operations, woken: deferred() };
    this.#sleepers.push(sleeper);
    const result = await Promise.race([sleeper.woken.promise, interrupted.then(() => this.#giveUp(sleeper))]);
    if (result === "removed") refuse("EIDRM");
    return result;
  }

  /** An interruption that comes after the wake-up is too late. */
  #giveUp(sleeper: Sleeper): Promise<"done" | "removed"> | "interrupted" {
    if (!this.#sleepers.includes(sleeper)) return sleeper.woken.promise;
    this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
    return "interrupted";
  }

  #attempt(task: Task, operations: readonly Operation[]): boolean {
    const next = [...this.values];
    for (const { index, add } of operations) {
      const value = next[index] ?? refuse("EFBIG");
      if (add === 0 ? value !== 0 : value + add < 0) return false;
      if (value + add > MAX_VALUE) refuse("ERANGE");
      next[index] = value + add;
    }
    next.forEach((value, index) => (this.values[index] = value));
    for (const { index, add, undo } of operations) {
      this.lastPids[index] = task.pid;
      if (undo && add !== 0) this.#remember(task, index, -add);
    }
    this.#wake();
    return true;
  }

  #remember(task: Task, index: number, add: number): void {
    let adjust = this.#undo.get(task);
    if (adjust === undefined) {
      this.#undo.set(task, (adjust = this.values.map(() => 0)));
      task.atExit("semaphores", () => this.#exit(task));
    }
    adjust[index] = (adjust[index] ?? 0) + add;
  }

  #exit(task: Task): void {
    const adjust = this.#undo.get(task) ?? [];
    this.#undo.delete(task);
    if (this.removed) return;
    adjust.forEach((add, index) => {
      if (add === 0) return;
      this.values[index] = Math.min(MAX_VALUE, Math.max(0, (this.values[index] ?? 0) + add));
      this.lastPids[index] = task.pid;
    });
    this.#wake();
  }

  #wake(): void {
    for (const sleeper of [...this.#sleepers]) {
      if (!this.#sleepers.includes(sleeper)) continue;
      // Taken out first: a vector that passes wakes others in turn.
      const others = this.#sleepers.filter((other) => other !== sleeper);
      const before = this.#sleepers;
      this.#sleepers = others;
      if (sleeper.task.alive && this.#attempt(sleeper.task, sleeper.operations))
        sleeper.woken.resolve("done");
      else if (sleeper.task.alive) this.#sleepers = before;
    }
  }

  /** @internal by SemaphoreTable.remove */
  end(): void {
    this.removed = true;
    for (const sleeper of this.#sleepers) sleeper.woken.resolve("removed");
    this.#sleepers = [];
  }
}

export class SemaphoreTable {
  readonly #sets = new Map<number, SemaphoreSet>();

  /** semget(2): ENOENT, and EINVAL where the set under the key has fewer semaphores. */
  get(key: number, create: boolean, label: string, count = 2): SemaphoreSet {
    const found = this.#sets.get(key);
    if (found !== undefined)
      return found.values.length < count ? refuse("EINVAL", { syscall: "semget" }) : found;
    if (!create) refuse("ENOENT", { syscall: "semget" });
    const set = new SemaphoreSet(key, label, count);
    this.#sets.set(key, set);
    return set;
  }

  find(key: number): SemaphoreSet | undefined {
    return this.#sets.get(key);
  }

  /** IPC_RMID: EINVAL where it is gone. */
  remove(set: SemaphoreSet): void {
    if (set.removed) refuse("EINVAL", { syscall: "semctl" });
    this.#sets.delete(set.key);
    set.end();
  }

  all(): SemaphoreSet[] {
    return [...this.#sets.values()];
  }
}
