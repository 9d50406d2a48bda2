// One volume on one machine, taken through cycles: mounted and ended as drawn, looked at on the way, and free after each.
//
// What is asserted: while anything is mounted, its region beats and is counted; an audit never says `unknown`, and what it says fits
// what was done; after a cycle nothing is held, by the monitor's doing where one runs, else after a reap. References that the C
// tools made and nobody can explain are kept by the reap, said to be unexplained, and go with force.
import {
  assertVolumeFree,
  auditAll,
  heldOf,
  kernelCall,
  openNamespace,
  PEER_MOUNT,
  reap,
  volumeState,
  type VolumeName,
  type VolumeState,
} from "../ours.ts";
import type { RegionAudit, Verdict } from "../../../ts/region/audit-types.ts";
import { quote } from "../vm/command.ts";
import type { Node } from "../vm/node.ts";
import type { MonitorKeeper } from "./keeper.ts";
import { planText, type CyclePlan, type MountPlan } from "./plan.ts";

export interface Course extends VolumeName {
  node: Node;
  keeper: MonitorKeeper;
  /** holds the mount points of this volume: /m/a */
  base: string;
  /** a node that stays mounted on it */
  stays?: Node;
}

/** The heartbeat's own limit is far beyond this; a beat is due every 2 s. */
const BEATS_WITHIN_MS = 10_000;
/** How long a monitor may take: it waits for the end of the dismount, about 4 s, among others. */
const LEAVES_WITHIN_SECONDS = 60;

interface Standing {
  plan: MountPlan;
  directory: string;
}

/** One cycle, from nothing held to nothing held. */
export class Cycle {
  readonly #course: Course;
  readonly #plan: CyclePlan;
  readonly #standing = new Map<number, Standing>();
  #namespace: Awaited<ReturnType<typeof openNamespace>> | null = null;
  /** mounts that the C tool made or may have made, each with a reference of its own */
  #peers = 0;
  /** how many monitors were started before this cycle */
  readonly #startsBefore: number;
  readonly #beganMonitored: boolean;
  /** whether a mount was killed, and may not have counted its superblock */
  #killed = false;
  /** what was done and seen, for the report of a failure */
  readonly log: string[] = [];

  constructor(course: Course, plan: CyclePlan) {
    this.#course = course;
    this.#plan = plan;
    this.#startsBefore = course.keeper.starts;
    this.#beganMonitored = course.keeper.current !== null || course.keeper.isChanging;
  }

  async run(): Promise<void> {
    const { keeper } = this.#course;
    this.#note(planText(this.#plan));
    try {
      await this.#departureIsSeen();
      await this.#changeMonitor("begin");
      for (const [index, plan] of this.#plan.mounts.entries()) await this.#mount(index, plan);
      if (this.#standing.size > 0) await this.#assertHeld(this.#plan.auditMounted, "mounted");
      await this.#changeMonitor("mounted");
      for (const index of this.#plan.order) {
        const standing = this.#standing.get(index);
        if (standing === undefined) continue;
        await this.#end(index, standing);
        if (this.#standing.size > 0) await this.#assertHeld(this.#plan.auditBetween, "partly unmounted");
      }
      await this.#endNamespace();
      await this.#changeMonitor("unmounting");
      await this.#settle();
    } catch (error) {
      const said = keeper.current?.events.filter(
        (one) => !("region" in one) || one.region === this.#course.uuid,
      );
      this.#note(
        `monitor: ${
          said === undefined
            ? "none"
            : said
                .slice(-12)
                .map((one) => JSON.stringify(one))
                .join("\n    ")
        }`,
      );
      const where = `${this.#course.node.name} ${this.#course.device} ${this.#course.uuid}`;
      throw new Error(`${where}: ${(error as Error).message}\n  ${this.log.join("\n  ")}`, { cause: error });
    } finally {
      await this.#endNamespace();
    }
  }

  /**
   * Waits until the node that stays has seen the end of the cycle before and has closed the connection: cycles are about what one
   * node does, and none is to begin in the other's kernel while the one before still ends there. (A mount that never got its first DLM lock,
   * the reason for this wait, may well have been what ts/region/peers.ts tells of: whether it is needed beside that is not known.)
   */
  async #departureIsSeen(): Promise<void> {
    const { node, stays, uuid } = this.#course;
    if (stays === undefined) return;
    const lists = `/sys/kernel/debug/o2hb/${uuid}/livenodes /sys/kernel/debug/o2net/connected_nodes`;
    // debugfs has no events.
    await stays.run(`while cat ${lists} | grep -qw ${node.number}; do sleep 0.2; done`);
  }

  get #wasMonitored(): boolean {
    const { keeper } = this.#course;
    return this.#beganMonitored || keeper.isChanging || keeper.starts > this.#startsBefore;
  }

