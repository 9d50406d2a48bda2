// What a process can wait for: superblocks that die, entries of directories, the mount table.
//
// Facts relied on: inotify(7), commands facts 4 and 2.5: a watch keeps no mount busy, IN_UNMOUNT comes once, when the superblock is shut
// down, and before the DLM domain is left, the call-out runs and the device is free; events beyond the queue's limit are
// dropped and an overflow is told instead. proc_pid_mountinfo(5): poll tells that the table changed since it was last asked, not how often.
import { isDeepStrictEqual } from "node:util";
import type { CallOptions, DeviceNumber, EventWatch, WatchEvent } from "../../../ts/native-types.ts";
import { deferred, type Deferred } from "./deferred.ts";
import { abortedCall, refuse, refuseWithCode } from "./errors.ts";
import type { FakeProcess } from "./process.ts";
import type { FileSystem, MountNamespace, Place } from "./vfs.ts";

interface Entry {
  /** the same thing twice is one watch */
  readonly key: unknown;
  readonly fileSystem: FileSystem;
  /** told of the superblock, or of its entries */
  readonly kind: "mount" | "directory";
  readonly forget: () => void;
}

/** The kernel's side: one inotify instance, and one open mountinfo. */
export class Watch {
  readonly #limit: () => number;
  readonly #entries = new Map<number, Entry>();
  readonly #forgetTable: () => void;
  #queue: WatchEvent[] = [];
  #tableChanged = false;
  #woken: Deferred<void> | null = null;
  #lastId = 0;
  closed = false;

  constructor(namespace: MountNamespace, limit: () => number) {
    this.#limit = limit;
    const changed = (): void => {
      this.#tableChanged = true;
      this.#woken?.resolve();
    };
    namespace.listeners.add(changed);
    this.#forgetTable = () => void namespace.listeners.delete(changed);
  }

  get isWaitedFor(): boolean {
    return this.#woken !== null;
  }

  get hasEvents(): boolean {
    return this.#queue.length > 0 || this.#tableChanged;
  }

  addMount({ mount: { fileSystem } }: Place): number {
    return this.#add({ key: fileSystem, fileSystem, kind: "mount", forget: () => undefined });
  }

  addDirectory({ node, mount: { fileSystem }, inner }: Place): number {
    const events = node.events;
    const known = this.#find(events ?? `${fileSystem.type} ${inner}`);
    if (known !== undefined) return known;
    const forget = events?.listen((event) => {
      if (event.kind === "gone") this.#gone(id);
      else this.#push({ kind: "changed", id, name: event.name });
    });
    const id: number = this.#add({
      key: events ?? `${fileSystem.type} ${inner}`,
      fileSystem,
      kind: "directory",
      forget: () => forget?.(),
    });
    return id;
  }

  /** Forgets an id and what was not told of it. */
  remove(id: number): void {
    this.#forget(id);
    this.#queue = this.#queue.filter((event) => !("id" in event) || event.id !== id);
  }

  died(fileSystem: FileSystem): void {
    for (const [id, entry] of [...this.#entries]) {
      if (entry.fileSystem !== fileSystem) continue;
      if (entry.kind === "directory") this.#gone(id);
      else {
        this.#forget(id);
        this.#push({ kind: "unmounted", id });
      }
    }
  }

  take(): WatchEvent[] {
    const events: WatchEvent[] = [
      ...(this.#tableChanged ? [{ kind: "mounts" } as const] : []),
      ...this.#queue,
    ];
    this.#queue = [];
    this.#tableChanged = false;
    return events;
  }

  /** Until there are events, or it is closed or given up. */
  async wait(interrupt: AbortSignal): Promise<void> {
    const woken = (this.#woken = deferred<void>());
    const giveUp = (): void => woken.resolve();
    interrupt.addEventListener("abort", giveUp, { once: true });
    try {
      if (!interrupt.aborted && !this.hasEvents && !this.closed) await woken.promise;
    } finally {
      this.#woken = null;
      interrupt.removeEventListener("abort", giveUp);
    }
  }

  close(): void {
    this.closed = true;
    this.#forgetTable();
    for (const id of [...this.#entries.keys()]) this.#forget(id);
    this.#woken?.resolve();
  }

  #forget(id: number): void {
    this.#entries.get(id)?.forget();
    this.#entries.delete(id);
  }

  #gone(id: number): void {
    this.#forget(id);
    this.#push({ kind: "gone", id });
  }

  /** Adds an event, once until it was told. */
  #push(event: WatchEvent): void {
    if (this.#queue.some((other) => isDeepStrictEqual(other, event))) return;
    if (this.#queue.length < this.#limit()) this.#queue.push(event);
    else if (this.#queue.at(-1)?.kind !== "lost") this.#queue.push({ kind: "lost" });
    this.#woken?.resolve();
  }

  #find(key: unknown): number | undefined {
    return [...this.#entries].find(([, entry]) => entry.key === key)?.[0];
  }

  #add(entry: Entry): number {
    const known = this.#find(entry.key);
    if (known !== undefined) return known;
    this.#lastId += 1;
    this.#entries.set(this.#lastId, entry);
    return this.#lastId;
  }
}

/** The process's side. */
export class FakeEventWatch implements EventWatch {
  readonly #process: FakeProcess;
  readonly #watch: Watch;
  readonly #forget: () => void;

  constructor(process: FakeProcess) {
    const { kernel, task } = process;
    const watch = new Watch(task.namespace, () => kernel.maxQueuedEvents);
    kernel.watches.add(watch);
    this.#process = process;
    this.#watch = watch;
    this.#forget = task.atExit("files", () => this.#close());
  }

  addMount(path: string, device: DeviceNumber, options?: CallOptions): Promise<number | null> {
    return this.#process.call("EventWatch.addMount", [path, device], options?.signal, () => {
      const place = this.#look(path);
      if (place.node.kind !== "directory") refuse("ENOTDIR", { syscall: "open" });
      const { major, minor } = place.mount.fileSystem.number;
      return major === device.major && minor === device.minor ? this.#watch.addMount(place) : null;
    });
  }

  addDirectory(path: string, options?: CallOptions): Promise<number> {
    return this.#process.call("EventWatch.addDirectory", [path], options?.signal, () => {
      const place = this.#look(path);
      if (place.node.kind !== "directory") refuse("ENOTDIR", { syscall: "open" });
      return this.#watch.addDirectory(place);
    });
  }

  remove(id: number): void {
    this.#process.callNow("EventWatch.remove", [id], () => this.#watch.remove(id));
  }

  next(options?: CallOptions): Promise<WatchEvent[]> {
    return this.#process.call("EventWatch.next", [], options?.signal, async ({ interrupt }) => {
      this.#checkOpen();
      if (this.#watch.isWaitedFor)
        refuseWithCode("O2CB_INTERNAL_FAILURE", "another call of next waits already");
      if (!this.#watch.hasEvents) await this.#watch.wait(interrupt);
      this.#checkOpen();
      if (!this.#watch.hasEvents) throw abortedCall("poll");
      return this.#watch.take();
    });
  }

  release(): void {
    if (this.#watch.closed) return;
    this.#process.callNow("EventWatch.release", [], () => this.#close());
  }

  #look(path: string): Place {
    this.#checkOpen();
    const { task } = this.#process;
    return task.namespace.walk(path, task);
  }

  #checkOpen(): void {
    if (this.#watch.closed) refuseWithCode("O2CB_ABORTED", "the watch was released");
  }

  #close(): void {
    this.#forget();
    this.#process.kernel.watches.delete(this.#watch);
    this.#watch.close();
  }
}
