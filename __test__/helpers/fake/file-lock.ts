// flock(2) between fake processes: one holder per path, waiters in their order, all of it gone with its process.
import { deferred, type Deferred } from "./deferred.ts";
import type { Task } from "./task.ts";

interface Waiter {
  task: Task;
  granted: Deferred<void>;
}

export class FileLocks {
  readonly #holders = new Map<string, Task>();
  readonly #waiters = new Map<string, Waiter[]>();

  held(): { path: string; pid: number }[] {
    return [...this.#holders].map(([path, task]) => ({ path, pid: task.pid }));
  }

  /** Waits its turn; false where `givenUp` came first. The function releases, once. */
  async lock(path: string, task: Task, givenUp: Promise<void>): Promise<(() => void) | null> {
    if (this.#holders.has(path)) {
      const waiter: Waiter = { task, granted: deferred() };
      const queue = this.#waiters.get(path) ?? [];
      queue.push(waiter);
      this.#waiters.set(path, queue);
      const result = await Promise.race([
        waiter.granted.promise.then(() => "granted" as const),
        givenUp.then(() => "given up" as const),
      ]);
      if (result === "given up" && queue.includes(waiter)) {
        queue.splice(queue.indexOf(waiter), 1);
        return null;
      }
    } else {
      this.#holders.set(path, task);
    }
    return this.#hold(path, task);
  }

  #hold(path: string, task: Task): () => void {
    let done = false;
    const release = (): void => {
      if (done) return;
      done = true;
      forget();
      this.#next(path);
    };
    const forget = task.atExit("files", release);
    if (!task.alive) release();
    return release;
  }

  #next(path: string): void {
    this.#holders.delete(path);
    const waiter = this.#waiters.get(path)?.shift();
    if (waiter === undefined) return;
    this.#holders.set(path, waiter.task);
    waiter.granted.resolve();
  }
}
