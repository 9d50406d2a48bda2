// One node of a lab: runs commands in its machine and looks at its cluster group. See lab.ts for the use.
//
// The words on the control line are those of guest/agent.sh; what they refer to are files in the lab's exchange directory,
// /lab in every machine: /lab/nN/ID.{cmd,in,out,err}.
import { mkdirSync, watch, writeFileSync, type FSWatcher } from "node:fs";
import { join } from "node:path";
import { clusterConf, leftovers, parseGroupState, type ClusterConf, type GroupState } from "./group-state.ts";
import { Command, outputs, quote, type CommandOptions, type Result } from "./command.ts";
import { deferred } from "./deferred.ts";
import { LabError, tail } from "./errors.ts";
import { Machine, type MachineOptions } from "./machine.ts";

/** A shell's text, or a program with its arguments. */
export type CommandLine = string | readonly string[];

const DEFAULT_LIMIT_SECONDS = 120;
const HB_CTL_PATH = "/proc/sys/fs/ocfs2/nm/hb_ctl_path";

export class Node {
  /** 1, 2, ...: also its number in cluster.conf and the last part of its address */
  readonly number: number;
  /** its host name: n1, n2, ... */
  readonly name: string;
  readonly address: string;
  readonly machine: Machine;
  /** settles when the agent answers, with the machine's seconds since boot */
  readonly ready: Promise<number>;
  readonly #ready = deferred<number>();
  readonly #directory: string;
  readonly #watcher: FSWatcher;
  readonly #commands = new Map<string, Command>();
  readonly #kills = new Map<number, ((sent: boolean) => void)[]>();
  readonly #size: number;
  #last = 0;
  #end: LabError | undefined;

