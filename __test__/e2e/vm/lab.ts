// The lab: a real OCFS2 cluster in virtual machines, driven from the host. Scenarios read as scripts:
//
//     const lab = await Lab.boot({ nodes: 2, kernel: "6.1", disks: [{ mib: 512 }], limitSeconds: 300, log: console.log });
//     const [a, b] = lab.nodes;
//     await a.run("mkfs.ocfs2 -x -N 4 /dev/vda");                      // fails with both outputs on another status than 0
//     const r = await a.try(["mount", "-t", "ocfs2", "/dev/vda", "/vol"]); // { status, signal, stdout, stderr, ms, ... }
//     await Promise.all([a.run("..."), b.run("...")]);                 // a barrier is an await
//     const p = a.start("..."); await p.waitForOutput(/.../); await p.kill("SIGKILL"); await p.done;
//     lab.network.cut(b); await b.powerOff(); await a.dmesg();
//     await lab.close();                                                // in any case: `finally`, or `await using`
//
// A machine's root is the host's / (read-only, 9p) under a tmpfs: what is installed or built on the host is there at the
// same path. It is cached without revalidation: what changes on the host after boot may not be seen. /tmp, /run and /dev are
// its own; /lab is shared by all machines and the host (lab.exchange). No udev: no links under /dev/disk; but `init: "systemd"` boots
// the host's systemd with its udev.
// Each machine has one processor, 1024 MiB, address 10.9.0.N, host name nN. A boot takes about ten seconds; one boot should
// serve many scenarios. One lab at a time has machines up (per lab directory, see places.ts); the next waits.
//
// A machine that panics, fences or exceeds `limitSeconds` fails every waiting call with the end of its console. After that,
// after lab.keep() (call it when a scenario fails), or with OCFS2_GROUP_LAB_KEEP=1, the run directory with the serial logs
// stays and its path is printed. Nothing else is left, however this process ends. What it deliberately does not do: hardware virtualisation, several processors, other systems.
import { copyFileSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LabError } from "./errors.ts";
import type { Log } from "./host.ts";
import { initrd } from "./initrd.ts";
import { kernel, type Kernel, type KernelName } from "./kernels.ts";
import { takeAnyLock, type Held } from "./lock.ts";
import type { Disk, LabDisk } from "./machine.ts";
import { Network } from "./network.ts";
import { Node } from "./node.ts";
import { labLocks, newRunDirectory } from "./places.ts";
import { missingForMachines, missingRequirements, staticBusybox, type Init } from "./requirements.ts";

export interface LabOptions {
  /** how many machines, 1 to 8 */
  readonly nodes: number;
  /** "6.1" if omitted */
  readonly kernel?: KernelName;
  /** shared by all machines, as /dev/vda, /dev/vdb, ... */
  readonly disks?: readonly Disk[];
  /** host time from boot after which the machines are ended, in seconds; 300 if omitted */
  readonly limitSeconds?: number;
  readonly log?: Log;
  /** more words for the kernel's command line */
  readonly append?: string;
  /** "agent" if omitted; with "systemd" a machine takes commands long before it has booted */
  readonly init?: Init;
  /** run by bash in each machine, with the functions of guest/lib.sh, before process 1 starts: what it writes is there at boot */
  readonly before?: string;
}

/** What all machines of a lab have in common. */
interface Common {
  readonly kernel: Kernel;
  readonly initrd: string;
  readonly append: string;
  readonly limitSeconds: number;
}

/** Units and services write to the kernel's log, so that the console tells all in one order. */
const SYSTEMD_WORDS =
  "net.ifnames=0 systemd.unit=multi-user.target systemd.log_target=kmsg systemd.default_standard_output=kmsg printk.devkmsg=on " +
  "systemd.show_status=no systemd.status_unit_format=name systemd.getty_auto=no";

const BOOT_LIMIT_SECONDS = 120;
/** More than that where there is something to do before. */
const BEFORE_LIMIT_SECONDS = 300;

export class Lab implements AsyncDisposable {
  /** n1, n2, ...: node N is nodes[N - 1] */
  readonly nodes: readonly Node[];
  readonly disks: readonly LabDisk[];
  readonly network: Network;
  /** uname -r of the machines */
  readonly kernel: string;
  /** the host's path of the machines' /lab */
  readonly exchange: string;
  readonly #directory: string;
  readonly #lock: Held;
  readonly #log: Log;
  #keep = process.env["OCFS2_GROUP_LAB_KEEP"] === "1";
  #closed = false;
  #common: Common | undefined;
  #hasBefore = false;

  /** Boots machines and waits until all of them take commands. */
  static async boot(options: LabOptions): Promise<Lab> {
    const { nodes, disks = [], limitSeconds = 300, log = () => {}, init = "agent", before } = options;
    const append = `${init === "systemd" ? `${SYSTEMD_WORDS} ` : ""}${options.append ?? ""}`;
    if (!Number.isInteger(nodes) || nodes < 1 || nodes > 8 || disks.length > 16) {
      throw new LabError(
        "usage",
        `A lab has 1 to 8 machines and at most 16 disks, not ${nodes} and ${disks.length}.`,
      );
    }
    const busybox = staticBusybox();
    const missing = missingForMachines(missingRequirements(init));
    if (missing !== null || busybox === null)
      throw new LabError("requirements", `No machine can be booted: ${missing}.`);
    const chosen = await kernel(options.kernel ?? "6.1", log);
    const image = initrd(chosen.directory, chosen.early, busybox);
    const lock = await takeAnyLock(labLocks(), (holder) => log(`waiting for the lab of ${holder}`));
    const lab = new Lab(lock, log, chosen.version, disks);
    try {
      log(`booting ${nodes} ${nodes === 1 ? "machine" : "machines"} with kernel ${chosen.version}`);
      lab.#start(nodes, init, before, { kernel: chosen, initrd: image, append, limitSeconds });
      await lab.#ready(lab.nodes);
    } catch (error) {
      lab.keep();
      await lab.close();
      throw error;
    }
    return lab;
  }

