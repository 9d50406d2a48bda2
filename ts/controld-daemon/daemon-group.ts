// The group of all daemons: settles the protocol versions with the others, tells them which volumes are frozen here, and hears of deaths.
//
// Facts relied on: versions.ts. A daemon that ends while it is in the group without having left looks to the others like one that died, so
// who only started in vain leaves first.
import { O2cbError } from "../errors.ts";
import { pause } from "../pause.ts";
import { GroupLink, isMember } from "./group-link.ts";
import type { GroupChange } from "./members.ts";
import { processGroupName, type DaemonNative, type GroupMember, type ProcessGroup } from "./services.ts";
import { encodeState, isCompatible, Peers, versionText, type Versions } from "./versions.ts";

const ANSWER_PATIENCE_MS = 10_000;
const LEAVE_PATIENCE_MS = 3000;

export interface DaemonGroupHooks {
  /** every change, in order */
  changed(change: GroupChange): void;
  /** what the others tell has changed */
  heard(): void;
  note(text: string): void;
  /** corosync is gone, or has put this node out */
  lost(error: unknown): void;
}

export class DaemonGroup {
  readonly #native: DaemonNative;
  readonly #pid: number;
  readonly #most: Versions;
  readonly #hooks: DaemonGroupHooks;
  readonly #scale: number;
  readonly #peers = new Peers();
  #link: GroupLink | null = null;
  #versions: Versions | null = null;
  #frozen: readonly string[] = [];
  #sending: Promise<void> = Promise.resolve();
  #hasJoined = false;
  #isLeaving = false;
  #isLost = false;
  /** woken by whatever happens, while somebody waits for it */
  #wake: () => void = () => undefined;
  #failure: unknown = null;

  /** `most`: the newest versions that this daemon can work with. */
  constructor(native: DaemonNative, pid: number, most: Versions, hooks: DaemonGroupHooks, scale = 1) {
    this.#native = native;
    this.#pid = pid;
    this.#most = most;
    this.#hooks = hooks;
    this.#scale = scale;
  }

