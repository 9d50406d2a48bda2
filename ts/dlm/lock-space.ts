// The locks of one domain for a program: lock, wait, give up, unlock, leave. What one lock does is lock-resource.ts; which kernel interface
// is behind it is the transport.
//
// Facts relied on: lock-resource.ts. A request that the kernel has queued ends with the grant alone where the transport cannot cancel it: who
// gives up is told so (`in-kernel`), the next of this process who asks takes it over, and with nobody it is given up when it comes.
import { O2cbError } from "../errors.ts";
import type { OnStep } from "../steps.ts";
import { emit } from "../steps.ts";
import type { HeldLock } from "./held-lock.ts";
import type { LockHolder } from "./lock-acquisition.ts";
import { LockResource, type LockRequest, type ResourceOwner } from "./lock-resource.ts";
import type { LockLevel, LockTransport } from "./lock-transport.ts";
import { checkLockName } from "./names.ts";

/** How long a lock that was unlocked with `keep` stays open for the next holder of this process. */
const LINGER_MS = 5;
/** Each is a process that waits in the kernel. */
const MOST_QUEUED = 16;
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

export class LockSpace {
  readonly domain: string;
  readonly #transport: LockTransport;
  readonly #resources = new Map<string, LockResource>();
  readonly #lingering = new Set<LockResource>();
  readonly #owner: ResourceOwner;
  readonly #onStep: OnStep | undefined;
  #sweep: NodeJS.Timeout | null = null;
  #queued = 0;
  #state: "open" | "leaving" | "left" = "open";

