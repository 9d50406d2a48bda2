// A monitor at work on a fake machine, with every time span shortened: its events as they come, and when it is at rest.
import { Monitor, type WatchOptions } from "../../ts/monitor/monitor.ts";
import type { MonitorEvent } from "../../ts/region/audit-types.ts";
import type { FakeKernel, FakeNative } from "./fake-native.ts";

/** Five seconds are ten milliseconds. */
const SCALE = 0.002;
const LIMIT_MS = 10_000;

export class RunningMonitor {
  readonly native: FakeNative;
  readonly monitor: Monitor;
  readonly events: MonitorEvent[] = [];
  /** why it ended; null while it runs, or when it was stopped */
  failure: unknown = null;
  readonly #end = new AbortController();
  readonly #ended: Promise<void>;

  constructor(kernel: FakeKernel, options: WatchOptions & { native?: FakeNative; scale?: number } = {}) {
    this.native = options.native ?? kernel.process({ name: "monitor" });
    this.monitor = new Monitor(this.native, { signal: this.#end.signal, ...options }, options.scale ?? SCALE);
    this.#ended = this.#run();
  }

  /** Runs one until it has begun to watch, and has nothing to do. */
  static async start(
    kernel: FakeKernel,
    options: WatchOptions & { native?: FakeNative } = {},
  ): Promise<RunningMonitor> {
    const running = new RunningMonitor(kernel, options);
    await running.until(() => running.of("ready").length > 0, "it is ready");
    return running;
  }

  async #run(): Promise<void> {
    try {
      for await (const event of this.monitor.run()) this.events.push(event);
    } catch (error) {
      this.failure = error;
    }
  }

  of<E extends MonitorEvent["event"]>(event: E): Extract<MonitorEvent, { event: E }>[] {
    return this.events.filter((one): one is Extract<MonitorEvent, { event: E }> => one.event === event);
  }

  /** The events but `ready`, as words. */
  get words(): string[] {
    return this.events.map(({ event }) => event).filter((event) => event !== "ready");
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const end = Date.now() + LIMIT_MS;
    while (!condition()) {
      if (this.failure !== null) throw this.failure;
      if (Date.now() > end) throw new Error(`not in time: ${what}; events: ${JSON.stringify(this.events)}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Until only an event would wake it. */
  async rest(): Promise<void> {
    let calls = -1;
    await this.until(() => {
      const before = calls;
      calls = this.native.calls.length;
      return this.monitor.isAtRest && before === calls;
    }, "it is at rest");
  }

  /** Until it has looked so often again, for what no event tells. */
  async looks(more: number): Promise<void> {
    const wanted = this.monitor.looks + more;
    await this.until(() => this.monitor.looks >= wanted, `${more} more looks`);
  }

  /** Ends it as a signal does. */
  async end(): Promise<void> {
    this.#end.abort();
    await this.#ended;
    if (this.failure !== null) throw this.failure;
  }

  /** The same, and its process ends. */
  async stop(): Promise<void> {
    await this.end();
    this.native.exit();
  }

  /** SIGKILL: nothing is tidied up. */
  kill(): void {
    this.native.kill();
  }
}
