// Carries out what the mount groups want: process groups joined and left, dlm_controld's registrations, answers. Every outcome goes back into
// the groups as an input.
//
// Facts relied on: userspace-stack 2.4 and 2.6. What is asked of one volume is asked in its order: unregistered before it leaves. A
// connection to corosync that does not take a leave is ended instead; the others forget a member of a mount group that goes so, as its
// daemon lives.
import { constants } from "node:os";
import type { DlmControl } from "../native-types.ts";
import type { DaemonEvent } from "./daemon-events.ts";
import { GroupLink, isMember } from "./group-link.ts";
import { Members, type Death, type GroupChange } from "./members.ts";
import type { Answer, ClientId, GroupEffect, GroupInput } from "./mount-group.ts";
import { MountGroups, type GroupFacts, type MountRequest } from "./mount-groups.ts";
import { processGroupName, type DaemonNative, type ProcessGroup } from "./services.ts";

const { EIO, ENOTCONN } = constants.errno;

export interface VolumesHooks {
  reply(client: ClientId, answer: Answer): void;
  tell(event: DaemonEvent): void;
  /** members of mount groups have died */
  died(deaths: readonly Death[]): void;
  /** a group has ended, or was frozen */
  changed(): void;
  /** the cluster has put this node out of a volume's group */
  dropped(uuid: string): void;
  /** corosync is gone */
  lost(error: unknown): void;
}

export class Volumes {
  readonly #native: DaemonNative;
  readonly #pid: number;
  readonly #dlm: DlmControl | null;
  readonly #hooks: VolumesHooks;
  readonly #groups: MountGroups;
  readonly #members = new Members();
  readonly #links = new Map<string, GroupLink>();
  /** of each volume: what was asked last, so that the next waits for it */
  readonly #chains = new Map<string, Promise<void>>();
  /** as told last */
  readonly #told = new Map<string, string>();
  #isStopped = false;

  /** `dlm`: where dlm_controld wants to know of each volume. */
  constructor(native: DaemonNative, pid: number, dlm: DlmControl | null, hooks: VolumesHooks) {
    this.#native = native;
    this.#pid = pid;
    this.#dlm = dlm;
    this.#hooks = hooks;
    this.#groups = new MountGroups(dlm !== null);
  }

  get size(): number {
    return this.#groups.size;
  }

  get hasServices(): boolean {
    return this.#groups.hasServices;
  }

  get uuids(): readonly string[] {
    return this.#groups.uuids;
  }

  get frozen(): string[] {
    return this.#groups.facts().flatMap(({ uuid, frozen }) => (frozen === null ? [] : [uuid]));
  }

  facts(): GroupFacts[] {
    return this.#groups.facts();
  }

  has(uuid: string): boolean {
    return this.#groups.get(uuid) !== null;
  }

