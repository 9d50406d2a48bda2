// What the Rust core holds for a program: locks of the lock managers, places between processes, a program in the foreground. Part of
// `Native` (native-types.ts, which passes it on; import it from there).
import type { CallOptions, Held } from "./native-types.ts";

/** How a lock of the distributed lock manager is held: PR by any number of nodes, EX by one. */
export type LockLevel = "PR" | "EX";

/** This process's membership in a lockspace of fs/dlm. */
export interface Lockspace {
  /**
   * Null only with `trylock`, where it is refused now. Given up by `signal` it settles once the DLM has answered that: an error means that
   * nothing is held, and a grant that was faster stands.
   */
  lock(
    name: string,
    level: LockLevel,
    trylock: boolean,
    options?: CallOptions,
  ): Promise<LockspaceLock | null>;
  /** O2CB_DOMAIN_IN_USE while this process holds or awaits a lock of it. Nothing can end it; twice does nothing. */
  close(): Promise<void>;
}

/** A lock of fs/dlm, held by this process: other processes of this node are kept out like other nodes. */
export interface LockspaceLock {
  /** 32 bytes: what came with the lock, or was written since; null where it was lost with a holder. Never blocks. */
  readValue(): Uint8Array | null;
  /** exactly 32 bytes; needs EX; others see it after the release. Never blocks. */
  writeValue(value: Uint8Array): void;
  /** whether somebody else has wanted the lock since it was taken; never blocks */
  isWanted(): boolean;
  /** settles when somebody else wants the lock; O2CB_ABORTED where it is released meanwhile */
  wanted(options?: CallOptions): Promise<void>;
  /** gives it up and waits until the DLM says so, which nothing can end; twice does nothing */
  release(): Promise<void>;
}

/** One open file of dlmfs: a lock that this node holds through this process. */
export interface DlmLock {
  /** 64 bytes; none where the value was lost */
  readValue(options?: CallOptions): Promise<Uint8Array>;
  /** exactly 64 bytes, in one write; EBADF under PR */
  writeValue(value: Uint8Array, options?: CallOptions): Promise<void>;
  /** settles when another node waits for this lock; the lock cannot end meanwhile */
  waitBlocked(options?: CallOptions): Promise<void>;
  /** the same asked at once; never blocks */
  isBlocked(): boolean;
  /** ends this holder once no call above is at work; never blocks; twice does nothing */
  close(): void;
}

/** A place that this process holds against others of this node. */
export interface RangeLock extends Held {
  /** whether another process waits for it; never blocks */
  isAwaited(): boolean;
}

export interface ProgramRequest {
  /** looked for in PATH where it has no slash */
  file: string;
  args: readonly string[];
  /** what its environment has besides this process's */
  environment: Readonly<Record<string, string>>;
  /** descriptors of this process whose file's path holds one of these stay open in it and in its children */
  keepOpen: readonly string[];
}

/** A program with this process's standard streams and terminal. The kernel kills it when this process ends, however that comes about. */
export interface ForegroundProgram {
  readonly pid: number;
  /** sends a signal by its number; false where it has ended */
  kill(signal: number): boolean;
  /** its exit status, 128+n where signal n ended it */
  ended(): Promise<number>;
}
