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
import { checkOptions, givenUp, refusals, WaitingRequest, type LockOptions } from "./lock-request.ts";
import { LockResource, type ResourceOwner } from "./lock-resource.ts";
import type { LockTransport } from "./lock-transport.ts";
import { checkLockName } from "./names.ts";

/** How long a lock that was unlocked with `keep` stays open for the next holder of this process. */
const LINGER_MS = 5;
/** Each is a process that waits in the kernel. */
const MOST_QUEUED = 16;

export type { LockOptions } from "./lock-request.ts";

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

  #request(name: string, options: LockOptions): Promise<HeldLock> {
    let resource = this.#resources.get(name);
    try {
      // One that is there was looked at when it was made.
      if (resource === undefined) checkLockName(name);
      checkOptions(options);
      if (this.#state !== "open")
        throw new O2cbError("O2CB_NOT_JOINED", `the lock space of domain '${this.domain}' was left`, {
          operation: "lock",
        });
      if (options.signal?.aborted)
        throw givenUp(name, this.domain, "O2CB_ABORTED", {
          outcome: "rolled-back",
          cause: options.signal.reason,
        });
    } catch (error) {
      return Promise.reject(error);
    }
    if (resource === undefined) {
      resource = new LockResource(name, this.#owner);
      this.#resources.set(name, resource);
    }
    const wanted = resource;
    return new Promise((resolve, reject) => {
      wanted.request(new WaitingRequest(wanted, options, resolve, reject));
    });
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
