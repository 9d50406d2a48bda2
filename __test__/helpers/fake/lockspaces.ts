// fs/dlm as a mount on a userspace stack meets it: what dlm_controld has told the kernel, who holds the lockspace of a volume's name, and the wait
// for quorum and fencing inside mount(2).
//
// Facts relied on: userspace-stack 3.2 (mount(2) makes the lockspace, exclusively), 6.1 (the wait reaches no signal and ends with quorum), 6.3 (tools), 8
// (errnos), 9.5 (configfs). dlm_controld is told by the kernel: its list has the lockspaces of mounts.
//
// Not modelled: locks, recovery, what a tool's own lockspace does (fsdlm.ts).
import type { LockspaceState } from "../../../ts/native-types.ts";
import { deferred, type Deferred } from "./deferred.ts";
import { refuse } from "./errors.ts";
import type { StackServices } from "./stack-services.ts";
import { directory, textFile, type DirectoryNode } from "./tree.ts";

export interface DlmClusterSettings {
  /** empty in the mode without callbacks */
  clusterName: string;
  recoverCallbacks: 0 | 1;
}

export class Lockspaces {
  /** configfs `dlm/cluster`; null: dlm_controld has not been started */
  settings: DlmClusterSettings | null = null;
  /** dlm_controld died and left its settings behind */
  isOrphaned = false;
  /** a control daemon has shaken hands with the kernel */
  isDaemonReady = false;
  /** volumes whose lockspace a tool has, by UUID: on this machine, or on another */
  readonly tools = new Map<string, "here" | "elsewhere">();
  /** those of mounts */
  readonly joined = new Set<string>();
  /** how the wait of a mount looks that cannot be let in yet; null: mounts are let in */
  #blocked: Partial<LockspaceState> | null = null;
  #unblocked: Deferred<void> = deferred<void>();
  /** mounts that wait */
  readonly waiting = new Set<string>();
  readonly #services: StackServices;

  constructor(services: StackServices) {
    this.#services = services;
  }

  get directory(): DirectoryNode {
    const { settings } = this;
    return directory({
      cluster:
        settings !== null &&
        directory({
          cluster_name: textFile(`${settings.clusterName}\n`),
          recover_callbacks: textFile(`${settings.recoverCallbacks}\n`),
        }),
    });
  }

  /** Mounts wait from now on, and dlm_controld shows why. */
  block(how: Partial<LockspaceState>): void {
    this.#blocked = how;
    for (const name of this.waiting) this.#tell(name, { isJoining: true, isStopped: true, ...how });
  }

  /** The cause has gone: the mounts that wait go on. */
  unblock(): void {
    this.#blocked = null;
    this.#unblocked.resolve();
    this.#unblocked = deferred<void>();
  }

  /** @internal by mounts, which this keeps waiting uninterruptibly */
  async join(uuid: string, cluster: string | null): Promise<void> {
    if (this.settings === null) refuse("ENOTCONN");
    if (this.isOrphaned) refuse("EUNATCH");
    if (this.settings.recoverCallbacks === 0 && !this.isDaemonReady) refuse("ESRCH");
    if (this.settings.recoverCallbacks === 1 && this.settings.clusterName !== cluster) refuse("EBADR");
    const tool = this.tools.get(uuid);
    if (tool !== undefined) refuse(tool === "here" ? "EEXIST" : "EPROTO");
    this.waiting.add(uuid);
    while (this.#blocked !== null) {
      this.#tell(uuid, { isJoining: true, isStopped: true, ...this.#blocked });
      await this.#unblocked.promise;
    }
    this.waiting.delete(uuid);
    this.joined.add(uuid);
    this.#tell(uuid, {});
  }

  /** @internal by the ends of superblocks */
  leave(uuid: string): void {
    this.joined.delete(uuid);
    this.#services.lockspaces?.delete(uuid);
  }

  #tell(name: string, state: Partial<LockspaceState>): void {
    this.#services.lockspaces?.set(name, {
      name,
      isJoining: false,
      isLeaving: false,
      isStopped: false,
      isRegistered: false,
      waitsFor: null,
      members: [1],
      fencing: [],
      ...state,
    });
  }
}