  constructor(transport: LockTransport, options: { onStep?: OnStep | undefined } = {}) {
    this.#transport = transport;
    this.domain = transport.domain;
    this.#onStep = options.onStep;
    this.#owner = {
      transport,
      linger: (resource) => {
        this.#lingering.add(resource);
        if (this.#sweep === null) this.#sweep = this.#sweepLater();
      },
      forget: (resource) => {
        if (this.#resources.get(resource.name) === resource) this.#resources.delete(resource.name);
        this.#lingering.delete(resource);
      },
      enterQueue: () => {
        if (this.#queued >= MOST_QUEUED) return false;
        this.#queued += 1;
        return true;
      },
      leaveQueue: () => void (this.#queued -= 1),
    };
  }

  get transport(): LockTransport {
    return this.#transport;
  }

  /**
   * Takes a lock; waits for it, first come first served within this process, unless `trylock`.
   * Errors: O2CB_LOCK_BUSY, O2CB_TIMEOUT and O2CB_ABORTED (with `outcome`, and `settled` where the kernel still queues), O2CB_INVALID_LOCK_NAME,
   * O2CB_DLM_FAILED, O2CB_NOT_JOINED.
   */
  lock(name: string, options: LockOptions = {}): Promise<HeldLock> {
    // The common case, without a promise chain: somebody here has just had it.
    if (this.#state === "open" && options.signal?.aborted !== true) {
      const held = this.#resources.get(name)?.holdNow(options.level ?? "EX");
      if (held != null) return Promise.resolve(held);
    }
    return this.#request(name, options);
  }

  /** The same with `trylock`; null where it is refused. */
  async tryLock(
    name: string,
    options: Omit<LockOptions, "trylock" | "timeoutMs"> = {},
  ): Promise<HeldLock | null> {
    const answer = await this.attempt(name, options);
    return typeof answer === "object" ? answer : null;
  }

  /** The same, and where the one is who refuses it. */
  async attempt(
    name: string,
    options: Omit<LockOptions, "trylock" | "timeoutMs"> = {},
  ): Promise<HeldLock | LockHolder> {
    try {
      return await this.lock(name, { ...options, trylock: true });
    } catch (error) {
      const holder = refusals.get(error as Error);
      if (holder !== undefined) return holder;
      throw error;
    }
  }

  /**
   * Ends every lock of this space and leaves the domain, which ends with its last user on this node. After a failure it can be called again.
   * Errors: O2CB_DOMAIN_IN_USE with `settled` where the kernel still queues for a lock that was given up, and what the kernel says.
   */
  async leave(): Promise<void> {
    if (this.#state === "left") return;
    this.#state = "leaving";
    const error = (): O2cbError =>
      new O2cbError("O2CB_ABORTED", `the lock space of domain '${this.domain}' was left`, {
        operation: "lock",
        outcome: "rolled-back",
      });
    const all = [...this.#resources.values()];
    const ends = await Promise.allSettled(all.map((resource) => resource.endAll(error)));
    const failed = ends.find(({ status }) => status === "rejected");
    const queued = all.filter((resource) => resource.isQueuedInKernel);
    await this.#transport.leave();
    // A lock that could not be given up is the domain's business no more.
    if (queued.length > 0) throw this.#stillQueued(queued);
    this.#state = "left";
    if (failed !== undefined)
      emit(this.#onStep, {
        step: "warning",
        code: "O2CB_DLM_FAILED",
        message: `a lock of domain '${this.domain}' could not be given up by itself: ${((failed as PromiseRejectedResult).reason as Error).message}`,
      });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }

  #stillQueued(queued: LockResource[]): O2cbError {
    const settled = Promise.all(queued.map((resource) => resource.settled())).then(async () => {
      await this.#transport.leave();
      this.#state = "left";
    });
    settled.catch(() => {});
    const names = queued.map(({ name }) => `'${name}'`).join(", ");
    return new O2cbError(
      "O2CB_DOMAIN_IN_USE",
      `the kernel still queues for ${names} of domain '${this.domain}', and this node stays in the domain until they are granted`,
      { operation: "leave-domain", outcome: "in-kernel", settled },
    );
  }

  async #request(name: string, options: LockOptions): Promise<HeldLock> {
    checkLockName(name);
    const { level = "EX", trylock = false, signal, timeoutMs, queueAfterMs = QUEUE_AFTER_MS } = options;
    if (level !== "EX" && level !== "PR")
      throw new TypeError(`lock: '${String(level)}' is no level: PR or EX`);
    if (timeoutMs !== undefined && !(timeoutMs >= 0)) throw new RangeError("lock: timeoutMs is not a time");
    if (!(queueAfterMs >= 0)) throw new RangeError("lock: queueAfterMs is not a time");
    if (this.#state !== "open")
      throw new O2cbError("O2CB_NOT_JOINED", `the lock space of domain '${this.domain}' was left`, {
        operation: "lock",
      });
    if (signal?.aborted) throw this.#givenUp(name, "O2CB_ABORTED", "rolled-back", { cause: signal.reason });
    let resource = this.#resources.get(name);
    if (resource === undefined) {
      resource = new LockResource(name, this.#owner);
      this.#resources.set(name, resource);
    }
    return this.#ask(resource, { level, trylock, signal, timeoutMs, queueAfterMs, onStep: options.onStep });
  }

  #ask(
    resource: LockResource,
    options: LockOptions & { level: LockLevel; trylock: boolean; queueAfterMs: number },
  ): Promise<HeldLock> {
    const { signal, timeoutMs } = options;
    const began = performance.now();
    const { name } = resource;
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      let told: LockHolder | null = null;
      const answered = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      const request: LockRequest = {
        level: options.level,
        trylock: options.trylock,
        queueAfterMs: options.queueAfterMs,
        grant(held) {
          answered();
          resolve(held);
        },
        fail(error) {
          answered();
          reject(error);
        },
        refuse: (holder) => {
          answered();
          reject(busy(name, this.domain, holder));
        },
        waits: (holder, isQueued) => {
          if (holder === "here" || (told === holder && !isQueued)) return;
          told = holder;
          const waitedMs = Math.round(performance.now() - began);
          emit(options.onStep, {
            step: "wait-lock",
            domain: this.domain,
            lock: name,
            holder,
            isQueued,
            waitedMs,
          });
        },
      };
      const giveUp = (code: "O2CB_ABORTED" | "O2CB_TIMEOUT", cause: unknown): void => {
        if (!resource.withdraw(request)) return;
        answered();
        void this.#outcome(resource).then(({ outcome, settled }) =>
          reject(this.#givenUp(name, code, outcome, { cause, settled, timeoutMs })),
        );
      };
      const abort = (): void => giveUp("O2CB_ABORTED", signal?.reason);
      signal?.addEventListener("abort", abort, { once: true });
      if (timeoutMs !== undefined && timeoutMs <= LONGEST_TIMEOUT_MS && !options.trylock)
        timer = setTimeout(() => giveUp("O2CB_TIMEOUT", undefined), timeoutMs);
      resource.request(request);
    });
  }

  /** What became of a request that was taken back. */
  async #outcome(
    resource: LockResource,
  ): Promise<{ outcome: "rolled-back" | "in-kernel"; settled?: Promise<void> }> {
    const settled = resource.settled();
    if (resource.isWanted) return { outcome: "rolled-back" };
    let timer: NodeJS.Timeout | undefined;
    const patienceMs = resource.isQueuedInKernel && this.#transport.canCancel !== true ? 0 : UNDO_PATIENCE_MS;
    const tooLong = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), patienceMs);
    });
    const first = await Promise.race([settled, tooLong]);
    clearTimeout(timer);
    return first === "late" ? { outcome: "in-kernel", settled } : { outcome: "rolled-back" };
  }

  #givenUp(
    name: string,
    code: "O2CB_ABORTED" | "O2CB_TIMEOUT",
    outcome: "rolled-back" | "in-kernel",
    fields: { cause?: unknown; settled?: Promise<void> | undefined; timeoutMs?: number | undefined },
  ): O2cbError {
    const why =
      code === "O2CB_ABORTED"
        ? `waiting for lock '${name}' of domain '${this.domain}' was given up`
        : `lock '${name}' of domain '${this.domain}' was not to be had within ${fields.timeoutMs} ms`;
    const rest =
      outcome === "in-kernel"
        ? "; the kernel still queues for it, and it is given up when it is granted"
        : "";
    const { cause, settled } = fields;
    return new O2cbError(code, why + rest, { operation: "lock", outcome, settled, cause });
  }

  /** One timer for all; it keeps no program alive: the end of the process closes as well. */
  #sweepLater(): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#sweep = null;
      const now = performance.now();
      for (const resource of [...this.#lingering])
        if (resource.closeIdle(now, LINGER_MS)) this.#lingering.delete(resource);
      if (this.#lingering.size > 0) this.#sweep = this.#sweepLater();
    }, LINGER_MS);
    timer.unref();
    return timer;
  }
}

const refusals = new WeakMap<Error, LockHolder>();

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
