// What follows a member's death in the mode in which recovery waits for this daemon: the kernel is told (DOWN), then dlm_controld, again and
// again until it has seen the death itself.
//
// Facts relied on: userspace-stack 2.4 (the order) and 2.6: a status other than 0 means "not seen yet". The original asks again at once,
// without a pause. DOWN before the DLM's own recovery is safe: the file system's recovery needs locks that the DLM hands out only after
// it has fenced the node. Whether DOWN may be sent at all is decided in start-checks.ts.
import type { ControlDevice, DlmControl } from "../native-types.ts";
import { pause } from "../pause.ts";
import type { DaemonEvent } from "./daemon-events.ts";
import type { Death } from "./members.ts";

const AGAIN_MS = 500;
/** How many refusals pass until people are told that it takes long. */
const TOLD_AFTER = 60;

export interface RecoveryHooks {
  tell(event: DaemonEvent): void;
  /** whether the volume's group is still there */
  has(uuid: string): boolean;
  /** it cannot be recovered */
  freeze(uuid: string, reason: string): void;
}

export class Recovery {
  readonly #device: ControlDevice;
  readonly #dlm: DlmControl;
  readonly #hooks: RecoveryHooks;
  readonly #scale: number;
  readonly #signal: AbortSignal;
  /** how often dlm_controld has said "not yet" */
  readonly #refusals = new Map<string, number>();
  #downs: Promise<void> = Promise.resolve();

  constructor(device: ControlDevice, dlm: DlmControl, hooks: RecoveryHooks, signal: AbortSignal, scale = 1) {
    this.#device = device;
    this.#dlm = dlm;
    this.#hooks = hooks;
    this.#signal = signal;
    this.#scale = scale;
  }

  /** In the order in which the deaths were told. */
  died(death: Death): void {
    this.#downs = this.#downs.then(() => this.#down(death));
  }

  /** dlm_controld's answer. */
  answered(uuid: string, node: number, status: number): void {
    const key = `${uuid} ${node}`;
    const refusals = this.#refusals.get(key);
    if (refusals === undefined) return;
    if (status === 0 || !this.#hooks.has(uuid)) {
      this.#refusals.delete(key);
      if (status === 0) this.#hooks.tell({ event: "recovered", uuid, node });
      return;
    }
    this.#refusals.set(key, refusals + 1);
    if ((refusals + 1) % TOLD_AFTER === 0)
      this.#hooks.tell({
        event: "failed",
        uuid,
        code: null,
        message: `dlm_controld has not seen the death of node ${node} yet, or not fenced it (status ${status}); the volume waits`,
      });
    void this.#again({ uuid, node });
  }

  async #down({ uuid, node }: Death): Promise<void> {
    if (this.#signal.aborted || !this.#hooks.has(uuid)) return;
    try {
      await this.#device.nodeDown(uuid, node, { signal: this.#signal });
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#hooks.freeze(uuid, `the kernel could not be told of the death of node ${node}: ${text(error)}`);
      return;
    }
    this.#refusals.set(`${uuid} ${node}`, 0);
    await this.#notify({ uuid, node });
  }

  async #again(death: Death): Promise<void> {
    await pause(AGAIN_MS * this.#scale, this.#signal);
    if (!this.#signal.aborted) await this.#notify(death);
  }

  async #notify({ uuid, node }: Death): Promise<void> {
    try {
      await this.#dlm.notified(uuid, node, { signal: this.#signal });
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#refusals.delete(`${uuid} ${node}`);
      const reason = `dlm_controld could not be told of the death of node ${node}: ${text(error)}`;
      this.#hooks.freeze(uuid, reason);
    }
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