  /**
   * This node's number and the versions to use. Errors: O2CB_SERVICE_UNAVAILABLE, O2CB_ALREADY_RUNNING, O2CB_TIMEOUT (a daemon that does not
   * tell its versions), O2CB_BAD_VERSION; what was joined is left by `leave`.
   */
  async join(signal: AbortSignal): Promise<{ node: number; versions: Versions }> {
    this.#link = new GroupLink(this.#native, processGroupName(null), {
      failed: (error) => this.#fail(error),
      change: (change, group) => this.#change(change, group),
      message: (from, bytes) => this.#message(from, bytes),
      lost: (error) => this.#fail(error),
    });
    await this.#until(() => this.#hasJoined, signal, null);
    const silent = (): string => `node ${this.#peers.silent.map(({ node }) => node).join(", node ")}`;
    const isTold = await this.#until(
      () => this.#peers.settled !== null,
      signal,
      ANSWER_PATIENCE_MS * this.#scale,
    );
    const versions = this.#peers.settled;
    if (!isTold || versions === null)
      throw new O2cbError(
        "O2CB_TIMEOUT",
        `the control daemon of ${silent()} does not tell its protocol version: it may be another program`,
        { ...here, remedy: "run the same control daemon on all nodes" },
      );
    if (!isCompatible(this.#most, versions)) throw incompatible(this.#most, versions);
    this.#versions = versions;
    this.#announce();
    return { node: this.#node, versions };
  }

  get #node(): number {
    return this.#link?.group?.localNode ?? 0;
  }

  /** Tells the others the volumes that are frozen here, all of them. */
  announce(frozen: readonly string[]): void {
    if (frozen.join() === this.#frozen.join()) return;
    this.#frozen = [...frozen];
    this.#announce();
  }

  /** Other nodes that have the volume frozen. */
  freezers(uuid: string): number[] {
    return this.#peers.freezers(uuid).filter((node) => node !== this.#node);
  }

  /** Why nothing new may be begun: a member uses versions that this one cannot; null where all agree. */
  get disagreement(): string | null {
    const stranger = this.#peers.stranger(this.#most);
    return stranger === null
      ? null
      : `the daemon of node ${stranger.node} uses ${described(stranger.versions)}, and this one knows ${described(this.#most)} at most`;
  }

  /** Leaves, so that the others forget this daemon, and ends the connection; what fails is of no interest any more. */
  async leave(): Promise<void> {
    const link = this.#link;
    if (link?.group && this.#hasJoined && !this.#isLost) {
      this.#isLeaving = true;
      this.#failure = null;
      const end = new AbortController();
      void pause(LEAVE_PATIENCE_MS * this.#scale, end.signal).then(() => end.abort());
      try {
        await this.#sending;
        await link.group.leave({ signal: end.signal });
        await this.#until(() => !this.#hasJoined, end.signal, null);
      } catch {
        // The others will see this process as gone, and it holds nothing.
      }
      end.abort();
    }
    this.close();
    await link?.ended;
  }

  close(): void {
    this.#link?.close();
  }

  #change(change: GroupChange, group: ProcessGroup): void {
    const self = { node: group.localNode, pid: this.#pid };
    const isIn = isMember(change.members, self);
    if (!isIn && !this.#hasJoined) return;
    const isFirst = !this.#hasJoined;
    this.#hasJoined = isIn;
    this.#peers.changed(change.members);
    if (!isIn) {
      if (this.#isLeaving) this.#wake();
      else this.#fail(dropped());
      return;
    }
    const twin = change.members.find(({ node, pid }) => node === self.node && pid !== self.pid);
    if (isFirst && twin !== undefined) return this.#refuse(twin);
    this.#hooks.changed(change);
    if (isFirst || change.joined.length > 0) this.#announce();
    this.#wake();
  }

  #message(from: GroupMember, bytes: Uint8Array): void {
    if (!this.#hasJoined) return;
    if (!this.#peers.heard(from, bytes))
      this.#hooks.note(`a message of the daemon on node ${from.node} cannot be read (${bytes.length} bytes)`);
    this.#hooks.heard();
    this.#wake();
  }

  #announce(): void {
    const group = this.#link?.group;
    if (!group || !this.#hasJoined || this.#isLost) return;
    const bytes = encodeState({
      versions: this.#versions ?? this.#most,
      areSettled: this.#versions !== null,
      frozen: this.#frozen,
    });
    this.#sending = this.#sending
      .then(() => group.send(bytes))
      .catch((error: unknown) => {
        // Where the connection is lost, that is told by `next`.
        this.#hooks.note(`the other daemons could not be told: ${(error as Error).message}`);
      });
  }

  #refuse({ pid }: GroupMember): void {
    this.#failure = new O2cbError("O2CB_ALREADY_RUNNING", `another control daemon runs on this node`, {
      ...here,
      holder: pid,
    });
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#isLost = true;
    this.#failure ??= error;
    this.#wake();
    if (!this.#isLeaving) this.#hooks.lost(error);
  }

  /** False when the time is up; throws what has ended the connection. */
  async #until(isDone: () => boolean, signal: AbortSignal, patienceMs: number | null): Promise<boolean> {
    const end = new AbortController();
    const isLate = patienceMs === null ? null : pause(patienceMs, end.signal);
    let isTimeUp = false;
    void isLate?.then(() => {
      isTimeUp = true;
      this.#wake();
    });
    const wake = (): void => this.#wake();
    signal.addEventListener("abort", wake);
    try {
      for (;;) {
        if (this.#failure !== null) throw this.#failure;
        signal.throwIfAborted();
        if (isDone()) return true;
        if (isTimeUp) return false;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      signal.removeEventListener("abort", wake);
      end.abort();
    }
  }
}

const here = { operation: "start-controld" } as const;

export function dropped(): O2cbError {
  return new O2cbError("O2CB_SERVICE_UNAVAILABLE", "corosync has put this node's daemon out of its group", {
    operation: "serve-controld",
    remedy: "look at corosync's log; start this daemon again when the node is back in the cluster",
  });
}

function incompatible(most: Versions, used: Versions): O2cbError {
  return new O2cbError(
    "O2CB_BAD_VERSION",
    `the cluster's daemons use ${described(used)}, and this one knows ${described(most)} at most`,
    { ...here, remedy: "install the same version of this package, and the same kernel, on all nodes" },
  );
}

function described({ daemon, fs }: Versions): string {
  return `protocol ${versionText(daemon)} with locks ${versionText(fs)}`;
}
