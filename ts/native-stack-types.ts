// What the Rust core does for the userspace cluster stacks: corosync's closed process groups, its map and its quorum, dlm_controld's state
// and its clients, the kernel's control device, and the abstract socket. Part of `Native` (native-types.ts passes it on; import it from there).
//
// Facts relied on: cpg.h, cmap.h and quorum.h of corosync 3; libdlmcontrol.h of dlm 4; userspace-stack 2.4, 2.6, 3.1. The libraries are
// loaded at the first use, since most nodes do not have them: O2CB_SERVICE_UNAVAILABLE says which one is missing, and the same code, with
// another sentence, that its service does not run.
import type { CallOptions, Held } from "./native-types.ts";

/** One process in a group, on one node. */
export interface GroupMember {
  /** the node's number in corosync, 1 to 2^32-1 */
  node: number;
  pid: number;
}

/** Why a member is not in the group any more: it left, its node is gone, or its process is. */
export type DepartureReason = "left" | "node-down" | "process-down";

export type GroupEvent =
  /** a configuration change; `members` is the group after it */
  | {
      kind: "change";
      members: GroupMember[];
      left: (GroupMember & { reason: DepartureReason })[];
      joined: GroupMember[];
    }
  /** a message, in the order that all members see; our own as well */
  | { kind: "message"; from: GroupMember; bytes: Uint8Array };

/** A closed process group of corosync that this process joins. Every group has a connection of its own. */
export interface ProcessGroup {
  readonly name: string;
  /** this node's number in corosync */
  readonly localNode: number;
  /**
   * Waits for events, one at least, in their order; one call at a time. Events that come between two calls are kept.
   * O2CB_SERVICE_UNAVAILABLE where the connection is lost (corosync has ended): no event comes after that.
   */
  next(options?: CallOptions): Promise<GroupEvent[]>;
  /** to every member, and to this process itself */
  send(bytes: Uint8Array, options?: CallOptions): Promise<void>;
  /** asks to leave; the change without us comes through `next` */
  leave(options?: CallOptions): Promise<void>;
  /** ends the connection, after `next` has settled; the others see this process as gone. Twice does nothing. */
  close(): void;
}

/** What dlm_controld does with a lockspace. */
export interface LockspaceState {
  name: string;
  isJoining: boolean;
  isLeaving: boolean;
  /** the kernel's part is stopped: nobody gets a lock */
  isStopped: boolean;
  /** a file system's daemon has registered for it */
  isRegistered: boolean;
  /** what the change of members that is under way waits for; null where none is under way, or it waits for messages only */
  waitsFor: "ring" | "quorum" | "fencing" | "filesystem" | null;
  /** nodes in the change under way, or else in the last one */
  members: number[];
  /** nodes that have to be fenced before the change can end */
  fencing: number[];
}

export type ControlAnswer =
  /** `status` 0, or the errno of a refusal: positive, EOPNOTSUPP (95) where dlm_controld runs without `--enable_fscontrol` */
  | { kind: "registered"; name: string; status: number }
  /** `status` other than 0: dlm_controld has not seen the node's failure yet */
  | { kind: "notified"; name: string; node: number; status: number };

/** A file system's connection to dlm_controld (userspace-stack 2.6). */
export interface DlmControl extends Held {
  register(lockspace: string, options?: CallOptions): Promise<void>;
  unregister(lockspace: string, options?: CallOptions): Promise<void>;
  /** says that the file system has dealt with the death of a node */
  notified(lockspace: string, node: number, options?: CallOptions): Promise<void>;
  /** the next answer; one call at a time. O2CB_SERVICE_UNAVAILABLE where dlm_controld has ended. */
  next(options?: CallOptions): Promise<ControlAnswer>;
}

/** The kernel's control device after its handshake. Its last close while a volume is mounted through it restarts the machine at once. */
export interface ControlDevice extends Held {
  /** DOWN: tells the kernel that a node has died. A fortified kernel crashes on it (userspace-stack 3.1). */
  nodeDown(region: string, node: number, options?: CallOptions): Promise<void>;
}

export interface NativeStack {
  /** a value of corosync's cmap: a text as it is, an integer in decimal (nodelist.node.N.nodeid is one); null where the key is not set */
  readClusterMap(key: string, options?: CallOptions): Promise<string | null>;
  /** whether this node's partition is quorate */
  isQuorate(options?: CallOptions): Promise<boolean>;
  /** `name` has 1 to 128 bytes */
  joinProcessGroup(name: string, options?: CallOptions): Promise<ProcessGroup>;
  /** null where dlm_controld does not know the lockspace */
  lockspaceState(name: string, options?: CallOptions): Promise<LockspaceState | null>;
  connectDlmControl(options?: CallOptions): Promise<DlmControl>;
  /** the DLM's version as its control device tells it (12 bytes: three numbers of 32 bits), by the device's path */
  dlmVersion(path: string, options?: CallOptions): Promise<{ major: number; minor: number; patch: number }>;
  /**
   * Opens the control device and shakes hands: reads the list of protocols to its end, then T01, SETN and SETV, one write each.
   * O2CB_BAD_VERSION where T01 is not among them.
   */
  openControlDevice(
    path: string,
    node: number,
    version: { major: number; minor: number },
    options?: CallOptions,
  ): Promise<ControlDevice>;
  /** the number of the user at the other end of a connected Unix socket, as that was when it connected or began to listen (SO_PEERCRED) */
  peerUser(descriptor: number): number;
  /** listens on an abstract Unix stream socket of exactly this name; the descriptor, close-on-exec, non-blocking. EADDRINUSE where another does. */
  listenAbstract(name: string, backlog: number, options?: CallOptions): Promise<number>;
}
