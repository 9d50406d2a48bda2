// Who is in which mount group, and whose death concerns which group. No I/O.
//
// Facts relied on: userspace-stack 2.4. A daemon that leaves a mount group has unmounted, and is forgotten. A death is told in the group of
// all daemons and in each mount group, on connections of their own, in any order between them; it counts where it is told in the first, so
// that all nodes deal with deaths in one order. What a mount group tells of it may come before or after that.
import type { GroupEvent, GroupMember } from "../native-types.ts";

export type GroupChange = Extract<GroupEvent, { kind: "change" }>;

/** A member of a mount group that has died. */
export interface Death {
  uuid: string;
  node: number;
}

export function memberKey({ node, pid }: GroupMember): string {
  return `${node}:${pid}`;
}

interface Group {
  known: Map<string, GroupMember>;
  /** whose deaths were told of already: a change that was queued before may still name them */
  buried: Set<string>;
}

export class Members {
  readonly #groups = new Map<string, Group>();
  /** daemons that have died, until one of the same node and number comes */
  readonly #dead = new Set<string>();

  /** The nodes in a mount group, this one included. */
  nodes(uuid: string): number[] {
    return [...(this.#groups.get(uuid)?.known.values() ?? [])].map(({ node }) => node);
  }

  /** A change of one mount group. */
  changed(uuid: string, { members, left, joined }: Omit<GroupChange, "kind">): Death[] {
    const group = this.#groups.get(uuid) ?? { known: new Map(), buried: new Set() };
    this.#groups.set(uuid, group);
    for (const member of joined) group.buried.delete(memberKey(member));
    for (const member of members)
      if (!group.buried.has(memberKey(member))) group.known.set(memberKey(member), member);
    for (const one of left) if (one.reason === "left") group.known.delete(memberKey(one));
    return this.#bury(uuid, group);
  }

  /** A change of the group of all daemons. */
  daemonsChanged({ left, joined }: Pick<GroupChange, "left" | "joined">): Death[] {
    for (const member of joined) this.#dead.delete(memberKey(member));
    for (const one of left) if (one.reason !== "left") this.#dead.add(memberKey(one));
    return [...this.#groups].flatMap(([uuid, group]) => this.#bury(uuid, group));
  }

  forget(uuid: string): void {
    this.#groups.delete(uuid);
  }

  #bury(uuid: string, { known, buried }: Group): Death[] {
    const dead = [...known].filter(([key]) => this.#dead.has(key));
    for (const [key] of dead) {
      known.delete(key);
      buried.add(key);
    }
    return dead.map(([, { node }]) => ({ uuid, node }));
  }
}
