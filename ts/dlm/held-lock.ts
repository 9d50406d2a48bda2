// One holder of a lock: its value block, its notifications, its end.
//
// Facts relied on (kernel-abi 5): a value block is written under EX and as a whole, and seen by others once the lock is given up or lowered; poll
// goes on saying "blocked" until then, so one wait of another node is one notification; while a call waits for it the lock cannot end.
import { isCode, O2cbError } from "../errors.ts";
import type { CallOptions } from "../native-types.ts";
import type { LockResource } from "./lock-resource.ts";
import type { LockLevel, TransportLock } from "./lock-transport.ts";

/** Another node waits for this lock (a blocking AST). */
export interface LockNotification {
  name: string;
}

const DONE = Promise.resolve();

export class HeldLock {
  readonly #resource: LockResource;
  readonly #lock: TransportLock;
  #isHeld = true;
  /** of notifications that wait */
  #waits: Map<AbortController, Promise<unknown>> | null = null;

  /** @internal by its resource */
  constructor(resource: LockResource, lock: TransportLock) {
    this.#resource = resource;
    this.#lock = lock;
  }

  get name(): string {
    return this.#resource.name;
  }

  get level(): LockLevel {
    return this.#lock.level;
  }

  /**
   * The lock's value block, as its last writer on any node left it; zeros before the first.
   * Errors: O2CB_LOCK_VALUE_INVALID (lost with its last holder), O2CB_NOT_JOINED (no longer held), O2CB_ABORTED.
   */
  async readValue(options: CallOptions = {}): Promise<Uint8Array> {
    this.#requireHeld("read-lock-value");
    const value = await this.#lock.readValue(options);
    if (value !== null) return value;
    throw new O2cbError(
      "O2CB_LOCK_VALUE_INVALID",
      `the value block of lock '${this.name}' of domain '${this.#resource.domain}' was lost with its last holder`,
      { operation: "read-lock-value" },
    );
  }

  /**
   * Replaces the value block; shorter ones are filled up with zeros. Needs EX.
   * Errors: TypeError, RangeError (too long), O2CB_NOT_JOINED, O2CB_DLM_FAILED.
   */
  async writeValue(value: Uint8Array, options: CallOptions = {}): Promise<void> {
    this.#requireHeld("write-lock-value");
    const { valueBytes } = this.#resource;
    if (!(value instanceof Uint8Array)) throw new TypeError("writeValue: a Uint8Array is expected");
    if (value.length > valueBytes)
      throw new RangeError(`writeValue: ${value.length} bytes, a value block has ${valueBytes}`);
    if (this.level !== "EX")
      throw new TypeError(`writeValue: lock '${this.name}' is held as PR; only EX may write its value`);
    const whole = new Uint8Array(valueBytes);
    whole.set(value);
    await this.#lock.writeValue(whole, options);
  }

  /**
   * Tells when another node waits for this lock; ends when the lock does. Who is told should unlock soon. Another process of this node, or
   * another holder in this process, is not told of.
   * Errors: O2CB_DLM_UNAVAILABLE where the lock manager cannot tell, O2CB_ABORTED.
   */
  async *notifications(options: CallOptions = {}): AsyncGenerator<LockNotification, void> {
    if (!this.#resource.canNotify)
      throw new O2cbError(
        "O2CB_DLM_UNAVAILABLE",
        `the lock manager of domain '${this.#resource.domain}' does not tell who waits for a lock`,
        { operation: "wait-lock-blocked", remedy: "unlock now and then, and take the lock again" },
      );
    if (!(await this.#blocked(options))) return;
    yield { name: this.name };
    // It is blocked until it is given up: there is nothing more to tell.
    await this.#ended(options);
  }

  /**
   * Gives the lock up. `keep`: this node keeps it cached, which is far cheaper to take again here, but refuses the trylocks of other nodes until
   * one of them queues for it. Twice does nothing.
   * Errors: where the node could not be made to give up what it caches; this holder has ended all the same.
   */
  unlock({ keep = false }: { keep?: boolean } = {}): Promise<void> {
    if (!this.#isHeld) return DONE;
    this.#isHeld = false;
    if (this.#waits !== null) return this.#unlockWatched(keep);
    return this.#resource.isStill(this.#lock) ? this.#resource.release(keep) : DONE;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unlock();
  }

  async #unlockWatched(keep: boolean): Promise<void> {
    for (const controller of this.#waits?.keys() ?? []) controller.abort();
    await Promise.allSettled(this.#waits?.values() ?? []);
    if (this.#resource.isStill(this.#lock)) await this.#resource.release(keep);
  }

  /** False where the lock ended first. */
  async #blocked({ signal }: CallOptions): Promise<boolean> {
    return this.#watched(signal, async (own) => {
      await this.#lock.blocked({ signal: own });
      return true;
    });
  }

  #ended({ signal }: CallOptions): Promise<boolean> {
    return this.#watched(
      signal,
      (own) =>
        new Promise((resolve) => {
          own.addEventListener("abort", () => resolve(false), { once: true });
          if (own.aborted) resolve(false);
        }),
    );
  }

  /** Runs a wait that the end of the lock ends, or the caller; the caller's end is an error. */
  async #watched(
    signal: AbortSignal | undefined,
    wait: (own: AbortSignal) => Promise<boolean>,
  ): Promise<boolean> {
    if (!this.#isHeld || !this.#resource.isStill(this.#lock)) return false;
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
    this.#resource.watchers.add(controller);
    this.#waits ??= new Map();
    const work = wait(controller.signal);
    this.#waits.set(controller, work);
    try {
      const result = await work;
      if (signal?.aborted) throw aborted(signal);
      return result;
    } catch (error) {
      if (signal?.aborted) throw aborted(signal);
      if (controller.signal.aborted && isCode(error, "O2CB_ABORTED")) return false;
      throw error;
    } finally {
      this.#waits.delete(controller);
      this.#resource.watchers.delete(controller);
      signal?.removeEventListener("abort", abort);
    }
  }

  #requireHeld(operation: string): void {
    if (this.#isHeld && this.#resource.isStill(this.#lock)) return;
    throw new O2cbError("O2CB_NOT_JOINED", `lock '${this.name}' was given up already`, { operation });
  }
}

function aborted(signal: AbortSignal): O2cbError {
  return new O2cbError("O2CB_ABORTED", "waiting for a notification was given up", {
    operation: "wait-lock-blocked",
    outcome: "rolled-back",
    cause: signal.reason,
  });
}
