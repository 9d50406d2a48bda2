// A process of the fake machine, as its kernel sees it: a number, its namespaces, and what ends with it.
//
// Facts relied on: at the end of a process the kernel first undoes its semaphore operations, then closes its files
// (linux: kernel/exit.c, do_exit); a fatal signal ends its sleeping calls before. Its children then belong to process 1.
import type { MountNamespace } from "./vfs.ts";

/** The inodes of the initial namespaces on every Linux (linux: include/linux/proc_ns.h). */
export const INITIAL_IPC = 4_026_531_839;
export const INITIAL_PID = 4_026_531_836;

/** in the order of do_exit */
export type ExitPhase = "calls" | "semaphores" | "files";

export interface TaskSettings {
  name?: string;
  /** a number of one's own: of a process that is gone, to use it again */
  pid?: number;
  parent?: Task;
  /** inode of its IPC namespace */
  ipc?: number;
  /** inode of its PID namespace; its numbers there are not modelled */
  pidNamespace?: number;
  namespace?: MountNamespace;
  kernelThread?: boolean;
  /** has a controlling terminal */
  terminal?: boolean;
}

export type TaskFacts = Omit<Required<TaskSettings>, "parent"> & {
  parent: Task | null;
  /** clock ticks since the machine came up, unlike any other task's */
  startTime: number;
};

export class Task {
  readonly pid: number;
  readonly name: string;
  readonly startTime: number;
  readonly ipc: number;
  readonly pidNamespace: number;
  readonly namespace: MountNamespace;
  readonly kernelThread: boolean;
  readonly terminal: boolean;
  /** what a test has it keep open, by a number of its own */
  readonly openPaths = new Map<number, string>();
  readonly #parent: Task | null;
  #alive = true;
  readonly #atExit: Record<ExitPhase, Set<() => void>> = {
    calls: new Set(),
    semaphores: new Set(),
    files: new Set(),
  };

  constructor(facts: TaskFacts) {
    this.pid = facts.pid;
    this.name = facts.name;
    this.startTime = facts.startTime;
    this.ipc = facts.ipc;
    this.pidNamespace = facts.pidNamespace;
    this.namespace = facts.namespace;
    this.kernelThread = facts.kernelThread;
    this.terminal = facts.terminal;
    this.#parent = facts.parent;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** 0 for what the kernel itself began with */
  get parentPid(): number {
    if (this.#parent === null) return 0;
    return this.#parent.alive ? this.#parent.pid : 1;
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
