// Every change that a command of the cluster makes goes through here: recorded in order, told as a step, and left out on a dry run.
//
// It is a `Native` in front of another one, so that the rest of the library (regions, stacks, unmounting) is recorded as well. Facts relied
// on: the calls of `Native` that change something are the ones of `changes` below; locks and semaphores are no changes of the cluster's state.
//
// A dry run does not pretend: what is read after a change reads as before. So callers plan from what they have read, and verify
// only where something was written.
import { errnoName, isCode, isErrno, O2cbError } from "../errors.ts";
import type { Held, MountRequest, Native, UnmountRequest } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";

export type KernelAction =
  | "write"
  | "mkdir"
  | "rmdir"
  | "start heartbeat"
  | "mount"
  | "unmount"
  | "run"
  | "replace file"
  | "remove file";

export interface KernelWrite {
  action: KernelAction;
  path: string;
  /** what is written, the device, the type of the file system, the program's arguments; null where the action says it all */
  value: string | null;
}

export interface WriteOptions {
  /** record and tell what would be done, and change nothing */
  dryRun?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
  /** the record of a larger piece of work that this is a part of; its own dryRun and onStep count then */
  writes?: KernelWrites | undefined;
}

type Method = (...args: never[]) => unknown;

const changes: Partial<Record<keyof Native, (...args: never[]) => KernelWrite>> = {
  writeAttribute: (path: string, value: string) => ({ action: "write", path, value }),
  makeDirectory: (path: string) => ({ action: "mkdir", path, value: null }),
  removeDirectory: (path: string) => ({ action: "rmdir", path, value: null }),
  startHeartbeat: (path: string, value: string) => ({ action: "start heartbeat", path, value }),
  mount: ({ target, type }: MountRequest) => ({ action: "mount", path: target, value: type }),
  unmount: ({ target }: UnmountRequest) => ({ action: "unmount", path: target, value: null }),
  runProgram: (path: string, args: readonly string[]) => ({ action: "run", path, value: args.join(" ") }),
  replaceFile: (path: string, value: string) => ({ action: "replace file", path, value }),
  removeFile: (path: string) => ({ action: "remove file", path, value: null }),
};

const LOCK = "/run/ocfs2-group/cluster.lock";
const SLICE_MS = 1000;
/** Longer than a start of global heartbeat on a slow disk (kernel-abi 1.8: 30 s at most), with devices that come late. */
const LIMIT_MS = 120_000;

export class KernelWrites {
  /** changes what the other does, and records it */
  readonly native: Native;
  readonly dryRun: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onStep: OnStep | undefined;
  /** what was done, or would be, in order; what failed is not in it */
  readonly done: KernelWrite[] = [];
  readonly #inner: Native;
  #isLocked = false;

  /** The record that the options name, or a new one. */
  static of(native: Native, options: WriteOptions): KernelWrites {
    return options.writes ?? new KernelWrites(native, options);
  }

  constructor(native: Native, { dryRun = false, signal, onStep }: WriteOptions = {}) {
    this.#inner = native;
    this.dryRun = dryRun;
    this.signal = signal;
    this.onStep = onStep;
    this.native = new Proxy(native, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name, target);
        if (typeof method !== "function") return method;
        const describe = changes[name as keyof Native];
        if (describe === undefined) return method.bind(target) as unknown;
        return (...args: never[]) =>
          this.#change(describe(...args), () => (method as Method).apply(target, args));
      },
    });
  }

  skip(what: string, reason: string): void {
    emit(this.onStep, { step: "skip", what, reason });
  }

  warn(code: string, message: string): void {
    emit(this.onStep, { step: "warning", code, message });
  }

  /** mkdir; false where it is there already. */
  async makeDirectory(path: string): Promise<boolean> {
    try {
      await this.native.makeDirectory(path);
      return true;
    } catch (error) {
      if (isErrno(error, "EEXIST")) return false;
      throw error;
    }
  }

  /** rmdir; false where nothing is there. */
  async removeDirectory(path: string): Promise<boolean> {
    try {
      await this.native.removeDirectory(path);
      return true;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return false;
      throw error;
    }
  }

  /** Writes an attribute that the kernel takes once; that it was set before is no failure, and no change. Nothing on a dry run. */
  async writeOnce(path: string, value: string): Promise<void> {
    if (this.dryRun) return;
    try {
      await this.#inner.writeAttribute(path, value, { signal: this.signal });
    } catch (error) {
      if (isErrno(error, "EBUSY", "EEXIST")) return;
      throw error;
    }
    this.done.push({ action: "write", path, value });
    emit(this.onStep, { step: "change", action: "write", path, value, isDryRun: false });
  }

  /**
   * Runs `work` while no other command of this package changes the cluster on this host. A /run that cannot be written
   * is told, and the work done without the lock. Errors: O2CB_TIMEOUT, O2CB_ABORTED.
   */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (this.dryRun || this.#isLocked) return work();
    const lock = await this.#lock();
    this.#isLocked = true;
    try {
      return await work();
    } finally {
      this.#isLocked = false;
      lock.release();
    }
  }

  async #lock(): Promise<Held> {
    for (let waitedMs = 0; ; waitedMs += SLICE_MS) {
      try {
        return await this.native.lockFile(LOCK, SLICE_MS, { signal: this.signal });
      } catch (error) {
        if (isErrno(error, "ENOENT", "EROFS", "ENOSPC", "EDQUOT", "EACCES", "EPERM")) {
          this.skip(`the lock ${LOCK}`, errnoName(error) ?? "unknown");
          return { release() {} };
        }
        if (!isCode(error, "O2CB_TIMEOUT") || waitedMs + SLICE_MS >= LIMIT_MS) throw explained(error);
      }
    }
  }

  async #change(write: KernelWrite, work: () => unknown): Promise<unknown> {
    const { action, path, value } = write;
    emit(this.onStep, { step: "change", action, path, value, isDryRun: this.dryRun });
    if (this.dryRun) {
      this.done.push(write);
      return action === "run" ? 0 : undefined;
    }
    const result = await work();
    this.done.push(write);
    return result;
  }
}

function explained(error: unknown): unknown {
  if (!isCode(error, "O2CB_TIMEOUT")) return error;
  return new O2cbError(
    "O2CB_TIMEOUT",
    `another command has been changing this host's cluster for ${LIMIT_MS / 1000} s`,
    {
      operation: "lock-cluster",
      path: LOCK,
      remedy: `see who holds the file with fuser ${LOCK}`,
      cause: error,
    },
  );
}
