// corosync, dlm_controld and the kernel's control device on several fake machines: closed process groups with one order of events, members
// that leave, die and are put out, registrations, and a machine that is restarted when a daemon ends too early.
//
// Facts relied on: cpg_overview(8) (all members see changes and messages in one order, their own as well; a member that ends without leaving
// is told as gone), userspace-stack 2.6 (dlm_controld's answers) and 3.1 (the last close of the control device while a volume is mounted
// through it restarts the machine; DOWN crashes a fortified kernel).
import type {
  CallOptions,
  ControlAnswer,
  ControlDevice,
  DepartureReason,
  DlmControl,
  GroupEvent,
  GroupMember,
  ProcessGroup,
} from "../../../ts/native-types.ts";
import { deferred } from "./deferred.ts";
import { abortedCall, refuse, refuseWithCode } from "./errors.ts";
import type { FakeKernel } from "./kernel.ts";
import type { FakeProcess } from "./process.ts";
import { notRunning } from "./stack-services.ts";

const DEVICE = "/dev/misc/ocfs2_control";

/** Events for one reader, who may wait for them. */
class Mailbox<T> {
  #items: T[] = [];
  #woken = deferred<void>();
  /** why nothing comes any more */
  end: string | null = null;

  put(item: T): void {
    this.#items.push(item);
    this.wake();
  }

  wake(): void {
    this.#woken.resolve();
    this.#woken = deferred<void>();
  }

  async take(most: number, interrupt: AbortSignal): Promise<T[]> {
    const wake = (): void => this.wake();
    interrupt.addEventListener("abort", wake);
    try {
      for (;;) {
        if (interrupt.aborted) throw abortedCall("poll");
        if (this.#items.length > 0) return this.#items.splice(0, most);
        if (this.end !== null) refuseWithCode("O2CB_SERVICE_UNAVAILABLE", this.end);
        await this.#woken.promise;
      }
    } finally {
      interrupt.removeEventListener("abort", wake);
    }
  }
}

/** The ring, and the groups on it. */
export class FakeCorosync {
  readonly nodes = new Map<number, FakeClusterNode>();
  readonly #groups = new Map<string, Membership[]>();

  /** A machine whose corosync, dlm_controld and control device are these; `userStack` made it. */
  add(kernel: FakeKernel, number: number): FakeClusterNode {
    const node = new FakeClusterNode(this, kernel, number);
    this.nodes.set(number, node);
    return node;
  }

