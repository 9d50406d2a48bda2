// The contract of a cluster stack: begin, complete, leave. Public methods guard the state of a ticket, underscore hooks do
// the work; __test__/conformance runs one suite over every implementation.
//
// Facts relied on: group-api 0.3 and K13. A begin that fails holds nothing. complete(0) confirms; complete(anything else)
// undoes begin, and such a join is never left. A leave that fails keeps the membership, so that it can be tried again.
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import type { OnStep } from "../steps.ts";
import { isRegionName, type Volume } from "../volume.ts";

/** The service of everything the kernel mounts; programs use their own name (group-api K21). */
export const MOUNT_SERVICE = "ocfs2";

export interface JoinRequest {
  volume: Volume;
  /** who joins: `ocfs2` for a mount, else the program's name */
  service: string;
  /** whether the join is to outlive this process once it is complete; default: for mounts only */
  persistent?: boolean | undefined;
  /** the reference of a mount that another program is about to make, as 1.2's mount has it taken */
  handed?: boolean | undefined;
  /** the mount point, where there is one: a hint for people */
  directory?: string | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

export type TicketState = "joining" | "joined" | "left";

/** One join on its way from begin to leave. */
export interface Ticket {
  state: TicketState;
  /** a call is at work on it: states never interleave */
  busy: boolean;
  readonly region: string;
  readonly service: string;
  /** the cluster joined; null where the stack has not said */
  cluster: string | null;
  /** the directory in configfs of the region that the join relies on; null where the stack has none */
  readonly directory: string | null;
}

export abstract class ClusterStack<T extends Ticket = Ticket> {
  /** the label, 4 bytes */
  abstract readonly label: string;
  protected readonly native: Native;

  constructor(native: Native) {
    this.native = native;
  }

  /** Starts what the stack needs. On failure nothing is held. */
  async begin(request: JoinRequest): Promise<T> {
    if (!isRegionName(request.volume.uuid)) {
      throw new O2cbError(
        "O2CB_INVALID_REGION_NAME",
        `'${request.volume.uuid}' cannot name a heartbeat region`,
        { operation: "begin-join" },
      );
    }
    checkService(request.service);
    return this._begin(request);
  }

  /** result 0 confirms; anything else undoes begin. On failure the ticket stays as it was. */
  async complete(ticket: T, result: number, onStep?: OnStep): Promise<void> {
    await this.#exclusively(ticket, "complete-join", "joining", result === 0 ? "joined" : "left", () =>
      result === 0 ? this._confirm(ticket, onStep) : this._undo(ticket, onStep, Math.abs(result)),
    );
  }

  /** Ends a completed join. On failure the membership stays. */
  async leave(ticket: T, onStep?: OnStep): Promise<void> {
    await this.#exclusively(ticket, "leave", "joined", "left", () => this._leave(ticket, onStep));
  }

  protected abstract _begin(request: JoinRequest): Promise<T>;
  protected abstract _confirm(ticket: T, onStep?: OnStep): Promise<void>;
  /** `result`: the errno that the join is given up with, positive; for a daemon that wants to know */
  protected abstract _undo(ticket: T, onStep: OnStep | undefined, result: number): Promise<void>;
  protected abstract _leave(ticket: T, onStep?: OnStep): Promise<void>;

  async #exclusively(
    ticket: T,
    operation: string,
    from: TicketState,
    to: TicketState,
    work: () => Promise<void>,
  ): Promise<void> {
    const fields = { operation, region: ticket.region, clusterStack: this.label };
    if (ticket.busy)
      throw new O2cbError(
        "O2CB_JOIN_IN_PROGRESS",
        `another call is at work on the join of '${ticket.region}'`,
        fields,
      );
    if (ticket.state !== from) {
      if (ticket.state === "joining")
        throw new O2cbError(
          "O2CB_JOIN_IN_PROGRESS",
          `the join of '${ticket.region}' is not complete: complete it before leaving`,
          fields,
        );
      const what = ticket.state === "joined" ? "is complete already" : "has ended";
      throw new O2cbError("O2CB_NOT_JOINED", `the join of '${ticket.region}' ${what}`, fields);
    }
    ticket.busy = true;
    try {
      await work();
      ticket.state = to;
    } finally {
      ticket.busy = false;
    }
  }
}

/** A service travels in messages of blank-separated words (userspace-stack protocol), and a leading slash meant a mount point once. */
export function isServiceName(service: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}$/.test(service);
}

function checkService(service: string): void {
  if (!isServiceName(service)) {
    throw new TypeError(
      `'${service}' cannot be a service: a program's name of up to 64 letters, digits and ._+- is expected`,
    );
  }
}

/** Errors: O2CB_BAD_DEVICE. */
export function refuseLocal({ volume }: JoinRequest, clusterStack: string): void {
  if (!volume.isLocal) return;
  throw new O2cbError(
    "O2CB_BAD_DEVICE",
    `the volume on '${volume.device}' is formatted for one node only: it has no group to join`,
    { operation: "begin-join", path: volume.device, region: volume.uuid, clusterStack },
  );
}
