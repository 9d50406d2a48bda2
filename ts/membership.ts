// Joining a volume's group in three calls: begin, the caller's own work, complete; and leave at the end. One face over all
// stacks; what a stack does is in ts/stack.
//
// Facts relied on: the design of the group API (group-api 0.3). A join that was begun and is never completed is undone by
// the kernel when the process ends. For a mount, leaving happens later and usually in another process: `adoptMembership`
// makes the handle for that.
import { constants } from "node:os";
import { errnoName, isCode, O2cbError } from "./errors.ts";
import type { Native } from "./native-types.ts";
import { stackOf } from "./stack/choose.ts";
import type { ClusterStack, JoinRequest, Ticket } from "./stack/cluster-stack.ts";
import { emit, type OnStep } from "./steps.ts";

export interface JoinOptions extends JoinRequest {
  /** load missing kernel modules; default true */
  loadModules?: boolean | undefined;
}

/** What a join and a membership have in common: whose they are, and the ticket of their stack. */
abstract class GroupHandle {
  readonly region: string;
  readonly service: string;
  readonly cluster: string | null;
  /** the region's directory in configfs; null where the stack has none */
  readonly directory: string | null;
  protected readonly stack: ClusterStack;
  protected readonly ticket: Ticket;
  protected readonly onStep: OnStep | undefined;

  constructor(stack: ClusterStack, ticket: Ticket, onStep: OnStep | undefined) {
    this.stack = stack;
    this.ticket = ticket;
    this.onStep = onStep;
    this.region = ticket.region;
    this.service = ticket.service;
    this.cluster = ticket.cluster;
    this.directory = ticket.directory;
  }
}

/** A join between begin and complete. */
export class GroupJoin extends GroupHandle {
  /**
   * `0` confirms and gives the membership. An errno or an Error undoes begin and gives null.
   * When it throws, the join is as it was and complete may be called again.
   * Errors: O2CB_NOT_JOINED when called after it succeeded, O2CB_JOIN_IN_PROGRESS while another call is at work.
   */
  complete(result: 0): Promise<GroupMembership>;
  complete(result: number | Error): Promise<GroupMembership | null>;
  async complete(result: number | Error): Promise<GroupMembership | null> {
    const number = typeof result === "number" ? result : errnoOf(result);
    if (!Number.isInteger(number)) throw new TypeError("complete: 0, an errno or an Error is expected");
    if (number === 0) emit(this.onStep, { step: "complete", region: this.region, result: 0 });
    else
      emit(this.onStep, {
        step: "undo",
        region: this.region,
        reason:
          typeof result === "number" ? (errnoName({ errno: result }) ?? String(result)) : result.message,
      });
    await this.stack.complete(this.ticket, number, this.onStep);
    return number === 0 ? new GroupMembership(this.stack, this.ticket, this.onStep) : null;
  }

  /** `await using`: a join that was not completed is undone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ticket.state === "joining") await this.complete(constants.errno.ECANCELED);
  }
}

/** A completed join. */
export class GroupMembership extends GroupHandle {
  /**
   * Ends the membership; the last one of a region stops its heartbeat. When it throws, the membership stays.
   * Errors: O2CB_REGION_IN_USE while the volume is mounted or a DLM domain pins the region, O2CB_NOT_JOINED a second time.
   */
  async leave(): Promise<void> {
    await this.stack.leave(this.ticket, this.onStep);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ticket.state === "joined") await this.leave();
  }
}

/**
 * Starts what the cluster stack needs for this volume and service. On failure nothing is held and nothing is left.
 * Errors: O2CB_INVALID_STACK_NAME, O2CB_INVALID_CLUSTER_NAME, O2CB_INVALID_HEARTBEAT_MODE (the volume and the running cluster
 * differ), O2CB_MODULE_NOT_LOADED, O2CB_BAD_VERSION, O2CB_SERVICE_UNAVAILABLE, O2CB_DAEMON_REFUSED, O2CB_CONFIGURATION_ERROR, O2CB_REGION_MISMATCH, O2CB_HEARTBEAT_FAILED, O2CB_ABORTED.
 */
export async function beginGroupJoin(native: Native, options: JoinOptions): Promise<GroupJoin> {
  throwIfAborted(options.signal, "begin-join");
  try {
    const stack = await stackOf(native, options.volume, options);
    return new GroupJoin(stack, await stack.begin(options), options.onStep);
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED") && (error as O2cbError).outcome === undefined)
      throw aborted("begin-join", "rolled-back", { cause: error, region: options.volume.uuid });
    throw error;
  }
}

export function throwIfAborted(signal: AbortSignal | undefined, operation: string): void {
  if (signal?.aborted) throw aborted(operation, "rolled-back", { cause: signal.reason });
}

export function aborted(
  operation: string,
  outcome: "rolled-back" | "in-kernel",
  fields: { cause?: unknown; region?: string; settled?: Promise<unknown>; path?: string },
): O2cbError {
  const what =
    outcome === "rolled-back"
      ? "given up; what had been begun is undone"
      : "given up, but the kernel is still at work on it; it will be undone when the kernel answers";
  return new O2cbError("O2CB_ABORTED", what, { operation, outcome, ...fields });
}

function errnoOf(error: Error): number {
  const errno = (error as { errno?: unknown }).errno;
  return typeof errno === "number" && errno !== 0 ? Math.abs(errno) : constants.errno.EIO;
}
