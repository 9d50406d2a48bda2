// One mount group as a state machine: the services of this node that use one volume, the client that is joining now, and the steps in and
// out of the group. No I/O: what happened goes in, what is to be done comes out.
//
// Facts relied on: userspace-stack 2.3, the table of states and the races. EALREADY (114) is the protocol's word for "the group is joined
// already, go ahead". Only the service `ocfs2`, a real mount, may be there more than once: its mounts share one superblock, and the kernel
// calls UNMOUNT once, for the last of them, and never again.
//
// Where it differs from the original, each time to leave nothing behind (docs/controld.md has the list): an error belongs to the one request
// that it answers; what a mounter was told is forgotten with the mounter; a service that is not the one in progress can be left at any
// time; a tool that dies before its result has not joined. A mount that dies then is counted as one that succeeded, as in the original:
// staying too long costs nothing, and leaving too early hides the node's death from the volume.
import { constants } from "node:os";
import { MOUNT_SERVICE } from "../stack/cluster-stack.ts";

const { EALREADY, EBUSY, EINVAL, EIO, ENOENT } = constants.errno;
/** EHOSTDOWN, which node's table does not have. */
export const HOST_DOWN = 112;

export type ClientId = number;

export interface Answer {
  /** 0, or an errno; 114 is a success */
  status: number;
  text: string;
}

export type GroupInput =
  /** `device` tells one device from another, whatever its path */
  | { kind: "mount"; client: ClientId; device: string; service: string }
  /** what mount(2) came to: 0 or an errno */
  | { kind: "result"; client: ClientId; service: string; result: number }
  | { kind: "unmount"; client: ClientId; service: string }
  /** the client's connection has ended */
  | { kind: "gone"; client: ClientId }
  /** this process is in the process group */
  | { kind: "joined" }
  | { kind: "join-failed"; answer: Answer }
  /** this process is in the process group no more */
  | { kind: "left" }
  /** dlm_controld's answer: 0 or an errno */
  | { kind: "registered"; status: number }
  /** a member has died and nobody will recover the volume: nobody is let in any more */
  | { kind: "freeze"; reason: string };

export type GroupEffect =
  | ({ kind: "reply"; client: ClientId } & Answer)
  /** of the process group; each ends with an input */
  | { kind: "join" }
  | { kind: "leave" }
  /** at dlm_controld; `register` ends with an input */
  | { kind: "register" }
  | { kind: "unregister" }
  /** nothing is left of the group: forget it */
  | { kind: "over" }
  /** the cluster has put this node out */
  | { kind: "dropped" }
  | { kind: "note"; text: string };

/** As the table of the protocol has them. */
export type GroupState = "joining" | "registering" | "notified" | "live" | "additional" | "leaving";

interface Attempt {
  /** null: it has ended, or was answered */
  client: ClientId | null;
  service: string;
  /** a further mount of a volume that is mounted */
  isAdditional: boolean;
}

const done: Answer = { status: 0, text: "OK" };

export class MountGroup {
  readonly #device: string;
  readonly #registers: boolean;
  readonly #services = new Set<string>();
  #phase: "joining" | "registering" | "joined" | "leaving" = "joining";
  #attempt: Attempt | null;
  #isInProcessGroup = false;
  #isLeaveAsked = false;
  #registration: "none" | "asked" | "done" = "none";
  /** what the leave will answer */
  #outcome: Answer = done;
  #frozen: string | null = null;
  #isOver = false;
  #effects: GroupEffect[] = [];

  /** A group begins with a mount; `registers`: whether dlm_controld wants to know of it. The first effect is `join`. */
  constructor(first: { client: ClientId; device: string; service: string }, registers: boolean) {
    this.#device = first.device;
    this.#registers = registers;
    this.#services.add(first.service);
    this.#attempt = { client: first.client, service: first.service, isAdditional: false };
  }

