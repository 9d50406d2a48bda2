// The reaps that are under way, one for each region at most. They run beside the looks: one that waits for its volume's lock, while
// a mount is being made, keeps no other volume waiting.
import { isCode } from "../errors.ts";
import type { Native } from "../native-types.ts";
import type { MonitorEvent, ReapAction } from "../region/audit-types.ts";
import { reap } from "../region/reap.ts";
import type { OnStep } from "../steps.ts";
import { failureOf, type Failure } from "./failure.ts";

/** How long one reap waits for a claim; the next look asks again. */
const PATIENCE_MS = 1000;

export interface ReapReport {
  tell: (event: MonitorEvent) => void;
  fail: (region: string, failure: Failure) => void;
  /** it is over, however it ended: everything has to be looked at again */
  over: (region: string) => void;
}

export class Reaps {
  readonly #native: Native;
  readonly #report: ReapReport;
  readonly #running = new Map<string, Promise<void>>();
  readonly #options: { signal: AbortSignal; onStep: OnStep | undefined; patienceMs: number };

  constructor(
    native: Native,
    report: ReapReport,
    options: { signal: AbortSignal; onStep: OnStep | undefined; scale: number },
  ) {
    const { signal, onStep, scale } = options;
    this.#native = native;
    this.#report = report;
    this.#options = { signal, onStep, patienceMs: PATIENCE_MS * scale };
  }

  get size(): number {
    return this.#running.size;
  }

  has(region: string): boolean {
    return this.#running.has(region);
  }

  /** Begins one; `references`: the count that it was planned on. `skipped` hears why nothing was done. */
  start(action: ReapAction, references: number, skipped: (reason: string) => void): void {
    const work = this.#run(action, references, skipped).finally(() => {
      this.#running.delete(action.region);
      this.#report.over(action.region);
    });
    this.#running.set(action.region, work);
  }

  /** When none runs any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  async #run(action: ReapAction, references: number, skipped: (reason: string) => void): Promise<void> {
    const { region, drop, stop, removeSet, reason } = action;
    const { signal } = this.#options;
    try {
      const plan = { time: new Date().toISOString(), actions: [action], kept: [] };
      const result = await reap(this.#native, plan, this.#options);
      for (const skip of result.skipped) {
        if (skip.code === null) skipped(skip.reason);
        else if (!signal.aborted) this.#report.fail(region, { code: skip.code, message: skip.reason });
      }
      if (result.done.length === 0 || !(drop > 0 || stop || removeSet)) return;
      const left = Math.max(0, references - drop);
      this.#report.tell({ event: "left", region, references: left, stopped: stop, reason });
    } catch (error) {
      if (!(signal.aborted && isCode(error, "O2CB_ABORTED"))) this.#report.fail(region, failureOf(error));
    }
  }
}
