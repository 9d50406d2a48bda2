// The one monitor of a machine while several volumes go through their cycles: started, ended and killed as they draw it.
import { Monitor } from "../monitor.ts";
import type { MonitorEvent } from "../../../ts/region/audit-types.ts";
import type { Node } from "../vm/node.ts";
import type { CyclePlan } from "./plan.ts";

export class MonitorKeeper {
  readonly #node: Node;
  /** what runs; null where none does */
  current: Monitor | null = null;
  /** how often a monitor was started */
  starts = 0;
  /** what monitors said they could not do */
  readonly failures: MonitorEvent[] = [];
  /** one is being started or ended: it may be at work already, or still */
  isChanging = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(node: Node) {
    this.#node = node;
  }

  /** One after the other: what the volumes draw may fall on one moment. */
  change({ signal, again }: NonNullable<CyclePlan["monitor"]>): Promise<void> {
    const done = this.#turn.then(async () => {
      this.isChanging = true;
      try {
        if (this.current === null) return await this.#start();
        await this.stop(signal);
        if (again) await this.#start();
      } finally {
        this.isChanging = false;
      }
    });
    this.#turn = done.catch(() => {});
    return done;
  }

  async #start(): Promise<void> {
    this.starts += 1;
    this.current = await Monitor.start(this.#node);
  }

  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const { current } = this;
    if (current === null) return;
    this.current = null;
    const status = await current.stop(signal);
    this.failures.push(...current.events.filter(({ event }) => event === "failed"));
    const expected = signal === "SIGTERM" ? 0 : 137;
    if (status !== expected) throw new Error(`the monitor ended with status ${status} on ${signal}`);
  }
}