  /** `size`: how many nodes the lab has. */
  constructor(options: MachineOptions, size: number) {
    this.number = options.number;
    this.name = `n${options.number}`;
    this.address = `10.9.0.${options.number}`;
    this.#size = size;
    this.#directory = join(options.directory, "lab", this.name);
    mkdirSync(this.#directory, { recursive: true });
    this.#watcher = watch(this.#directory, (_event, file) => {
      const [id = "", suffix] = (file ?? "").split(".");
      if (suffix === "out" || suffix === "err") this.#commands.get(id)?.follow();
    });
    this.machine = new Machine(options, (line) => this.#hear(line));
    this.ready = this.#ready.promise;
    void this.machine.ended.then((error) => {
      this.#end = error;
      this.#watcher.close();
      this.#ready.reject(error);
      for (const waiters of this.#kills.values()) for (const answer of waiters) answer(false);
      for (const command of this.#commands.values()) command.failed(error);
    });
  }

  #hear(line: string): void {
    const [verb, id = "", ...rest] = line.trim().split(" ");
    const [a = 0, b = 0, c = 0] = rest.map(Number);
    if (verb === "ready") this.#ready.resolve(Number(id));
    else if (verb === "started") this.#commands.get(id)?.started(a);
    else if (verb === "killed") this.#kills.get(Number(id))?.shift()?.(a === 0);
    else if (verb === "done") {
      this.#commands.get(id)?.finished(a, b, c);
      this.#commands.delete(id);
    } else this.machine.kill(`said "${line}" on its control line, which the lab does not know`, false);
  }

  /**
   * Starts a command and returns at once. A string is run by a bash of its own (with the functions of guest/lib.sh), an
   * array is executed as it is. Working directory /root, a clean environment, its own process group, no terminal.
   */
  start(line: CommandLine, options: CommandOptions = {}): Command {
    if (line.length === 0) throw new LabError("usage", "A command has at least one word.");
    this.#last += 1;
    const id = String(this.#last);
    const files = join(this.#directory, id);
    const text = typeof line === "string" ? line : line.map(quote).join(" ");
    const command = new Command(
      {
        name: this.name,
        files,
        text,
        kill: (pid, signal) => this.#kill(pid, signal),
        stacks: (group) => this.#stacks(group),
        consoleTail: () => tail(this.machine.console),
      },
      options,
    );
    if (this.#end !== undefined) {
      command.failed(this.#end);
      return command;
    }
    writeFileSync(`${files}.in`, options.input ?? "");
    for (const suffix of ["out", "err"]) writeFileSync(`${files}.${suffix}`, "");
    writeFileSync(`${files}.cmd`, typeof line === "string" ? `${line}\n` : `exec ${text}\n`);
    this.#commands.set(id, command);
    this.machine.send(`run ${id}`);
    return command;
  }

  /** Runs a command to its end and returns how it went; fails only if the machine ends or the limit is exceeded. */
  try(line: CommandLine, options: CommandOptions = {}): Promise<Result> {
    return this.start(line, { limitSeconds: DEFAULT_LIMIT_SECONDS, ...options }).done;
  }

  /** Runs a command that must succeed; otherwise the error carries its outputs. */
  async run(line: CommandLine, options: CommandOptions = {}): Promise<Result> {
    const result = await this.try(line, options);
    if (result.status === 0) return result;
    const text = typeof line === "string" ? line : line.map(quote).join(" ");
    const how =
      result.signal === null ? `status ${result.status}` : `${result.signal} (status ${result.status})`;
    throw new LabError(
      "command",
      `${this.name}: ${text}: ended with ${how}.\n${outputs(result.stdout, result.stderr)}`,
    );
  }

  #kill(pid: number, signal: string): Promise<boolean> {
    if (this.#end !== undefined) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#kills.set(pid, [...(this.#kills.get(pid) ?? []), resolve]);
      this.machine.send(`kill ${pid} ${signal}`);
    });
  }

  async #stacks(group: number): Promise<string> {
    const { stdout } = await this.start(`group_stacks ${group}`, { limitSeconds: 10 }).done;
    return tail(stdout, 60);
  }

  /** Pulls the plug: the machine is gone at once, what it has written to the disks stays. */
  async powerOff(): Promise<void> {
    this.machine.kill("was powered off", true);
    await this.machine.ended;
  }

  /** Has systemd power the machine off, and waits until it has. */
  async shutDown(limitSeconds = DEFAULT_LIMIT_SECONDS): Promise<void> {
    this.machine.expectEnd("was shut down");
    const timer = setTimeout(() => {
      this.machine.kill(`was not down within ${limitSeconds} s`, false);
    }, limitSeconds * 1000);
    // The answer may come before the end, or not at all.
    const asked = await this.start(["systemctl", "poweroff"]).done.catch(() => null);
    if (asked !== null && asked.status !== 0)
      this.machine.kill(`refused to power off: ${asked.stderr}`, false);
    const error = await this.machine.ended;
    clearTimeout(timer);
    if (!this.machine.endWasAsked || !this.machine.console.includes("reboot: Power down")) throw error;
  }

  /** The kernel's messages, oldest first. */
  async dmesg(): Promise<string> {
    return (await this.run(["dmesg"])).stdout;
  }

  /** Loads configfs, ocfs2, both stacks and dlmfs. */
  async loadOcfs2(): Promise<void> {
    await this.run("load_ocfs2");
  }

  /** Mounts configfs and debugfs, and dlmfs on /dlm if wanted. */
  async mountControl(options: { dlmfs?: boolean } = {}): Promise<void> {
    await this.run(`mount_control ${options.dlmfs === true ? "dlmfs" : ""}`);
  }

  /** Writes /etc/ocfs2/cluster.conf; all nodes of the lab and local heartbeat unless said otherwise. */
  async writeClusterConf(name: string, conf: ClusterConf = {}): Promise<void> {
    const input = clusterConf(name, { nodes: this.#size, ...conf });
    await this.run("mkdir -p /etc/ocfs2 && cat >/etc/ocfs2/cluster.conf", { input });
  }

  /** Registers the cluster of cluster.conf with the peer's tool. */
  async registerCluster(name: string): Promise<void> {
    await this.run(["o2cb", "register-cluster", name]);
  }

  /** Regions, semaphore sets, ocfs2 mounts and DLM domains, seen at one time. */
  async groupState(): Promise<GroupState> {
    return parseGroupState((await this.run("group_state")).stdout);
  }

  /** The heartbeat regions in configfs. */
  async regions(): Promise<string[]> {
    return (await this.groupState()).regions.map((region) => region.name);
  }

  async semaphoreSets(): Promise<GroupState["semaphoreSets"]> {
    return (await this.groupState()).semaphoreSets;
  }

  async ocfs2Mounts(): Promise<GroupState["mounts"]> {
    return (await this.groupState()).mounts;
  }

  /** o2dlm's domains; needs debugfs (mountControl). */
  async dlmDomains(): Promise<GroupState["domains"]> {
    return (await this.groupState()).domains;
  }

  /** Fails, naming it, if a region, a semaphore set, an ocfs2 mount or a domain is there. */
  async assertNothingLeft(): Promise<void> {
    const left = leftovers(await this.groupState());
    if (left.length > 0)
      throw new LabError("left", `${this.name} should be clean, but there is left: ${left.join("; ")}.`);
  }

  /**
   * Between scenarios: kills the commands that run, then undoes mounts, regions, semaphore sets, the registered cluster,
   * cluster.conf and hb_ctl_path. Returns what of the group was left; fails if something resists.
   */
  async reset(): Promise<string[]> {
    await Promise.all([...this.#commands.values()].map((command) => command.kill("SIGKILL")));
    const left = leftovers(await this.groupState());
    await this.run("reset_group");
    await this.assertNothingLeft();
    return left;
  }

  /** What the kernel runs when a superblock goes; "" for nobody. */
  async hbCtlPath(): Promise<string> {
    return (await this.run(["cat", HB_CTL_PATH])).stdout.trim();
  }

  async setHbCtlPath(path: string): Promise<void> {
    await this.run(`echo ${quote(path)} >${HB_CTL_PATH}`);
  }
}
