// One who waits for a lock: what it asked for, and what it is told: the lock, a refusal, or what became of it when it gave up.
//
// Facts relied on: lock-resource.ts. Made for each request that cannot be answered at once, so it is kept light: no timer, no listener and no clock
// unless asked for.
import { O2cbError } from "../errors.ts";
import { emit, type OnStep } from "../steps.ts";
import type { HeldLock } from "./held-lock.ts";
import type { LockHolder } from "./lock-acquisition.ts";
import type { LockRequest, LockResource } from "./lock-resource.ts";
import type { LockLevel } from "./lock-transport.ts";

const QUEUE_AFTER_MS = 300;
/** How long what can be given up may take to be, before it counts as in the kernel. */
const UNDO_PATIENCE_MS = 2000;
const LONGEST_TIMEOUT_MS = 0x7fff_ffff;

export interface LockOptions {
  /** default EX */
  level?: LockLevel | undefined;
  /** do not wait at all: O2CB_LOCK_BUSY */
  trylock?: boolean | undefined;
  signal?: AbortSignal | undefined;
  /** how long to wait at the most: O2CB_TIMEOUT */
  timeoutMs?: number | undefined;
  /**
   * After how many milliseconds of attempts the kernel queues for the lock (default 300; Infinity: never). Only then do holders elsewhere hear
   * that somebody waits, and nodes that merely cache it give it up; and only the grant ends it then.
   */
  queueAfterMs?: number | undefined;
  onStep?: OnStep | undefined;
}

/** Errors: TypeError, RangeError. */
export function checkOptions({ level, timeoutMs, queueAfterMs }: LockOptions): void {
  if (level !== undefined && level !== "EX" && level !== "PR")
    throw new TypeError(`lock: '${String(level)}' is no level: PR or EX`);
  if (timeoutMs !== undefined && !(timeoutMs >= 0)) throw new RangeError("lock: timeoutMs is not a time");
  if (queueAfterMs !== undefined && !(queueAfterMs >= 0))
    throw new RangeError("lock: queueAfterMs is not a time");
}

export class WaitingRequest implements LockRequest {
  readonly level: LockLevel;
  readonly trylock: boolean;
  readonly queueAfterMs: number;
  readonly #resource: LockResource;
  readonly #resolve: (held: HeldLock) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onStep: OnStep | undefined;
  readonly #began: number;
  #told: LockHolder | null = null;
  /** ends timer and listener, where there are any */
  #answered: (() => void) | null = null;

  constructor(
    resource: LockResource,
    options: LockOptions,
    resolve: (held: HeldLock) => void,
    reject: (error: unknown) => void,
  ) {
    this.level = options.level ?? "EX";
    this.trylock = options.trylock ?? false;
    this.queueAfterMs = options.queueAfterMs ?? QUEUE_AFTER_MS;
    this.#resource = resource;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onStep = options.onStep;
    this.#began = options.onStep === undefined ? 0 : performance.now();
    if (options.signal !== undefined || options.timeoutMs !== undefined) this.#limit(options);
  }

  grant(held: HeldLock): void {
    this.#answered?.();
    this.#resolve(held);
  }

  fail(error: unknown): void {
    this.#answered?.();
    this.#reject(error);
  }

  refuse(holder: LockHolder): void {
    this.fail(busy(this.#resource.name, this.#resource.domain, holder));
  }

  waits(holder: LockHolder, isQueued: boolean): void {
    if (this.#onStep === undefined || holder === "here" || (this.#told === holder && !isQueued)) return;
    this.#told = holder;
    const { name: lock, domain } = this.#resource;
    const waitedMs = Math.round(performance.now() - this.#began);
    emit(this.#onStep, { step: "wait-lock", domain, lock, holder, isQueued, waitedMs });
  }

  #limit({ signal, timeoutMs }: LockOptions): void {
    const giveUp = (code: "O2CB_ABORTED" | "O2CB_TIMEOUT", cause: unknown): void => {
      if (!this.#resource.withdraw(this)) return;
      this.#answered?.();
      const { name, domain } = this.#resource;
      void outcomeOf(this.#resource).then((outcome) =>
        this.#reject(givenUp(name, domain, code, { cause, timeoutMs, ...outcome })),
      );
    };
    const abort = (): void => giveUp("O2CB_ABORTED", signal?.reason);
    const timer =
      timeoutMs === undefined || timeoutMs > LONGEST_TIMEOUT_MS || this.trylock
        ? undefined
        : setTimeout(() => giveUp("O2CB_TIMEOUT", undefined), timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    this.#answered = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
  }
}

interface GivenUp {
  outcome: "rolled-back" | "in-kernel";
  settled?: Promise<void> | undefined;
}

/** What became of a request that was taken back. */
async function outcomeOf(resource: LockResource): Promise<GivenUp> {
  const settled = resource.settled();
  if (resource.isWanted) return { outcome: "rolled-back" };
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), resource.endsWithGrant ? 0 : UNDO_PATIENCE_MS);
  });
  const first = await Promise.race([settled, tooLong]);
  clearTimeout(timer);
  return first === "late" ? { outcome: "in-kernel", settled } : { outcome: "rolled-back" };
}

export function givenUp(
  name: string,
  domain: string,
  code: "O2CB_ABORTED" | "O2CB_TIMEOUT",
  { outcome, settled, cause, timeoutMs }: GivenUp & { cause?: unknown; timeoutMs?: number | undefined },
): O2cbError {
  const why =
    code === "O2CB_ABORTED"
      ? `waiting for lock '${name}' of domain '${domain}' was given up`
      : `lock '${name}' of domain '${domain}' was not to be had within ${timeoutMs} ms`;
  const rest =
    outcome === "in-kernel" ? "; the kernel still queues for it, and it is given up when it is granted" : "";
  return new O2cbError(code, why + rest, { operation: "lock", outcome, settled, cause });
}

/** By whom a lock was refused, by the error. */
export const refusals = new WeakMap<Error, LockHolder>();

function busy(name: string, domain: string, holder: LockHolder): O2cbError {
  const who = {
    here: "another holder in this process has it",
    process: "another process on this node has it",
    node: "another node holds it, or keeps it cached",
  }[holder];
  const error = new O2cbError(
    "O2CB_LOCK_BUSY",
    `lock '${name}' of domain '${domain}' is not to be had now: ${who}`,
    { operation: "lock" },
  );
  refusals.set(error, holder);
  return error;
}
