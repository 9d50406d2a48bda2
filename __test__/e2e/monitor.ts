// `o2cb monitor --json` in a machine, as the scenarios use it: its events as they come, and its end in several ways.
import type { MonitorEvent } from "../../ts/region/audit-types.ts";
import { deferred } from "./vm/deferred.ts";
import { LabError } from "./vm/errors.ts";
import type { Command } from "./vm/command.ts";
import type { Node } from "./vm/node.ts";

export const MONITOR = ["o2cb", "monitor", "--json"] as const;

interface Waiter {
  from: number;
  matches: (event: MonitorEvent) => boolean;
  resolve: (event: MonitorEvent) => void;
  reject: (error: Error) => void;
}

/** One run of the monitor. */
export class Monitor {
  readonly node: Node;
  readonly events: MonitorEvent[] = [];
  readonly #command: Command;
  readonly #waiters = new Set<Waiter>();
  readonly #ended = deferred<void>();
  #over = false;

  /** Resolves when it says that it watches everything. */
  static async start(node: Node): Promise<Monitor> {
    const monitor = new Monitor(node);
    await monitor.event(({ event }) => event === "ready");
    return monitor;
  }

  private constructor(node: Node) {
    this.node = node;
    this.#command = node.start(MONITOR, {
      onLine: (line, stream) => {
        if (stream === "stdout") this.#hear(line);
      },
    });
    const end = (): void => {
      this.#over = true;
      this.#ended.resolve();
      for (const waiter of this.#waiters) waiter.reject(this.#failure("ended"));
    };
    void this.#command.done.then(end, end);
  }

  #hear(line: string): void {
    const event = JSON.parse(line) as MonitorEvent;
    this.events.push(event);
    const index = this.events.length - 1;
    for (const waiter of this.#waiters)
      if (index >= waiter.from && waiter.matches(event)) waiter.resolve(event);
  }

  /** What to give to `event` as `from`: only what comes from now on counts. */
  get mark(): number {
    this.#command.follow();
    return this.events.length;
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** Settles when it has ended, however it did. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get pid(): Promise<number> {
    return this.#command.pid;
  }

  /** The first event from `from` on that matches; fails when it ends or says nothing of the kind for `limitSeconds`. */
  async event(matches: (event: MonitorEvent) => boolean, from = 0, limitSeconds = 60): Promise<MonitorEvent> {
    const there = this.events.slice(from).find(matches);
    if (there !== undefined) return there;
    if (this.#over) throw this.#failure("ended");
    const wait = deferred<MonitorEvent>();
    const waiter = { from, matches, resolve: wait.resolve, reject: wait.reject };
    const timer = setTimeout(
      () => wait.reject(this.#failure(`did not report it within ${limitSeconds} s`)),
      limitSeconds * 1000,
    );
    this.#waiters.add(waiter);
    try {
      return await wait.promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  /** What it says when it drops the reference of a superblock that died. */
  left(region: string, from = 0): Promise<Extract<MonitorEvent, { event: "left" }>> {
    return this.event((one) => one.event === "left" && one.region === region, from) as Promise<
      Extract<MonitorEvent, { event: "left" }>
    >;
  }

  /** What it says when a region is there no more, whoever removed it. */
  async gone(region: string, from = 0): Promise<void> {
    await this.event((one) => one.event === "region-gone" && one.region === region, from);
  }

  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<number> {
    await this.#command.kill(signal);
    return (await this.#command.done).status;
  }

  #failure(what: string): LabError {
    const said = this.events.slice(-20).map((event) => JSON.stringify(event));
    return new LabError(
      "command",
      `the monitor on ${this.node.name} ${what}; it said:\n${said.join("\n")}\n${this.#command.stderr}`,
    );
  }
}
