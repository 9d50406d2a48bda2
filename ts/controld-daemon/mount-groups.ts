// All mount groups of this node: which group a request is for, and what is asked and told of all of them at once. No I/O.
import { constants } from "node:os";
import {
  MountGroup,
  type Answer,
  type ClientId,
  type GroupEffect,
  type GroupInput,
  type GroupState,
} from "./mount-group.ts";

const { ENOENT } = constants.errno;

/** One group for people and programs. */
export interface GroupFacts {
  uuid: string;
  state: GroupState;
  services: readonly string[];
  frozen: string | null;
}

export type MountRequest = Omit<Extract<GroupInput, { kind: "mount" }>, "kind">;

export class MountGroups {
  readonly #groups = new Map<string, MountGroup>();
  readonly #registers: boolean;

  constructor(registers: boolean) {
    this.#registers = registers;
  }

  get size(): number {
    return this.#groups.size;
  }

  /** A service may stand for a mounted volume; a group without one is only being left. */
  get hasServices(): boolean {
    return [...this.#groups.values()].some(({ services }) => services.length > 0);
  }

  get uuids(): readonly string[] {
    return [...this.#groups.keys()];
  }

  get(uuid: string): MountGroup | null {
    return this.#groups.get(uuid) ?? null;
  }

  facts(): GroupFacts[] {
    return [...this.#groups].map(([uuid, { state, services, frozen }]) => ({
      uuid,
      state,
      services,
      frozen,
    }));
  }

  /** Makes the group where it is the first mount. */
  mount(uuid: string, request: MountRequest): GroupEffect[] {
    if (this.#groups.has(uuid)) return this.tell(uuid, { kind: "mount", ...request });
    this.#groups.set(uuid, new MountGroup(request, this.#registers));
    return [{ kind: "join" }];
  }

  /** A request for a group that is not there is answered so. */
  ask(uuid: string, input: Extract<GroupInput, { kind: "result" | "unmount" }>): GroupEffect[] {
    if (this.#groups.has(uuid)) return this.tell(uuid, input);
    const answer: Answer = { status: ENOENT, text: `no volume ${uuid} is in use through this daemon` };
    return [{ kind: "reply", client: input.client, ...answer }];
  }

  /** What came too late for a group is nobody's. */
  tell(uuid: string, input: GroupInput): GroupEffect[] {
    const group = this.#groups.get(uuid);
    const effects = group?.handle(input) ?? [];
    if (group?.isOver) this.#groups.delete(uuid);
    return effects;
  }

  /** A connection may have asked for several volumes. */
  gone(client: ClientId): { uuid: string; effects: GroupEffect[] }[] {
    return this.uuids.map((uuid) => ({ uuid, effects: this.tell(uuid, { kind: "gone", client }) }));
  }
}
