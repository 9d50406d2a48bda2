// The fake machine's processes and the namespaces they live in.
//
// Facts relied on: pid_namespaces(7), mount_namespaces(7): a mount namespace lives while a process is in it or its file is bound to
// a path; its mounts end with it. proc(5): a start time tells two processes of one number apart. Kernel threads are children of
// process 2; a program that the kernel starts is a child of a worker thread (linux: kernel/umh.c).
//
// Not modelled: process numbers inside another PID namespace, zombies, a parent that waits.
import { FakeClock } from "./clock.ts";
import { FileLocks } from "./file-lock.ts";
import { Hardware } from "./hardware.ts";
import { bind } from "./mount-calls.ts";
import { SemaphoreTable, type SemaphoreSet } from "./semaphores.ts";
import { INITIAL_IPC, INITIAL_PID, Task, type TaskSettings } from "./task.ts";
import { tmpfs } from "./tmpfs.ts";
import { MountNamespace, type FileSystem } from "./vfs.ts";
import type { Watch } from "./watch.ts";

const INITIAL_MOUNT_NAMESPACE = 4_026_531_841;
const TICK_MS = 10;

export class Processes extends Hardware {
  readonly clock: FakeClock;
  /** the host's mounts */
  readonly namespace: MountNamespace;
  /** those that are bound to a path */
  readonly namespaces = new Map<string, MountNamespace>();
  readonly fileLocks = new FileLocks();
  readonly watches = new Set<Watch>();
  /** /proc/sys/fs/inotify/max_queued_events: what comes beyond it is lost */
  maxQueuedEvents = 16_384;
  bootId = "5a0d7d3e-7f0b-4c0e-9d43-2f6f1c9c8e11";
  /** the first process */
  readonly init: Task;
  readonly #kernelThreads: Task;
  readonly #worker: Task;
  readonly #ipc = new Map<number, SemaphoreTable>();
  readonly #tasks = new Map<number, Task>();
  #lastPid = 1001;
  #lastStart = 0;
  #lastMount = 20;
  #lastNamespace = 4_026_532_200;
  #lastTmpfs = 100;

  constructor(clock: FakeClock = new FakeClock()) {
    super();
    this.clock = clock;
    this.namespace = new MountNamespace("host", INITIAL_MOUNT_NAMESPACE, () => (this.#lastMount += 1));
    this.init = this.#start({ pid: 1, name: "init" }, null);
    this.#kernelThreads = this.#start({ pid: 2, name: "kthreadd", kernelThread: true }, null);
    this.#worker = this.startThread("kworker/u8:1", 17);
  }

  // -- processes

  /** A process without a face: a C tool, the kernel's helper. */
  task(settings: TaskSettings = {}): Task {
    return this.#start(settings, settings.parent ?? this.init);
  }

  /** A thread of the kernel. */
  startThread(name: string, pid?: number): Task {
    return this.#start({ name, kernelThread: true, ...(pid !== undefined && { pid }) }, this.#kernelThreads);
  }

  /** A program that the kernel itself starts: the child of a thread of its own. */
  protected startByKernel(name: string): Task {
    return this.task({ name, parent: this.#worker });
  }

  /** every live one, kernel threads too */
  tasks(): Task[] {
    return [...this.#tasks.values()];
  }

  #start(settings: TaskSettings, parent: Task | null): Task {
    const pid = settings.pid ?? this.#newPid();
    if (this.#tasks.has(pid)) throw new TypeError(`process ${pid} is alive: its number cannot be used again`);
    this.#lastStart = Math.max(this.#lastStart + 1, Math.floor(this.clock.now / TICK_MS));
    const task = new Task({
      name: "node",
      ipc: INITIAL_IPC,
      pidNamespace: INITIAL_PID,
      namespace: this.namespace,
      kernelThread: false,
      terminal: false,
      ...settings,
      pid,
      parent,
      startTime: this.#lastStart,
    });
    this.#tasks.set(pid, task);
    task.atExit("files", () => {
      this.#tasks.delete(pid);
      if (!this.#isHeld(task.namespace)) void task.namespace.detach(task.namespace.mounts);
    });
    return task;
  }

  #newPid(): number {
    do this.#lastPid += 1;
    while (this.#tasks.has(this.#lastPid));
    return this.#lastPid;
  }

  // -- IPC namespaces

  semaphores(ipc: number = INITIAL_IPC): SemaphoreTable {
    let table = this.#ipc.get(ipc);
    if (table === undefined) this.#ipc.set(ipc, (table = new SemaphoreTable()));
    return table;
  }

  /** Every set with where it is: empty for the initial IPC namespace. */
  semaphoreSets(): [string, SemaphoreSet][] {
    return [...this.#ipc].flatMap(([ipc, table]) =>
      table
        .all()
        .map((set): [string, SemaphoreSet] => [ipc === INITIAL_IPC ? "" : ` in IPC namespace ${ipc}`, set]),
    );
  }

  // -- mount namespaces

  /** A mount namespace as unshare makes it, bound to this path (such as `/run/netns/x`): it needs no process. */
  addNamespace(path: string, settings: { ownRun?: boolean } = {}): MountNamespace {
    const copy = this.#copyNamespace(path, settings);
    this.namespaces.set(path, copy);
    this.root.put(path, { kind: "file" });
    return copy;
  }

  /** A mount namespace bound to nothing: it ends with the last process that is put into it. */
  unshare(settings: { ownRun?: boolean } = {}): MountNamespace {
    return this.#copyNamespace("a namespace of its own", settings);
  }

  #copyNamespace(name: string, { ownRun = false }: { ownRun?: boolean }): MountNamespace {
    const copy = this.namespace.copy(name, (this.#lastNamespace += 1));
    if (ownRun) {
      const fileSystem = tmpfs((this.#lastTmpfs += 1));
      copy.attach(copy.walk("/run", this.init), {
        fileSystem,
        source: "tmpfs",
        options: "rw,nosuid,nodev",
        root: "/",
        rootNode: fileSystem.root,
      });
    }
    return copy;
  }

  /** The path is unbound and every process in the namespace has ended: its mounts go. */
  async endNamespace(path: string): Promise<void> {
    const namespace = this.namespaces.get(path);
    if (namespace === undefined) throw new TypeError(`no namespace at '${path}'`);
    for (const task of this.tasks()) if (task.namespace === namespace) task.end();
    this.namespaces.delete(path);
    await namespace.detach(namespace.mounts);
  }

  #isHeld(namespace: MountNamespace): boolean {
    return (
      namespace === this.namespace ||
      [...this.namespaces.values()].includes(namespace) ||
      this.tasks().some((task) => task.namespace === namespace)
    );
  }

  /** mount --bind in the host's namespace. */
  bind(source: string, target: string): void {
    bind(this.namespace, this.namespace.walk(source, this.init), this.namespace.walk(target, this.init));
  }

  /** A superblock is shut down: whoever watches it hears of it now. */
  died(fileSystem: FileSystem): void {
    for (const watch of [...this.watches]) watch.died(fileSystem);
  }
}