  private constructor(lock: Held, log: Log, version: string, disks: readonly Disk[]) {
    this.#lock = lock;
    this.#log = log;
    this.kernel = version;
    this.nodes = [];
    this.network = new Network();
    this.#directory = newRunDirectory();
    this.exchange = join(this.#directory, "lab");
    this.disks = disks.map((disk, index) => {
      const letter = String.fromCharCode("a".charCodeAt(0) + index);
      return { ...disk, device: `/dev/vd${letter}`, path: join(this.#directory, `disk-${letter}`) };
    });
    register(this);
  }

  #start(count: number, init: Init, before: string | undefined, common: Common) {
    this.#common = common;
    const boot = join(this.exchange, "boot");
    mkdirSync(boot, { recursive: true });
    for (const file of ["agent.sh", "lib.sh", "systemd.sh"])
      copyFileSync(new URL(`guest/${file}`, import.meta.url), join(boot, file));
    writeFileSync(join(boot, "settings"), `MODULES='${common.kernel.modules}'\nINIT=${init}\n`);
    this.#hasBefore = before !== undefined;
    if (before !== undefined) writeFileSync(join(boot, "before"), before);
    for (const { path, mib } of this.disks) {
      writeFileSync(path, "");
      truncateSync(path, mib * 1024 * 1024);
    }
    for (let number = 1; number <= count; number += 1)
      (this.nodes as Node[]).push(this.#startOne(number, count, common));
  }

  #startOne(number: number, count: number, common: Common): Node {
    const node = new Node({ ...common, number, disks: this.disks, directory: this.#directory }, count);
    this.network.connect(number, node.machine.network);
    void node.machine.ended.then(() => {
      if (!node.machine.endWasAsked) this.keep();
    });
    return node;
  }

  /**
   * Boots the machine of a node that has ended, with its number, its disks and nothing else of what it was; the new node takes the
   * old one's place in `nodes`.
   */
  async bootAgain(node: Node): Promise<Node> {
    const index = this.nodes.indexOf(node);
    if (index < 0 || this.#common === undefined || this.#closed)
      throw new LabError("usage", `${node.name} is not a node of this lab, or the lab is closed.`);
    await node.machine.ended;
    const console = join(this.#directory, `console.${node.number}`);
    renameSync(console, `${console}.before`);
    this.#log(`booting ${node.name} again`);
    const again = this.#startOne(node.number, this.nodes.length, this.#common);
    (this.nodes as Node[])[index] = again;
    await this.#ready([again]);
    return again;
  }

  async #ready(nodes: readonly Node[]): Promise<void> {
    const limit = BOOT_LIMIT_SECONDS + (this.#hasBefore ? BEFORE_LIMIT_SECONDS : 0);
    const timer = setTimeout(() => {
      for (const { machine } of nodes) machine.kill(`was not up within ${limit} s`, false);
    }, limit * 1000);
    try {
      const seconds = await Promise.all(nodes.map((node) => node.ready));
      this.#log(
        `${nodes.map((node) => node.name).join(" and ")} up after ${seconds.join(" and ")} s of machine time`,
      );
    } catch (error) {
      throw new LabError("boot", `The lab did not come up: ${(error as Error).message}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Between scenarios: resets nodes (all of them if none is named) and plugs the network in; see Node.reset(). */
  async reset(...nodes: Node[]): Promise<void> {
    const chosen = nodes.length > 0 ? nodes : this.nodes;
    for (const node of chosen) this.network.restore(node);
    await Promise.all(chosen.map((node) => node.reset()));
  }

  /** Keeps the run directory (serial logs, outputs, disks) when the lab closes: call it when a scenario fails. */
  keep(): void {
    this.#keep = true;
  }

  /** Ends the machines and frees the lab for the next one. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.closeNow();
    await Promise.all(this.nodes.map((node) => node.machine.ended));
    await this.#lock.release();
  }

  /** What can be done without waiting: for the end of this process. */
  closeNow(): void {
    if (this.#closed) return;
    this.#closed = true;
    open.delete(this);
    for (const { machine } of this.nodes) machine.kill("was ended by lab.close()", true);
    if (this.#keep) {
      writeFileSync(join(this.#directory, "kept"), "");
      this.#log(`the lab's serial logs, outputs and disks are kept in ${this.#directory}`);
    } else {
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const open = new Set<Lab>();

/** Has labs closed when the process ends by exit, by an exception or by a signal; for SIGKILL see machine.ts. */
function register(lab: Lab): void {
  if (open.size === 0) {
    process.once("exit", closeAll);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, endBy);
  }
  open.add(lab);
}

function closeAll(): void {
  for (const lab of [...open]) lab.closeNow();
}

function endBy(signal: NodeJS.Signals): void {
  closeAll();
  for (const each of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(each, endBy);
  process.kill(process.pid, signal);
}
