// Watches every superblock of a heartbeat region, and leaves for those that die without a command of ours: the one process that
// makes a leave right whatever ended the mount (a plain umount2(2), the last user of a lazy unmount, a namespace, kill -9).
//
// Facts relied on (commands 2.4-2.7): a watch on a mount root keeps nothing busy and tells of the superblock's death exactly once;
// the device's claim is free seconds after that, when the DLM domain is left and the kernel's own call-out has run. Nothing
// tells of a semaphore's count, of a process that ends with its reference, of a mount in another namespace, or of the driver being
// loaded: where one of these is waited for, it looks every 30 s. Else nothing runs while nothing happens.
//
// Each wake leads to one look at everything (look.ts), and what is to be done follows from that look alone. What may be dropped is
// decided by planReap and reap, never here.
import { setMaxListeners } from "node:events";
import { requireHostNamespaces } from "../namespaces.ts";
import type { EventWatch, Held, MountEntry, Native, WatchEvent } from "../native-types.ts";
import type { MonitorEvent } from "../region/audit-types.ts";
import { RECORD_DIRECTORY } from "../region/record.ts";
import type { OnStep } from "../steps.ts";
import { Alarm } from "./alarm.ts";
import { failureOf, type Failure } from "./failure.ts";
import { lockHost } from "./host-lock.ts";
import { lookAtAll } from "./look.ts";
import { Places } from "./places.ts";
import { Reaps } from "./reaps.ts";
import type { TrackedRegion } from "./tracked-region.ts";

const DIRECTORY = "/run/ocfs2-group";
const SELDOM_MS = 30_000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;
/** What in the mount table concerns the monitor. */
const TYPES = ["ocfs2", "configfs", "debugfs"];

export interface WatchOptions {
  /** ends it: the generator then returns */
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
  /** leave for superblocks that died, and remove what killed commands left; one such watcher per host. Default true */
  reap?: boolean | undefined;
  /** called each time when nothing is left to be done until something happens, or until the next look where it has to look by itself */
  onRest?: (() => void) | undefined;
}

/**
 * Tells what happens to this node's heartbeat regions and the superblocks on them, beginning with `ready`, until the signal fires or
 * the consumer stops. What fails meanwhile is an event, and tried again.
 * Errors, before `ready`: O2CB_ALREADY_RUNNING, O2CB_NAMESPACE.
 */
export function watch(native: Native, options: WatchOptions = {}): AsyncGenerator<MonitorEvent, void, void> {
  return new Monitor(native, options).run();
}

export class Monitor {
  readonly #native: Native;
  readonly #options: WatchOptions;
  readonly #scale: number;
  readonly #end = new AbortController();
  readonly #alarm = new Alarm();
  readonly #regions = new Map<string, TrackedRegion>();
  /** what is wrong now, by what it concerns: told once */
  readonly #failures = new Map<string, string>();
  readonly #told: MonitorEvent[] = [];
  readonly #overEarly = new Set<number>();
  readonly #reaps: Reaps | null;
  #events: EventWatch | null = null;
  #places: Places | null = null;
  /** the watch broke and has to be made anew */
  #broken: unknown = null;
  #mustLook = true;
  #haveMountsChanged = false;
  /** the kernel dropped events */
  #hasLost = false;
  #table = "";
  #isReady = false;
  #failedLooks = 0;
  #looks = 0;

  /** `scale` shortens every time span, for tests. */
  constructor(native: Native, options: WatchOptions = {}, scale = 1) {
    this.#native = native;
    this.#options = options;
    this.#scale = scale;
    const { signal } = this.#end;
    // Each call that can be given up listens, and an audit makes dozens at once.
    setMaxListeners(0, signal);
    const report = {
      tell: (event: MonitorEvent) => void this.#told.push(event),
      fail: (region: string, failure: Failure) => this.#fail(region, region, failure),
      over: () => {
        this.#mustLook = true;
        this.#alarm.ring();
      },
    };
    this.#reaps =
      options.reap === false ? null : new Reaps(native, report, { signal, onStep: options.onStep, scale });
  }

  /** How much is remembered, for tests of its bounds. */
  get memory(): Record<string, number> {
    return {
      regions: this.#regions.size,
      failures: this.#failures.size,
      reaps: this.#reaps?.size ?? 0,
      early: this.#overEarly.size,
      events: this.#told.length,
    };
  }

  /** when it looks again by itself, milliseconds since 1970; null where only an event leads to it */
  get nextLook(): number | null {
    return this.#alarm.at;
  }

  /** Looks so far, those that failed included. */
  get looks(): number {
    return this.#looks;
  }

  /** Whether nothing is left to be done, so that only an event wakes it. */
  get isAtRest(): boolean {
    return this.#alarm.isWaiting && this.#alarm.at === null && this.#hasNothingToDo;
  }

