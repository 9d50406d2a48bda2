// The fake machine: one node's kernel with its state, shared by every fake process on it. It holds no expectations; tests
// look at what is left. What a process can do to it is in native.ts, what the C tools do in c-tools.ts.
//
// Facts relied on: stated in the files that it is made of: processes, configfs, region, ocfs2, dlmfs, watch, semaphores, vfs, machine-tree.
import type { ProgramRequest } from "../../../ts/native-types.ts";
import { CTools } from "./c-tools.ts";
import type { FakeChannel, Listener } from "./channel.ts";
import type { FakeClock } from "./clock.ts";
import type { Cluster, ConfigfsHost } from "./configfs.ts";
import { WatchedMap } from "./directory-events.ts";
import { DlmLocks } from "./dlm-locks.ts";
import { Dlmfs, DomainDirectory, type DlmfsHost, type Domain } from "./dlmfs.ts";
import { modernKernel, moduleDependencies, type KernelFeatures } from "./features.ts";
import { Gates, type Hold } from "./gates.ts";
import type { Fsdlm } from "./fsdlm.ts";
import { Lockspaces } from "./lockspaces.ts";
import { differences, inventory } from "./leftovers.ts";
import { mountKernelTree, mountTrees } from "./machine-tree.ts";
import { modprobe } from "./modules.ts";
import { FakeNative } from "./native.ts";
import { FakeNetwork } from "./network.ts";
import { pinRegions, unpinRegions, type Superblock } from "./ocfs2.ts";
import { Processes } from "./processes.ts";
import { RangeLocks } from "./range-locks.ts";
import type { Region } from "./region.ts";
import { StackServices } from "./stack-services.ts";
import type { Task, TaskSettings } from "./task.ts";

const REVISION_PATHS = [
  "/sys/fs/o2cb/interface_revision",
  "/sys/o2cb/interface_revision",
  "/proc/fs/ocfs2_nodemanager/interface_revision",
] as const;

export interface KernelSettings {
  features?: Partial<KernelFeatures>;
  /** where configfs is mounted; null: nowhere */
  configfs?: "/sys/kernel/config" | "/config" | null;
  /** which of the three paths the kernel has */
  revisionPath?: (typeof REVISION_PATHS)[number];
  /** content of the revision file; default "5\n" */
  revision?: string;
  /** modules on the disk of the machine; default all */
  availableModules?: readonly string[];
  /** mounts dlmfs there, such as on /dlm; default: nowhere */
  dlmfs?: string;
  clock?: FakeClock;
}

export class FakeKernel extends Processes implements ConfigfsHost, DlmfsHost {
  readonly features: KernelFeatures;
  readonly revisionPath: string;
  revision: string;
  readonly modules = new Set<string>();
  readonly availableModules: ReadonlySet<string>;
  readonly clusters = new WatchedMap<Cluster>();
  readonly heartbeat: { mode: "local" | "global"; deadThreshold: number } = {
    mode: "local",
    deadThreshold: 31,
  };
  readonly network = new FakeNetwork();
  /** writes of attributes that succeed and change nothing, as the kernel's silent refusals do */
  ignoresWrite: ((path: string) => boolean) | null = null;
  readonly superblocks = new Set<Superblock>();
  /** DLM domains that are no mount's */
  readonly domains = new WatchedMap<Domain & { events?: undefined }>();
  /** the cluster's fs/dlm, which machines share; null: this one has no libdlm */
  fsdlm: Fsdlm | null = null;
  /** the locks of all domains, with what other nodes have of them */
  readonly dlmLocks = new DlmLocks();
  readonly rangeLocks = new RangeLocks();
  /** corosync, dlm_controld and the control devices of a userspace stack */
  readonly services = new StackServices();
  /** the kernel's DLM, as mounts on such a stack use it */
  readonly lockspaces = new Lockspaces(this.services);
  /** what was run in the foreground, and the signals that it got */
  readonly started: ProgramRequest[] = [];
  readonly signals: number[] = [];
  /** what a signal does to such a program, in place of its end */
  onSignal: ((signal: number) => void) | null = null;
  /** abstract socket names that answer */
  readonly abstractSockets = new Map<string, Listener>();
  /** the connections that are open to them */
  readonly connections = new Set<FakeChannel>();
  /** I/O priorities that were set */
  readonly ioPriorities = new Map<number, { ioClass: number; level: number }>();
  /** what the kernel ran at the ends of superblocks */
  readonly callOuts: { program: string; args: readonly string[]; status: number | "missing" }[] = [];
  /** what must never happen and did; empty in every good test */
  readonly disasters: string[] = [];
  stackLabel = "o2cb";
  /** overrides what the stack file reads, for files that make no sense */
  stackFile: string | null = null;
  hbCtlPath = "/sbin/ocfs2_hb_ctl";
  /** takes the place of the program that hb_ctl_path names, whether it exists or not */
  callOutHook: ((program: string, args: readonly string[], task: Task) => number | Promise<number>) | null =
    null;
  readonly cTool: CTools;
  /** between a call and its effect; tests of interleavings replace it */
  turn: () => Promise<void> = () => Promise.resolve();
  readonly #heartbeats = new Gates();
  readonly #shutdowns = new Gates();
  readonly #dismounts = new Gates();
  readonly #mountCalls = new Gates();
  #clean: string[] = [];
  #programs = 0;