  #note(text: string): void {
    this.log.push(`${new Date().toISOString().slice(14, 23)} ${text}`);
  }

  async #changeMonitor(at: string): Promise<void> {
    const { monitor } = this.#plan;
    if (monitor?.at !== at) return;
    await this.#course.keeper.change(monitor);
    this.#note(`monitor is ${this.#course.keeper.current === null ? "off" : "on"} now`);
  }

  /** The words that run a command where a mount is: outside, or in the cycle's namespace. */
  async #inPlace({ inNamespace }: MountPlan): Promise<string[]> {
    if (!inNamespace) return [];
    if (this.#namespace === null) {
      this.#namespace = await openNamespace(this.#course.node);
      // It holds copies of all mounts there are; those of the other volumes are not this cycle's to keep.
      const others = `grep ' ocfs2 ' /proc/mounts | while read -r _ at _; do case $at in ${this.#course.base}/*) ;; *) umount -i $at ;; esac; done; true`;
      await this.#course.node.run(["nsenter", "-m", "-t", this.#namespace.pid, "bash", "-c", others]);
    }
    return ["nsenter", "-m", "-t", this.#namespace.pid];
  }

  async #mount(index: number, plan: MountPlan): Promise<void> {
    const { node, device, base } = this.#course;
    const isHeld = this.#standing.size > 0;
    if (!isHeld && index > 0) return;
    const directory = `${base}/${index + 1}`;
    const place = await this.#inPlace(plan);
    const peer = [PEER_MOUNT, device, directory, "-o", "rw"];
    switch (plan.by) {
      case "ours":
        await node.run([...place, "mount", "-t", "ocfs2", device, directory]);
        break;
      case "peer":
        this.#peers += 1;
        await node.run([...place, ...peer]);
        break;
      case "bare":
        await node.run([...place, "mount", "-i", "-t", "ocfs2", "-o", "heartbeat=local", device, directory]);
        break;
      case "bind": {
        const from = [...this.#standing.values()].find((one) => one.plan.inNamespace === plan.inNamespace);
        if (from === undefined) return;
        await node.run([...place, "mount", "--bind", from.directory, directory]);
        break;
      }
      case "ours-killed":
      case "peer-killed":
        this.#killed = true;
        if (plan.by === "peer-killed") this.#peers += 1;
        await this.#killedAfter(
          plan.killAfter,
          [
            ...place,
            ...(plan.by === "peer-killed" ? peer : ["/sbin/mount.ocfs2", device, directory, "-o", "rw"]),
          ],
          plan.by === "peer-killed",
        );
        if (!(await this.#isMounted(directory, plan))) return;
        break;
      default:
    }
    this.#standing.set(index, { plan, directory });
  }

  /**
   * Runs a command and kills it after some time, if it still runs; returns when it is really gone. `spareStart`: not before mount(2)
   * has joined the DLM's domain: kernel 6.1 cannot get rid of a region whose start was interrupted (it crashes), and the C tool
   * starts it itself. Nothing shows that a region is steady; its `dev` is there before.
   */
  async #killedAfter(seconds: number, words: string[], spareStart = false): Promise<void> {
    const command = words.map(quote).join(" ");
    const domain = `/sys/kernel/debug/o2dlm/${this.#course.uuid}`;
    const started = spareStart
      ? `while kill -0 $job 2>/dev/null && ! [ -d ${domain} ]; do sleep 0.1; done; `
      : "";
    const { status } = await this.#course.node.try(
      `${command} & job=$!; sleep ${seconds}; ${started}kill -KILL $job; wait $job`,
    );
    this.#note(`${command}: killed after ${seconds} s, status ${status}`);
  }

  async #isMounted(directory: string, plan: MountPlan): Promise<boolean> {
    const table =
      plan.inNamespace && this.#namespace !== null ? `/proc/${this.#namespace.pid}/mounts` : "/proc/mounts";
    const { stdout } = await this.#course.node.run(`grep ' ${directory} ocfs2 ' ${table} || true`);
    return stdout !== "";
  }

  async #end(index: number, { plan, directory }: Standing): Promise<void> {
    const { node } = this.#course;
    const place = await this.#inPlace(plan);
    switch (plan.end) {
      case "ours":
        await node.run([...place, "umount", directory]);
        break;
      case "c-era":
        await node.run([...place, "umount", "-i", directory]);
        break;
      case "umount2":
        await node.run([...place, ...kernelCall("umount2", directory, "0")]);
        break;
      case "lazy-open": {
        const words = [...place, "bash", "-c", `exec 9>>${directory}/open; echo opened; exec sleep 3600`];
        const user = node.start(words);
        await user.waitForOutput(/opened/);
        await node.run([...place, "umount", "-l", directory]);
        await this.#assertHeld(false, "detached, with a file open");
        await user.kill("SIGKILL");
        await user.done;
        break;
      }
      case "ours-killed":
        await this.#killedAfter(plan.killEndAfter, [...place, "/sbin/umount.ocfs2", directory]);
        if (await this.#isMounted(directory, plan)) await node.run([...place, "umount", directory]);
        break;
      case "namespace-end":
        await this.#endNamespace();
        return;
      default:
    }
    this.#standing.delete(index);
    this.#note(`ended ${directory}: ${plan.end}`);
  }

  async #endNamespace(): Promise<void> {
    const namespace = this.#namespace;
    if (namespace === null) return;
    this.#namespace = null;
    await namespace.end();
    for (const [index, { plan }] of this.#standing) if (plan.inNamespace) this.#standing.delete(index);
    this.#note("ended the namespace");
  }

  /** Something is mounted: the region beats, and is counted unless a killed mount did not come to that. */
  async #assertHeld(withAudit: boolean, when: string): Promise<void> {
    const state = await volumeState(this.#course.node, this.#course);
    const disk = this.#course.device.slice(5);
    const problems = [
      state.superblock ? "" : "there is no superblock",
      state.region && state.dev === disk ? "" : "no region beats on it",
      state.references >= 1 || this.#killed ? "" : "nothing counts it",
      (state.elapsedMs ?? Infinity) < BEATS_WITHIN_MS ? "" : "it has not beaten for long",
      state.references <= this.#peers + 1 ? "" : "it is counted too often",
    ].filter((text) => text !== "");
    if (problems.length > 0) throw new Error(`${when}: ${problems.join(", ")}: ${JSON.stringify(state)}`);
    if (!withAudit) return;
    const found = await this.#audit();
    // A monitor that saw a mount of the C tool come with its reference has noted it.
    const noted = this.#wasMonitored ? state.references : 0;
    const most = Math.max(0, state.references - 1);
    const unexplained = found?.unexplained ?? Number.NaN;
    let expected: Verdict = "in-use";
    if (state.references === 0) expected = "pinned-without-reference";
    else if (unexplained > 0) expected = "unexplained-references";
    if (found?.verdict !== expected || !(unexplained <= most && unexplained >= most - noted))
      throw new Error(`${when}: the audit should say ${expected}, but says ${JSON.stringify(found)}`);
  }

  /** What the audit says of this region. Of none on this machine may it say that it does not know. */
  async #audit(): Promise<RegionAudit | undefined> {
    const { regions } = await auditAll(this.#course.node);
    const unknown = regions.filter(({ verdict }) => verdict === "unknown");
    if (unknown.length > 0) throw new Error(`the audit does not know: ${JSON.stringify(unknown)}`);
    return regions.find(({ region }) => region === this.#course.uuid);
  }

  /** Nothing is mounted any more: by whose doing it becomes free depends on who is there. */
  async #settle(): Promise<void> {
    const { node, device, uuid, keeper } = this.#course;
    const monitor = keeper.current;
    if (monitor !== null && (await this.#monitorLeaves(monitor))) return;
    await node.run(kernelCall("claimed", device));
    if (this.#plan.auditAfter) {
      const found = await this.#audit();
      const possible: (Verdict | undefined)[] = [undefined, "orphan"];
      if (this.#killed) possible.push("half-made");
      if (this.#peers > 0) possible.push("unexplained-references");
      // A monitor that was given up waiting for, or another command, may be at it right now.
      if (found?.lastUser?.holdsMutex === true) possible.push("in-use");
      if (!possible.includes(found?.verdict))
        throw new Error(`after its end the audit says ${JSON.stringify(found)}`);
    }
    // More than once only where a monitor was started meanwhile and does the same.
    for (let tries = 0; tries < 5; tries += 1) {
      const result = await reap(node, uuid);
      const state = await volumeState(node, this.#course);
      if (heldOf(state).length === 0) return;
      this.#note(`a reap leaves ${heldOf(state).join("; ")}: ${JSON.stringify(result)}`);
      if (result.skipped.length > 0) continue;
      if (state.references === 0 || state.references > this.#peers) break;
      if (await this.#force(state)) return assertVolumeFree(node, this.#course);
    }
    throw new Error("something is left that is no C tool's");
  }

  /** References of the C tools' mounts are left: said so, kept, and forced. False where the monitor has changed it meanwhile. */
  async #force(state: VolumeState): Promise<boolean> {
    const { node, uuid } = this.#course;
    const found = await this.#audit();
    const isSaid = found?.verdict === "unexplained-references" && found.unexplained === state.references;
    if (!isSaid && !this.#wasMonitored)
      throw new Error(
        `${state.references} unexplained references, but the audit says ${JSON.stringify(found)}`,
      );
    if (!isSaid) return false;
    const { done } = await reap(node, uuid, "--force");
    this.#note(`forced: ${JSON.stringify(done)}`);
    return done[0]?.forced === state.references;
  }

  /** Waits until the volume is free; false where that is not the monitor's to do any more: it ended, or what is left is no one's. */
  async #monitorLeaves(monitor: NonNullable<MonitorKeeper["current"]>): Promise<boolean> {
    const { node, uuid } = this.#course;
    // What the C tools' mounts leave is not the monitor's to drop, and it may have said so before.
    const within = this.#peers > 0 ? 15 : LEAVES_WITHIN_SECONDS;
    const began = Date.now();
    for (;;) {
      const { mark } = monitor;
      const state = await volumeState(node, this.#course);
      if (heldOf(state).length === 0) return true;
      if (monitor.isOver || (this.#peers > 0 && !state.superblock && state.references > 0)) return false;
      const left = within - (Date.now() - began) / 1000;
      if (left <= 0 && this.#peers > 0) return false;
      if (left <= 0) throw new Error(`the monitor leaves ${heldOf(state).join("; ")}`);
      const about = monitor.event((event) => "region" in event && event.region === uuid, mark, left);
      await Promise.race([about.catch(() => {}), monitor.ended]);
    }
  }
}