  get #hasNothingToDo(): boolean {
    return !this.#mustLook && (this.#reaps?.size ?? 0) === 0;
  }

  async *run(): AsyncGenerator<MonitorEvent, void, void> {
    const { signal } = this.#options;
    const end = (): void => {
      this.#end.abort(signal?.reason);
      this.#alarm.ring();
    };
    signal?.addEventListener("abort", end, { once: true });
    if (signal?.aborted) end();
    let lock: Held | null = null;
    try {
      if (this.#reaps !== null) {
        await requireHostNamespaces(this.#native, "watch", this.#end.signal);
        lock = await lockHost(this.#native, this.#end.signal, this.#options.onStep);
      }
      while (!this.#end.signal.aborted) {
        if (this.#mustLook) await this.#look();
        for (let event = this.#told.shift(); event !== undefined; event = this.#told.shift()) yield event;
        if (this.#hasNothingToDo) this.#options.onRest?.();
        const isTime = await this.#alarm.wait();
        if (isTime || (this.#haveMountsChanged && (await this.#isTableNew()))) this.#mustLook = true;
      }
    } catch (error) {
      if (!this.#end.signal.aborted) throw error;
    } finally {
      signal?.removeEventListener("abort", end);
      this.#end.abort();
      await this.#reaps?.settled();
      this.#events?.release();
      lock?.release();
    }
  }

  // -- looking

  async #look(): Promise<void> {
    const { signal } = this.#end;
    this.#mustLook = false;
    this.#haveMountsChanged = false;
    this.#alarm.clear();
    try {
      const events = await this.#watching();
      await this.#updatePlaces();
      this.#table = relevant(await this.#native.mounts(null, { signal }));
      await lookAtAll({
        native: this.#native,
        signal,
        onStep: this.#options.onStep,
        scale: this.#scale,
        events,
        regions: this.#regions,
        overEarly: this.#overEarly,
        alarm: this.#alarm,
        reaps: this.#reaps,
        isFirst: !this.#isReady,
        tell: (event) => void this.#told.push(event),
        fail: (region, failure) => this.#fail(region, region, failure),
        recovered: (region) => void this.#failures.delete(region),
      });
      this.#overEarly.clear();
      this.#failedLooks = 0;
      this.#failures.delete("look");
      this.#beReady();
      this.#looks += 1;
    } catch (error) {
      if (signal.aborted) throw error;
      this.#looks += 1;
      this.#fail("look", null, failureOf(error));
      const pause = Math.min(FIRST_RETRY_MS * 2 ** this.#failedLooks, LONGEST_RETRY_MS);
      this.#failedLooks += 1;
      this.#alarm.ask(Date.now() + pause * this.#scale);
    }
  }

  #beReady(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    const tracked = [...this.#regions.values()];
    this.#told.unshift({
      event: "ready",
      regions: tracked.filter(({ present }) => present).length,
      superblocks: tracked.filter(({ told }) => told).length,
    });
  }

  #fail(key: string, region: string | null, { code, message }: Failure): void {
    if (this.#failures.get(key) === message) return;
    this.#failures.set(key, message);
    this.#told.push({ event: "failed", region, code, message });
  }

  // -- watching

  /** The watch, made anew where it broke or where the kernel has dropped what it had to tell. */
  async #watching(): Promise<EventWatch> {
    if (this.#broken !== null) {
      const error = this.#broken;
      this.#broken = null;
      this.#events?.release();
      this.#events = null;
      this.#forgetWatches();
      throw error;
    }
    if (this.#events === null) {
      this.#events = await this.#native.watchEvents({ signal: this.#end.signal });
      this.#places = new Places(this.#native, this.#events);
      void this.#listen(this.#events);
    } else if (this.#hasLost) this.#forgetWatches();
    return this.#events;
  }

  /** Whether they stand is not known any more; what stands is given the same id again. */
  #forgetWatches(): void {
    for (const region of this.#regions.values()) region.watch = null;
  }

  async #updatePlaces(): Promise<void> {
    if (this.#places === null) return;
    const again = this.#hasLost;
    this.#hasLost = false;
    if (this.#reaps !== null && !this.#places.has(RECORD_DIRECTORY)) await this.#makeRecordDirectory();
    const { hasClusters, problem } = await this.#places.update(again, this.#end.signal);
    if (problem === null) this.#failures.delete("places");
    else this.#fail("places", null, failureOf(problem));
    if (!hasClusters || problem !== null) this.#alarm.ask(Date.now() + SELDOM_MS * this.#scale);
  }

  async #listen(events: EventWatch): Promise<void> {
    const { signal } = this.#end;
    try {
      while (!signal.aborted) for (const event of await events.next({ signal })) this.#hear(event);
    } catch (error) {
      if (signal.aborted) return;
      this.#broken = error;
      this.#mustLook = true;
      this.#alarm.ring();
    }
  }

  #hear(event: WatchEvent): void {
    if (event.kind === "mounts") this.#haveMountsChanged = true;
    else this.#mustLook = true;
    if (event.kind === "unmounted") this.#died(event.id);
    if (event.kind === "gone") this.#places?.gone(event.id);
    if (event.kind === "lost") this.#hasLost = true;
    this.#alarm.ring();
  }

  #died(id: number): void {
    for (const region of this.#regions.values()) {
      if (region.watch !== id) continue;
      region.watch = null;
      region.died = true;
      return;
    }
    this.#overEarly.add(id);
  }

  /** The mount table changes with every container; most of that is nothing to look at. */
  async #isTableNew(): Promise<boolean> {
    this.#haveMountsChanged = false;
    try {
      return relevant(await this.#native.mounts(null, { signal: this.#end.signal })) !== this.#table;
    } catch {
      return true;
    }
  }

  /** So that it can be watched; without it only the notes of joins are missed. */
  async #makeRecordDirectory(): Promise<void> {
    for (const path of [DIRECTORY, RECORD_DIRECTORY]) {
      try {
        await this.#native.makeDirectory(path, { signal: this.#end.signal });
      } catch (error) {
        if (this.#end.signal.aborted) throw error;
      }
    }
  }
}

function relevant(mounts: readonly MountEntry[]): string {
  return mounts
    .filter(({ type }) => TYPES.includes(type))
    .map(({ id, type, root, target }) => `${id} ${type} ${root} ${target}`)
    .join("\n");
}