  /** `node:pid` of a group's members, in the order of their joins. */
  members(name: string): string[] {
    return (this.#groups.get(name) ?? []).map(({ member: { node, pid } }) => `${node}:${pid}`);
  }

  /** Groups that have members. */
  get names(): string[] {
    return [...this.#groups].filter(([, all]) => all.length > 0).map(([name]) => name);
  }

  /** @internal */
  join(membership: Membership): void {
    const all = this.#groups.get(membership.name) ?? [];
    this.#groups.set(membership.name, [...all, membership]);
    this.#change(membership.name, [], [membership.member]);
  }

  /** Takes members out of a group, for a reason, in one change. */
  take(name: string, gone: readonly Membership[], reason: DepartureReason): void {
    const all = this.#groups.get(name) ?? [];
    const inside = gone.filter((one) => all.includes(one));
    if (inside.length === 0) return;
    this.#groups.set(
      name,
      all.filter((one) => !inside.includes(one)),
    );
    const left = inside.map(({ member }) => ({ ...member, reason }));
    // Who leaves is told of it, too.
    this.#change(name, left, [], reason === "left" ? inside : []);
  }

  /** All of a node at once, or of a process, in each group; which group is told first is nobody's to say. */
  takeAll(
    which: (membership: Membership) => boolean,
    reason: DepartureReason,
    order: "first" | "last" = "first",
  ): void {
    const names = [...this.#groups.keys()];
    if (order === "last") names.reverse();
    for (const name of names) this.take(name, (this.#groups.get(name) ?? []).filter(which), reason);
  }

  /** @internal */
  send(from: Membership, bytes: Uint8Array): void {
    for (const { mail } of this.#groups.get(from.name) ?? [])
      mail.put({ kind: "message", from: from.member, bytes: Uint8Array.from(bytes) });
  }

  /** A message of nobody's daemon. */
  sendRaw(name: string, from: GroupMember, bytes: Uint8Array): void {
    for (const { mail } of this.#groups.get(name) ?? []) mail.put({ kind: "message", from, bytes });
  }

  #change(
    name: string,
    left: (GroupMember & { reason: DepartureReason })[],
    joined: GroupMember[],
    alsoTo: readonly Membership[] = [],
  ): void {
    const all = this.#groups.get(name) ?? [];
    const members = all.map(({ member }) => member);
    for (const { mail } of [...all, ...alsoTo]) mail.put({ kind: "change", members, left, joined });
  }
}

/** One process in one group. */
export class Membership {
  readonly name: string;
  readonly member: GroupMember;
  readonly mail = new Mailbox<GroupEvent>();

  constructor(name: string, member: GroupMember) {
    this.name = name;
    this.member = member;
  }
}

/** One machine's services. */
export class FakeClusterNode {
  readonly ring: FakeCorosync;
  readonly kernel: FakeKernel;
  readonly number: number;
  readonly dlm: FakeDlmControld;
  /** volumes that are mounted through the control device */
  readonly mounted = new Set<string>();
  readonly downs: string[] = [];
  /** whether the kernel crashes when it is told of a death */
  isFortified = true;
  /** by the kernel, since a daemon ended with volumes mounted */
  isRestarted = false;
  /** a handshake's version, while a daemon has the device open */
  handshake: { node: number; version: string } | null = null;
  readonly #memberships = new Set<Membership>();

  constructor(ring: FakeCorosync, kernel: FakeKernel, number: number) {
    this.ring = ring;
    this.kernel = kernel;
    this.number = number;
    this.dlm = new FakeDlmControld(kernel);
    kernel.services.calls = {
      joinProcessGroup: (process, name) => Promise.resolve(this.#join(process, name)),
      connectDlmControl: (process) => Promise.resolve(this.dlm.connect(process)),
      openControlDevice: (process, path, node, version) =>
        Promise.resolve(this.#open(process, path, node, `${version.major}.${version.minor}`)),
    };
  }

  /** The power goes off: its processes end, and the others see its node go. */
  powerOff(order: "first" | "last" = "first"): void {
    this.ring.takeAll((one) => one.member.node === this.number, "node-down", order);
    this.mounted.clear();
    this.stopCorosync();
  }

  /** corosync ends here: connections are lost, and the others see the node go. */
  stopCorosync(): void {
    this.ring.takeAll((one) => one.member.node === this.number, "node-down");
    this.kernel.services.corosync = null;
    for (const { mail } of this.#memberships) {
      mail.end = "corosync has ended";
      mail.wake();
    }
  }

  /** corosync takes this node's member out of one group, as it does with a node that comes back into the ring. */
  putOut(name: string): void {
    for (const one of this.#memberships)
      if (one.name === name) {
        this.ring.take(name, [one], "node-down");
        one.mail.put({
          kind: "change",
          members: [],
          left: [{ ...one.member, reason: "node-down" }],
          joined: [],
        });
      }
  }

  #join(process: FakeProcess, name: string): ProcessGroup {
    if (this.kernel.services.corosync === null) notRunning("corosync");
    const membership = new Membership(name, { node: this.number, pid: process.pid });
    this.#memberships.add(membership);
    const forget = process.task.atExit("files", () => this.#gone(membership));
    this.ring.join(membership);
    let isClosed = false;
    return {
      name,
      localNode: this.number,
      next: (options?: CallOptions) =>
        process.call("ProcessGroup.next", [name], options?.signal, ({ interrupt }) =>
          membership.mail.take(2, interrupt),
        ),
      send: (bytes, options?: CallOptions) =>
        process.call("ProcessGroup.send", [name, bytes], options?.signal, () => {
          if (membership.mail.end !== null) notRunning("corosync");
          this.ring.send(membership, bytes);
        }),
      leave: (options?: CallOptions) =>
        process.call("ProcessGroup.leave", [name], options?.signal, () => {
          if (membership.mail.end !== null) notRunning("corosync");
          this.ring.take(name, [membership], "left");
        }),
      close: () => {
        if (isClosed) return;
        isClosed = true;
        process.callNow("ProcessGroup.close", [name], () => {
          forget();
          this.#gone(membership);
        });
      },
    };
  }

  #gone(membership: Membership): void {
    this.#memberships.delete(membership);
    this.ring.take(membership.name, [membership], "process-down");
  }

  #open(process: FakeProcess, path: string, node: number, version: string): ControlDevice {
    if (path !== DEVICE) refuse("ENOENT", { syscall: "open" });
    if (this.handshake !== null && this.handshake.node !== node) refuse("EINVAL");
    this.handshake = { node, version };
    this.kernel.lockspaces.isDaemonReady = true;
    let isOpen = true;
    const close = (): void => {
      if (!isOpen) return;
      isOpen = false;
      forget();
      this.handshake = null;
      this.kernel.lockspaces.isDaemonReady = false;
      if (this.mounted.size > 0) this.isRestarted = true;
    };
    const forget = process.task.atExit("files", close);
    return {
      nodeDown: (region, dead, options?: CallOptions) =>
        process.call("ControlDevice.nodeDown", [region, dead], options?.signal, () => {
          this.downs.push(`${region} ${dead}`);
          if (this.isFortified) this.kernel.disasters.push("the kernel has crashed: DOWN");
        }),
      release: () => process.callNow("Held.release", [], close),
    };
  }
}

/** dlm_controld, as a file system's daemon sees it. */
export class FakeDlmControld {
  readonly #kernel: FakeKernel;
  readonly registered = new Set<string>();
  /** `UUID node`, each time it is told */
  readonly notified: string[] = [];
  /** what the next registrations are answered with, in place of what the mode says */
  answers: number[] = [];
  /** how often it has not seen a death yet */
  notSeen = 0;
  #mail: Mailbox<ControlAnswer> | null = null;
  #held: ControlAnswer[] | null = null;

  constructor(kernel: FakeKernel) {
    this.#kernel = kernel;
  }

  /** It ends: its clients lose their connections. */
  end(): void {
    if (this.#mail === null) return;
    this.#mail.end = "dlm_controld has ended";
    this.#mail.wake();
  }

  /** Answers wait until the function returned is called. */
  hold(): () => void {
    this.#held = [];
    return () => {
      const held = this.#held ?? [];
      this.#held = null;
      for (const answer of held) this.#answer(answer);
    };
  }

  /** @internal */
  connect(process: FakeProcess): DlmControl {
    if (this.#kernel.lockspaces.settings === null) notRunning("dlm_controld");
    const mail = (this.#mail = new Mailbox<ControlAnswer>());
    const forget = process.task.atExit("files", () => this.registered.clear());
    const alive = (): void => {
      if (mail.end !== null) notRunning("dlm_controld");
    };
    return {
      register: (name, options?: CallOptions) =>
        process.call("DlmControl.register", [name], options?.signal, () => {
          alive();
          const isOn = this.#kernel.lockspaces.settings?.recoverCallbacks === 0;
          const status = this.answers.shift() ?? (isOn ? 0 : 95);
          if (status === 0) this.registered.add(name);
          this.#answer({ kind: "registered", name, status });
        }),
      unregister: (name, options?: CallOptions) =>
        process.call("DlmControl.unregister", [name], options?.signal, () => {
          alive();
          if (!this.registered.delete(name))
            this.#kernel.disasters.push(`${name} was unregistered without being registered`);
        }),
      notified: (name, node, options?: CallOptions) =>
        process.call("DlmControl.notified", [name, node], options?.signal, () => {
          alive();
          this.notified.push(`${name} ${node}`);
          const status = this.notSeen > 0 ? 11 : 0;
          this.notSeen -= this.notSeen > 0 ? 1 : 0;
          this.#answer({ kind: "notified", name, node, status });
        }),
      next: async (options?: CallOptions) => {
        const [answer] = await process.call("DlmControl.next", [], options?.signal, ({ interrupt }) =>
          mail.take(1, interrupt),
        );
        return answer as ControlAnswer;
      },
      release: () =>
        process.callNow("Held.release", [], () => {
          forget();
          this.registered.clear();
        }),
    };
  }

  #answer(answer: ControlAnswer): void {
    if (this.#held !== null) this.#held.push(answer);
    else this.#mail?.put(answer);
  }
}
