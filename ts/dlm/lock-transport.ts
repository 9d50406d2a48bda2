// What a lock space stands on: one kernel interface to a distributed lock manager, with its own words for the same few actions.
// Two exist: dlmfs (the classic stack) and libdlm (fsdlm, the userspace stacks).
//
// Facts relied on (group-api 8.5, 8.6, 8.8): two levels, PR and EX; a lock belongs to the node and not to the process, so whoever stands
// above this has to keep the holders of one node apart; a value block of 64 bytes (dlmfs) or 32 (fsdlm) travels with a lock.
//
// No policy is here: waiting, giving up, sharing within a process and between the processes of a node is ts/dlm/lock-space.ts.
import type { CallOptions, LockLevel } from "../native-types.ts";

export type { LockLevel } from "../native-types.ts";

export interface AcquireOptions extends CallOptions {
  /** do not queue: null where it is not to be had at once. Without it the call may sleep where nothing can end it. */
  trylock: boolean;
}

/** What keeps the other processes of this node from one lock. */
export interface Reservation {
  /** whether another process waits for it; never blocks */
  isAwaited(): boolean;
  /** never blocks; twice does nothing */
  release(): void;
}

/** A node's membership in one domain (lockspace). */
export interface LockTransport {
  readonly kind: "dlmfs" | "fsdlm";
  /** for a volume: its UUID, 32 upper-case hexadecimal digits */
  readonly domain: string;
  /** size of a lock's value block in bytes */
  readonly valueBytes: number;
  /** whether TransportLock.blocked can tell anything */
  readonly canNotify: boolean;
  /** whether an acquire that queues can be given up at once; default false: it then ends with the grant, however late */
  readonly canCancel?: boolean;
  /**
   * Keeps the other processes of this node from a lock; to be had before `acquire`, and released after the lock. Absent where a lock belongs to
   * the process that took it. Null only with `trylock`, where another process has it. Errors: O2CB_ABORTED.
   */
  reserve?(name: string, level: LockLevel, options: AcquireOptions): Promise<Reservation | null>;
  /**
   * Takes a lock of this node. Null only with `trylock`, where it is refused now.
   * Errors: O2CB_INVALID_LOCK_NAME, O2CB_DLM_FAILED, O2CB_ABORTED (nothing is held then).
   */
  acquire(
    name: string,
    level: LockLevel,
    options: AcquireOptions & { reservation?: Reservation | undefined },
  ): Promise<TransportLock | null>;
  /**
   * Leaves the domain, which ends with its last user on this node. May be called again: after a failure, and to clear away what a
   * late grant left. Errors: O2CB_DOMAIN_IN_USE (locks of this process are held).
   */
  leave(options?: CallOptions): Promise<void>;
}

/** One lock, held by this node through this process. */
export interface TransportLock {
  readonly level: LockLevel;
  /** `valueBytes` bytes; null where the value was lost with its last holder */
  readValue(options?: CallOptions): Promise<Uint8Array | null>;
  /** exactly `valueBytes` bytes; needs EX. Seen by others once the lock is given up or lowered. */
  writeValue(value: Uint8Array, options?: CallOptions): Promise<void>;
  /** settles when another node waits for this lock to be given up; rejects with O2CB_ABORTED */
  blocked(options?: CallOptions): Promise<void>;
  /** the same asked at once; never blocks. Absent: nobody knows. */
  isBlocked?(): boolean;
  /**
   * Ends this holder. `drop`: the node gives the lock up as far as nobody else on it holds it; otherwise dlmfs keeps it cached, which refuses
   * the trylocks of other nodes. False where it stays because of another holder on this node. Without `drop` the holder has ended when the call
   * returns, before its promise settles.
   */
  release(options: { drop: boolean }): Promise<boolean>;
}
