// A process of the fake machine, as its kernel sees it: a number, its namespaces, and what ends with it.
//
// Facts relied on: at the end of a process the kernel first undoes its semaphore operations, then closes its files
// (linux: kernel/exit.c, do_exit); a fatal signal ends its sleeping calls before.
import type { MountNamespace } from "./vfs.ts";

/** in the order of do_exit */
export type ExitPhase = "calls" | "semaphores" | "files";

export class Task {
  readonly pid: number;
  readonly name: string;
  /** inode of its IPC namespace */
  readonly ipc: number;
  readonly namespace: MountNamespace;
  #alive = true;
  readonly #atExit: Record<ExitPhase, Set<() => void>> = {
    calls: new Set(),
    semaphores: new Set(),
    files: new Set(),
  };

  constructor(pid: number, name: string, ipc: number, namespace: MountNamespace) {
    this.pid = pid;
    this.name = name;
    this.ipc = ipc;
    this.namespace = namespace;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Runs `work` when the process ends; the function returned takes it back. */
  atExit(phase: ExitPhase, work: () => void): () => void {
    this.#atExit[phase].add(work);
    return () => void this.#atExit[phase].delete(work);
  }

  end(): void {
    if (!this.#alive) return;
    this.#alive = false;
    for (const phase of ["calls", "semaphores", "files"] as const) {
      for (const work of [...this.#atExit[phase]]) work();
      this.#atExit[phase].clear();
    }
  }
}
