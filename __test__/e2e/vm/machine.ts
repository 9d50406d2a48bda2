// One QEMU process: started, watched, ended. It knows the control line's transport, not what is said on it.
//
// Software emulation on one processor, 1024 MiB, no device but those named here. The first serial port is the console
// (a file), the second is the control line, the network card talks to the hub: both over socket pairs inherited as
// descriptors, so no socket file is left and nobody else can connect. setpriv(1) has the kernel kill QEMU when this
// process ends, in whatever way; QEMU has a process group of its own so that a terminal's Ctrl-C reaches only us.
// Disks use QEMU's writeback cache without flushes: all machines of a lab share the host's page cache, so they see each
// other's writes at once, and what a killed machine has written stays.
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";
import { LabError, tail } from "./errors.ts";
import { HOST_PATH } from "./host.ts";
import type { Kernel } from "./kernels.ts";

export interface Disk {
  /** size in MiB */
  readonly mib: number;
  /** logical and physical block size in bytes, 512 or 4096; 512 if omitted */
  readonly blockBytes?: 512 | 4096;
  /** the machines may only read it */
  readonly readOnly?: boolean;
}

/** A disk of a lab: /dev/vda, /dev/vdb, ... in every machine; `path` is its raw image on the host. */
export interface LabDisk extends Disk {
  readonly device: string;
  readonly path: string;
}

export interface MachineOptions {
  readonly number: number;
  readonly kernel: Kernel;
  readonly initrd: string;
  readonly disks: readonly LabDisk[];
  /** the lab's run directory */
  readonly directory: string;
  /** more words for the kernel's command line */
  readonly append: string;
  readonly limitSeconds: number;
}

export class Machine {
  readonly number: number;
  /** the card's socket: frames to and from the hub */
  readonly network: Duplex;
  /** settles when QEMU has ended, with why */
  readonly ended: Promise<LabError>;
  readonly #child: ChildProcess;
  readonly #control: Duplex;
  readonly #directory: string;
  readonly #limit: NodeJS.Timeout;
  #why: string | undefined;
  #asked = false;
  #expected: string | undefined;

  constructor(options: MachineOptions, onMessage: (line: string) => void) {
    this.number = options.number;
    this.#directory = options.directory;
    const log = openSync(join(options.directory, `qemu.${this.number}`), "w");
    this.#child = spawn("setpriv", ["--pdeathsig", "KILL", "qemu-system-x86_64", ...qemuArguments(options)], {
      detached: true,
      stdio: ["ignore", log, log, "pipe", "pipe"],
      env: { ...process.env, PATH: HOST_PATH },
    });
    closeSync(log);
    this.network = this.#child.stdio[3] as Duplex;
    this.#control = this.#child.stdio[4] as Duplex;
    for (const socket of [this.network, this.#control]) socket.on("error", () => {});
    createInterface({ input: this.#control, crlfDelay: Infinity }).on("line", onMessage);
    this.#limit = setTimeout(() => {
      this.kill(`exceeded its limit of ${options.limitSeconds} s`, false);
    }, options.limitSeconds * 1000);
    this.ended = new Promise((resolve) => {
      const end = (what: string) => {
        clearTimeout(this.#limit);
        resolve(
          new LabError(
            "machine",
            `node ${this.number} ${this.#why ?? this.#expected ?? what}.\n${this.report()}`,
          ),
        );
      };
      this.#child.once("error", (cause) => end(`could not be started: ${cause.message}`));
      this.#child.once("exit", (status, signal) =>
        end(`ended by itself (QEMU: ${signal ?? `status ${status}`}): a panic, a fence or a power-off`),
      );
    });
  }

  /** Sends one line to the agent. */
  send(line: string): void {
    if (this.#control.writable) this.#control.write(`${line}\n`);
  }

  /**
   * Pulls the plug. `why` completes the sentence "node 1 ..." for those who still wait for something; `asked` is false
   * where the lab had to do it.
   */
  kill(why: string, asked: boolean): void {
    if (this.#why === undefined) this.#asked = asked;
    this.#why ??= why;
    if (this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null)
      return;
    this.#child.kill("SIGKILL");
  }

  /** Stands still, its clock too, until `thaw`: what the other machines see of one that is very busy, or behind a disk that hangs. */
  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child.kill("SIGCONT");
  }

  /** It is going to end by itself, as it was told to. */
  expectEnd(why: string): void {
    this.#expected = why;
  }

  /** Whether its end was asked for; otherwise something failed. */
  get endWasAsked(): boolean {
    return this.#why === undefined ? this.#expected !== undefined : this.#asked;
  }

  get console(): string {
    return this.#read(`console.${this.number}`);
  }

  /** The end of the console, from a panic on where there is one, and QEMU's words where it said something. */
  report(): string {
    const said = this.#read(`qemu.${this.number}`);
    const qemu = said.trim() === "" ? "" : `\nQEMU of node ${this.number} said:\n${tail(said, 10)}`;
    const text = this.console;
    const panic = text.lastIndexOf("Kernel panic - not syncing");
    const end = panic < 0 ? tail(text) : tail(text.slice(text.lastIndexOf("\n", panic) + 1), 60);
    return `Console of node ${this.number} (its end):\n${end}${qemu}`;
  }

  #read(name: string): string {
    try {
      return readFileSync(join(this.#directory, name), "utf8");
    } catch {
      return "";
    }
  }
}

function qemuArguments(options: MachineOptions): string[] {
  const { number, kernel, initrd, disks, directory } = options;
  // an oops ends the machine, so that the lab reports it; otherwise only the task that met it would end
  const words = `console=ttyS0 panic=-1 oops=panic quiet mitigations=off lab.node=${number} ${options.append}`;
  const share = (tag: string, path: string, more: string) => [
    ...["-fsdev", `local,id=${tag},path=${path},security_model=none,multidevs=remap${more}`],
    ...["-device", `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`],
  ];
  const drive = ({ path, readOnly, blockBytes = 512 }: LabDisk, index: number) => [
    ...[
      "-drive",
      `file=${path},id=d${index},if=none,format=raw,cache=unsafe,file.locking=off,readonly=${readOnly ? "on" : "off"}`,
    ],
    ...[
      "-device",
      `virtio-blk-pci,drive=d${index},logical_block_size=${blockBytes},physical_block_size=${blockBytes}`,
    ],
  ];
  return [
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", "1024"],
    ...["-kernel", kernel.image, "-initrd", initrd, "-append", words.trim()],
    ...["-serial", `file:${join(directory, `console.${number}`)}`],
    ...["-chardev", "socket,id=control,fd=4", "-serial", "chardev:control"],
    ...share("root", "/", ",readonly=on"),
    ...share("lab", join(directory, "lab"), ""),
    ...disks.flatMap(drive),
    ...["-netdev", "socket,id=net,fd=3"],
    ...[
      "-device",
      `virtio-net-pci,netdev=net,mac=52:54:00:00:00:${number.toString(16).padStart(2, "0")},romfile=`,
    ],
  ];
}
