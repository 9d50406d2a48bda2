// flock(2) between fake processes: one holder per file, waiters in their order, all of it gone with its process. A file that
// was removed and made again, or is of the same name in another /run, is another file.
import { deferred, type Deferred } from "./deferred.ts";
import type { Task } from "./task.ts";
import type { TreeNode } from "./tree.ts";

interface Waiter {
  task: Task;
  granted: Deferred<void>;
}

interface Holder {
  path: string;
  task: Task;
}

export class FileLocks {
  readonly #holders = new Map<TreeNode, Holder>();
  readonly #waiters = new Map<TreeNode, Waiter[]>();

  held(): { path: string; pid: number }[] {
    return [...this.#holders.values()].map(({ path, task }) => ({ path, pid: task.pid }));
  }

  /** Waits its turn; null where `givenUp` came first. The function releases, once. */
  async lock(file: TreeNode, path: string, task: Task, givenUp: Promise<void>): Promise<(() => void) | null> {
    if (this.#holders.has(file)) {
      const waiter: Waiter = { task, granted: deferred() };
      const queue = this.#waiters.get(file) ?? [];
      queue.push(waiter);
      this.#waiters.set(file, queue);
      const result = await Promise.race([
        waiter.granted.promise.then(() => "granted" as const),
        givenUp.then(() => "given up" as const),
      ]);
      if (result === "given up" && queue.includes(waiter)) {
        queue.splice(queue.indexOf(waiter), 1);
        return null;
      }
    } else {
      this.#holders.set(file, { path, task });
    }
    return this.#hold(file, task);
  }

  #hold(file: TreeNode, task: Task): () => void {
    let done = false;
    const release = (): void => {
      if (done) return;
      done = true;
      forget();
      this.#next(file);
    };
    const forget = task.atExit("files", release);
    if (!task.alive) release();
    return release;
  }

  #next(file: TreeNode): void {
    const path = this.#holders.get(file)?.path ?? "";
    this.#holders.delete(file);
    const waiter = this.#waiters.get(file)?.shift();
    if (waiter === undefined) return;
    this.#holders.set(file, { path, task: waiter.task });
    waiter.granted.resolve();
  }
}