  isMounting(client: ClientId): boolean {
    return this.uuids.some((uuid) => this.#groups.get(uuid)?.client === client);
  }

  mount(uuid: string, request: MountRequest): void {
    this.#run(uuid, this.#groups.mount(uuid, request));
  }

  ask(uuid: string, input: Extract<GroupInput, { kind: "result" | "unmount" }>): void {
    this.#run(uuid, this.#groups.ask(uuid, input));
  }

  gone(client: ClientId): void {
    for (const { uuid, effects } of this.#groups.gone(client)) this.#run(uuid, effects);
  }

  registered(uuid: string, status: number): void {
    this.#tell(uuid, { kind: "registered", status });
  }

  freeze(uuid: string, reason: string): void {
    if (this.#groups.get(uuid)?.frozen !== null) return;
    this.#hooks.tell({ event: "frozen", uuid, reason });
    this.#tell(uuid, { kind: "freeze", reason });
    this.#hooks.changed();
  }

  /** No answer will come from dlm_controld any more. */
  dlmLost(): void {
    for (const uuid of this.uuids)
      if (this.#groups.get(uuid)?.registration === "asked") this.registered(uuid, ENOTCONN);
  }

  /** A change of the group of all daemons. */
  daemonsChanged(change: GroupChange): void {
    this.#bury(this.#members.daemonsChanged(change));
  }

  /** From now on nothing is done: what the end of the daemon brings about must not look like clients that leave. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Ends every connection to corosync as it is. */
  async close(): Promise<void> {
    const links = [...this.#links.values()];
    for (const link of links) link.close();
    await Promise.all(links.map(({ ended }) => ended));
  }

  #tell(uuid: string, input: GroupInput): void {
    this.#run(uuid, this.#groups.tell(uuid, input));
  }

  #run(uuid: string, effects: readonly GroupEffect[]): void {
    if (this.#isStopped) return;
    this.#tellState(uuid);
    for (const effect of effects) {
      switch (effect.kind) {
        case "reply":
          this.#hooks.reply(effect.client, { status: effect.status, text: effect.text });
          break;
        case "join":
          this.#join(uuid);
          break;
        case "leave":
          this.#next(uuid, () => this.#leave(uuid));
          break;
        case "register":
          this.#next(uuid, () => this.#register(uuid));
          break;
        case "unregister":
          this.#next(uuid, () => this.#unregister(uuid));
          break;
        case "over":
          this.#forget(uuid);
          break;
        case "dropped":
          this.#hooks.dropped(uuid);
          break;
        case "note":
          this.#hooks.tell({ event: "note", uuid, text: effect.text });
      }
    }
  }

  #next(uuid: string, what: () => Promise<void>): void {
    const before = this.#chains.get(uuid) ?? Promise.resolve();
    this.#chains.set(
      uuid,
      before.then(() => (this.#isStopped ? undefined : what())),
    );
  }

  #join(uuid: string): void {
    const link = new GroupLink(this.#native, processGroupName(uuid), {
      failed: (error) => {
        this.#fail(uuid, error);
        this.#tell(uuid, { kind: "join-failed", answer: answerOf(error) });
      },
      change: (change, group) => this.#change(uuid, change, group),
      message: () => undefined,
      lost: (error) => this.#hooks.lost(error),
    });
    this.#links.set(uuid, link);
  }

  #change(uuid: string, change: GroupChange, { localNode: node }: ProcessGroup): void {
    const isIn = isMember(change.members, { node, pid: this.#pid });
    if (!isIn) {
      if (this.#groups.get(uuid)?.isInProcessGroup) this.#tell(uuid, { kind: "left" });
      return;
    }
    const deaths = this.#members.changed(uuid, change);
    const nodes = this.#members.nodes(uuid).toSorted((one, other) => one - other);
    this.#hooks.tell({ event: "members", uuid, nodes });
    // First the deaths: a group that is frozen by one admits nobody.
    this.#bury(deaths);
    this.#tell(uuid, { kind: "joined" });
  }

  #bury(deaths: readonly Death[]): void {
    if (deaths.length > 0) this.#hooks.died(deaths);
  }

  async #leave(uuid: string): Promise<void> {
    const link = this.#links.get(uuid);
    try {
      await link?.group?.leave();
    } catch (error) {
      this.#fail(uuid, error);
      link?.close();
      await link?.ended;
      // It may have been left all the same.
      if (this.#links.get(uuid) === link) this.#tell(uuid, { kind: "left" });
    }
  }

  async #register(uuid: string): Promise<void> {
    try {
      await this.#dlm?.register(uuid);
    } catch (error) {
      this.#fail(uuid, error);
      this.registered(uuid, answerOf(error).status);
    }
  }

  async #unregister(uuid: string): Promise<void> {
    try {
      await this.#dlm?.unregister(uuid);
    } catch (error) {
      this.#fail(uuid, error);
    }
  }

  #forget(uuid: string): void {
    this.#links.get(uuid)?.close();
    this.#links.delete(uuid);
    this.#chains.delete(uuid);
    this.#members.forget(uuid);
    this.#hooks.changed();
  }

  #tellState(uuid: string): void {
    const group = this.#groups.get(uuid);
    const now = group === null ? "" : `${group.state} ${group.services.join()}`;
    if (now === (this.#told.get(uuid) ?? "")) return;
    if (group === null) {
      this.#told.delete(uuid);
      this.#hooks.tell({ event: "group-over", uuid });
    } else {
      this.#told.set(uuid, now);
      this.#hooks.tell({ event: "group", uuid, state: group.state, services: group.services });
    }
  }

  #fail(uuid: string, error: unknown): void {
    const { code = null, message } = error as { code?: string; message: string };
    this.#hooks.tell({ event: "failed", uuid, code, message });
  }
}

/** What a client is told of a call that failed. */
export function answerOf(error: unknown): Answer {
  const { errno, message } = error as { errno?: number; message?: string };
  return { status: errno ? Math.abs(errno) : EIO, text: message ?? String(error) };
}
