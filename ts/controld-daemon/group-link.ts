// One process group of corosync as events: joined, changed, messages, lost. It keeps no state of the daemon's.
//
// Facts relied on: a group has a connection of its own (native-stack-types); the first change that names this process is its join, and
// the one that does not name it any more is the end of its leave, or means that it was put out.
import type { GroupEvent, GroupMember } from "../native-types.ts";
import type { DaemonNative, ProcessGroup } from "./services.ts";

export interface LinkHandler {
  /** it could not be joined; nothing follows */
  failed(error: unknown): void;
  change(change: Extract<GroupEvent, { kind: "change" }>, group: ProcessGroup): void;
  message(from: GroupMember, bytes: Uint8Array): void;
  /** corosync is gone, or this connection to it; nothing follows */
  lost(error: unknown): void;
}

export class GroupLink {
  readonly #end = new AbortController();
  #group: ProcessGroup | null = null;
  /** settles when the connection has ended */
  readonly ended: Promise<void>;

  constructor(native: DaemonNative, name: string, handler: LinkHandler) {
    this.ended = this.#run(native, name, handler).catch((error: unknown) => handler.lost(error));
  }

  get group(): ProcessGroup | null {
    return this.#group;
  }

  /** Ends the connection; nothing is told any more. To the others a member that has not left looks dead. */
  close(): void {
    this.#end.abort();
  }

  async #run(native: DaemonNative, name: string, handler: LinkHandler): Promise<void> {
    const { signal } = this.#end;
    let group: ProcessGroup;
    try {
      group = await native.joinProcessGroup(name, { signal });
    } catch (error) {
      if (!signal.aborted) handler.failed(error);
      return;
    }
    this.#group = group;
    try {
      while (!signal.aborted) {
        for (const event of await group.next({ signal })) {
          // What a handler does may have ended it.
          if (signal.aborted) break;
          if (event.kind === "change") handler.change(event, group);
          else handler.message(event.from, event.bytes);
        }
      }
    } catch (error) {
      if (!signal.aborted) handler.lost(error);
    } finally {
      group.close();
    }
  }
}

export function isMember(members: readonly GroupMember[], self: GroupMember): boolean {
  return members.some(({ node, pid }) => node === self.node && pid === self.pid);
}
