// Places where the fake kernel waits if a test asked for it: a heartbeat that becomes steady, a dismount, a mount.
import { deferred } from "./deferred.ts";
import { refuse, Refusal } from "./errors.ts";

/** Control over something that the kernel would do by itself. */
export interface Hold {
  /** resolves when the kernel has come to it */
  readonly reached: Promise<void>;
  finish(): void;
  /** ends it with a failure instead */
  fail(errno: string): void;
}

interface Gate {
  readonly arrive: () => void;
  readonly opened: Promise<void>;
  readonly uninterruptible: boolean;
}

/** The holds of one place, used up in their order. */
export class Gates {
  readonly #gates: Gate[] = [];

  hold(settings: { uninterruptible?: boolean | undefined } = {}): Hold {
    const reached = deferred<void>();
    const opened = deferred<void>();
    // A failure that nobody waits for yet is no failure of the test.
    opened.promise.catch(() => undefined);
    this.#gates.push({
      arrive: () => reached.resolve(),
      opened: opened.promise,
      uninterruptible: settings.uninterruptible ?? false,
    });
    return {
      reached: reached.promise,
      finish: () => opened.resolve(),
      fail: (errno) => opened.reject(new Refusal(errno)),
    };
  }

  /** Passes, at once where nothing is held, or after `otherwise`; EINTR after an interruption. */
  async pass(interrupt: AbortSignal | null, otherwise?: () => Promise<void>): Promise<void> {
    const gate = this.#gates.shift();
    gate?.arrive();
    const work = gate === undefined ? otherwise?.() : gate.opened;
    if (interrupt === null || gate?.uninterruptible) await work;
    else await orInterrupted(work, interrupt);
  }
}

async function orInterrupted(work: Promise<void> | undefined, interrupt: AbortSignal): Promise<void> {
  if (interrupt.aborted) refuse("EINTR");
  const interrupted = deferred<void>();
  const onAbort = (): void => interrupted.reject(new Refusal("EINTR"));
  interrupt.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([work, interrupted.promise]);
  } finally {
    interrupt.removeEventListener("abort", onAbort);
  }
}