  constructor(settings: KernelSettings = {}) {
    super(settings.clock);
    this.features = { ...modernKernel, ...settings.features };
    this.revisionPath = settings.revisionPath ?? REVISION_PATHS[0];
    this.revision = settings.revision ?? "5\n";
    this.availableModules = new Set(settings.availableModules ?? Object.keys(moduleDependencies));
    this.cTool = new CTools(this);
    mountTrees(this, settings.configfs === undefined ? "/sys/kernel/config" : settings.configfs);
    this.installProgram("/sbin/modprobe", (args) => modprobe(this, args));
    this.installProgram("/bin/kill", (args) => {
      const task = this.tasks().find(({ pid }) => String(pid) === args.at(-1));
      task?.end();
      return task === undefined ? 1 : 0;
    });
    for (const path of ["/bin/true", "/usr/bin/true"]) this.installProgram(path, () => 0);
    for (const path of ["/bin/false", "/usr/bin/false"]) this.installProgram(path, () => 1);
    if (settings.dlmfs !== undefined) this.mountDlmfs(settings.dlmfs);
    this.markClean();
  }

  // -- processes

  /** A new process; it is the `Native` that code under test gets. */
  process(settings: TaskSettings = {}): FakeNative {
    return new FakeNative(this, this.task(settings));
  }

  /** What runs in a process that is there already: a program of the machine, the kernel's call-out. */
  processOf(task: Task): FakeNative {
    return new FakeNative(this, task);
  }

  // -- modules and programs

  hasModule(name: string): boolean {
    return this.modules.has(name) && (name !== "ocfs2_stackglue" || this.features.stackGlue);
  }

  /** modprobe: false where the module is not on the machine. */
  loadModule(name: string): boolean {
    if (!this.availableModules.has(name)) return false;
    for (const module of moduleDependencies[name] ?? [name]) {
      // Drivers of the 1.2 era have neither stack modules nor the glue (commands 5).
      if (this.features.stackGlue || !/stack/.test(module)) this.modules.add(module);
    }
    return this.features.stackGlue || !/stack/.test(name);
  }

  // -- cluster

  regions(): Region[] {
    return [...this.clusters.values()].flatMap((cluster) => Array.from(cluster.regions.values()));
  }

  /** The region whose directory this is; undefined where it is none. */
  regionAt(path: string, task: Task): Region | undefined {
    const { mount, inner } = task.namespace.walk(path, task);
    const [, cluster = "", name = ""] = /^\/cluster\/([^/]+)\/heartbeat\/([^/]+)$/.exec(inner) ?? [];
    return mount.fileSystem.type === "configfs" ? this.clusters.get(cluster)?.regions.get(name) : undefined;
  }

  region(uuid: string): Region | undefined {
    return this.regions().find((region) => region.name === uuid);
  }

  hasLocalNode(): boolean {
    return [...this.clusters.values()].some((cluster) => cluster.localNode !== null);
  }

  localNodeNumber(): number | null {
    return [...this.clusters.values()][0]?.localNode?.number ?? null;
  }

  isLive(): boolean {
    return this.regions().some((region) => region.live);
  }

  isMounted(uuid: string): boolean {
    return [...this.superblocks].some(
      (superblock) => superblock.clustered && superblock.volume.uuid === uuid,
    );
  }

  stackInUse(): boolean {
    return this.domains.size > 0 || [...this.superblocks].some((superblock) => superblock.clustered);
  }