  get state(): GroupState {
    if (this.#phase !== "joined") return this.#phase;
    if (this.#attempt === null) return "live";
    return this.#attempt.isAdditional || this.#services.size > 1 ? "additional" : "notified";
  }

  get services(): readonly string[] {
    return [...this.#services];
  }

  /** the connection that is joining or leaving, while it lives */
  get client(): ClientId | null {
    return this.#attempt?.client ?? null;
  }

  /** whether this process is in the process group, as far as it knows */
  get isInProcessGroup(): boolean {
    return this.#isInProcessGroup;
  }

  get registration(): "none" | "asked" | "done" {
    return this.#registration;
  }

  get frozen(): string | null {
    return this.#frozen;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** What is to be done, in this order. After `over` nothing comes any more. */
  handle(input: GroupInput): GroupEffect[] {
    this.#effects = [];
    if (this.#isOver) return [];
    this.#take(input);
    return this.#effects;
  }

  #take(input: GroupInput): void {
    switch (input.kind) {
      case "mount":
        return this.#mount(input);
      case "result":
        return this.#result(input);
      case "unmount":
        return this.#unmount(input);
      case "gone":
        return this.#gone(input.client);
      case "joined":
        return this.#joined();
      case "join-failed":
        return this.#joinFailed(input.answer);
      case "left":
        return this.#left();
      case "registered":
        return this.#registered(input.status);
      case "freeze":
        return this.#freeze(input.reason);
    }
  }

  // -- what clients ask for

  #mount({ client, device, service }: Extract<GroupInput, { kind: "mount" }>): void {
    if (device !== this.#device)
      return this.#reply(client, EINVAL, "the volume is in use here by another device");
    if (this.#frozen !== null) return this.#reply(client, HOST_DOWN, this.#frozen);
    if (this.#attempt !== null)
      return this.#reply(client, EBUSY, `'${this.#attempt.service}' is being joined or left`);
    const isThere = this.#services.has(service);
    if (isThere && service !== MOUNT_SERVICE) return this.#reply(client, EBUSY, `'${service}' is in use`);
    this.#services.add(service);
    this.#attempt = { client, service, isAdditional: isThere };
    this.#reply(client, EALREADY, "the group is joined already");
  }

  #result({ client, service, result }: Extract<GroupInput, { kind: "result" }>): void {
    if (!this.#services.has(service))
      return this.#reply(client, ENOENT, `'${service}' is not a service of this group`);
    const attempt = this.#attempt;
    if (attempt?.client !== client || attempt.service !== service)
      return this.#reply(client, EINVAL, "this connection is not the one that mounts");
    if (this.#phase !== "joined")
      return this.#reply(client, EINVAL, "this connection was not told to mount yet");
    if (result === 0 || attempt.isAdditional) return this.#settle(client);
    this.#withdraw(client, done);
  }

  #unmount({ client, service }: Extract<GroupInput, { kind: "unmount" }>): void {
    if (!this.#services.has(service))
      return this.#reply(client, ENOENT, `'${service}' is not a service of this group`);
    const attempt = this.#attempt;
    if (attempt === null) {
      this.#attempt = { client, service, isAdditional: false };
      return this.#withdraw(client, done);
    }
    if (attempt.service !== service) {
      this.#services.delete(service);
      return this.#answer(client, done);
    }
    // The last superblock has gone: if the mount that is under way succeeds it makes a new one, and if it fails there is none.
    attempt.isAdditional = false;
    this.#reply(client, EBUSY, `'${service}' is being joined`);
  }

  #gone(client: ClientId): void {
    const attempt = this.#attempt;
    if (attempt === null || attempt.client !== client) return;
    attempt.client = null;
    if (this.#phase === "leaving") return;
    if (this.#phase !== "joined") return this.#withdraw(null, done);
    if (attempt.isAdditional) return this.#settle(null);
    if (attempt.service !== MOUNT_SERVICE) return this.#withdraw(null, done);
    this.#note("the client ended before it told what its mount came to: the volume is counted as mounted");
    this.#settle(null);
  }

  // -- what the cluster tells

  #joined(): void {
    if (this.#isInProcessGroup) return;
    this.#isInProcessGroup = true;
    if (this.#phase === "leaving") return this.#goOut();
    if (!this.#registers) return this.#admit();
    this.#phase = "registering";
    this.#registration = "asked";
    this.#effects.push({ kind: "register" });
  }

  #joinFailed(answer: Answer): void {
    if (this.#isInProcessGroup) return;
    this.#services.clear();
    if (this.#phase === "joining") this.#outcome = answer;
    this.#end();
  }

  #left(): void {
    if (this.#isLeaveAsked) return this.#end();
    this.#effects.push({ kind: "dropped" });
  }

  #registered(status: number): void {
    if (this.#registration !== "asked")
      return this.#note(`an answer of dlm_controld that nothing was asked for: ${status}`);
    this.#registration = status === 0 ? "done" : "none";
    if (this.#phase === "leaving") return this.#goOut();
    if (status === 0) return this.#admit();
    // A negative number would not be an errno to the client.
    const refusal = status > 0 ? status : EIO;
    this.#withdraw(this.client, { status: refusal, text: "dlm_controld refused to register the volume" });
  }

  #freeze(reason: string): void {
    if (this.#frozen !== null) return;
    this.#frozen = reason;
    this.#note(reason);
  }

  // -- the steps they lead to

  /** The first mounter may go ahead. */
  #admit(): void {
    if (this.#frozen !== null) return this.#withdraw(this.client, { status: HOST_DOWN, text: this.#frozen });
    this.#phase = "joined";
    this.#answer(this.client, done);
  }

  /** The attempt has succeeded, or its failure leaves the other services as they were. */
  #settle(client: ClientId | null): void {
    this.#attempt = null;
    this.#answer(client, done);
  }

  /** Takes the attempt's service out; the last one takes the group along, and is answered when that is done. */
  #withdraw(client: ClientId | null, outcome: Answer): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    this.#services.delete(attempt.service);
    if (this.#services.size > 0) {
      this.#attempt = null;
      return this.#answer(client, outcome);
    }
    this.#phase = "leaving";
    this.#outcome = outcome;
    attempt.client = client;
    attempt.isAdditional = false;
    this.#goOut();
  }

  /** As far as it can be done now: what was asked of others has to be answered before it can be undone. */
  #goOut(): void {
    if (!this.#isInProcessGroup || this.#registration === "asked") return;
    if (this.#registration === "done") {
      this.#registration = "none";
      this.#effects.push({ kind: "unregister" });
    }
    this.#isLeaveAsked = true;
    this.#effects.push({ kind: "leave" });
  }

  #end(): void {
    this.#isOver = true;
    this.#isInProcessGroup = false;
    // First the end: the client may ask again as soon as it has its answer.
    this.#effects.push({ kind: "over" });
    this.#answer(this.client, this.#outcome);
    this.#attempt = null;
  }

  #reply(client: ClientId, status: number, text: string): void {
    this.#answer(client, { status, text });
  }

  #answer(client: ClientId | null, { status, text }: Answer): void {
    if (client !== null) this.#effects.push({ kind: "reply", client, status, text });
  }

  #note(text: string): void {
    this.#effects.push({ kind: "note", text });
  }
}