  /** A DLM domain with a lock held in it, as another program has it: pins the region of its name. The function leaves it. */
  joinDomain(name: string): () => void {
    return this.openDomain(name).leave;
  }

  /** The same, and what the death of the program leaves: the directory with a lock file that nobody holds. */
  openDomain(name: string): { leave: () => void; die: () => void } {
    this.enterDomain(name);
    const domain = this.domains.get(name) as Domain;
    const directory = new DomainDirectory(this, name, domain);
    const lock = `.${(this.#programs += 1).toString(16).padStart(16, "0")}`;
    const close = directory.create(lock).open("PR");
    let joined = true;
    return {
      die: close,
      leave: () => {
        if (!joined) return;
        joined = false;
        close();
        directory.unlink(lock);
        this.leaveDomain(name);
      },
    };
  }

  /** @internal by dlmfs */
  enterDomain(name: string): void {
    const domain = this.domains.get(name);
    if (domain === undefined) this.domains.set(name, { users: 1 });
    else domain.users += 1;
    pinRegions(this, name, `domain ${name}`);
  }

  /** @internal by dlmfs */
  leaveDomain(name: string): void {
    const domain = this.domains.get(name);
    if (domain === undefined) return;
    domain.users -= 1;
    if (domain.users > 0) return;
    this.domains.delete(name);
    unpinRegions(this, `domain ${name}`);
  }

  /** mount -t ocfs2_dlmfs, which loads its module. */
  mountDlmfs(path: string): void {
    this.loadModule("ocfs2_dlmfs");
    this.addDirectory(path);
    mountKernelTree(this, path, new Dlmfs(this));
  }

  disaster(what: string): void {
    this.disasters.push(what);
  }

  // -- what takes time, and can be held

  /** A turn of the event loop: what a killed process had begun in the kernel is over then, unless it is held. */
  idle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** The next start of a heartbeat waits for the test. */
  holdHeartbeat(): Hold {
    return this.#heartbeats.hold();
  }

  /** The next superblock that dies waits as its watchers have been told: nothing of it is gone yet but its mounts. */
  holdShutdown(): Hold {
    return this.#shutdowns.hold();
  }

  /** The next dismount of a superblock waits: it is gone from sysfs, its domain and its claim are not. */
  holdDismount(): Hold {
    return this.#dismounts.hold();
  }

  /** The next mount call waits in the kernel before it does anything; an interruption ends it unless `uninterruptible`. */
  holdMount(settings: { uninterruptible?: boolean } = {}): Hold {
    return this.#mountCalls.hold(settings);
  }

  /** @internal by regions. Without a hold a whole turn of the event loop: a start is never over at once. */
  async steady(_region: Region, milliseconds: number, interrupt: AbortSignal): Promise<void> {
    await this.#heartbeats.pass(interrupt, () => this.idle());
    this.clock.advance(milliseconds);
  }

  /** @internal by superblocks */
  shutDown(): Promise<void> {
    return this.#shutdowns.pass(null);
  }

  /** @internal by superblocks */
  dismount(): Promise<void> {
    return this.#dismounts.pass(null);
  }

  /** @internal by the mount calls */
  passMountGate(interrupt: AbortSignal): Promise<void> {
    return this.#mountCalls.pass(interrupt);
  }

  // -- the helper of hb_ctl_path

  async callOut(uuid: string): Promise<void> {
    const program = this.hbCtlPath;
    if (program === "") return;
    const args = ["-K", "-u", uuid];
    const run =
      this.callOutHook === null || /^(\/usr)?\/bin\/(true|false)$/.test(program)
        ? this.programs.get(program)
        : (own: readonly string[], task: Task) => this.callOutHook?.(program, own, task) ?? 0;
    if (run === undefined) {
      this.callOuts.push({ program, args, status: "missing" });
      return;
    }
    const task = this.startByKernel(program);
    try {
      this.callOuts.push({ program, args, status: await run(args, task) });
    } finally {
      task.end();
    }
  }

  // -- judgement

  /** What is there now is meant to be there: `leftovers` tells only what differs from it. */
  markClean(): void {
    this.#clean = inventory(this);
  }

  /** What is there and was not, and what is gone, one phrase each; empty when clean. */
  leftovers(): string[] {
    return [
      ...differences(this.#clean, inventory(this)),
      ...this.disasters.map((what) => `disaster: ${what}`),
    ];
  }
}
