// A program in a volume's group and in its DLM domain: join both, lock, leave both.
//
// Facts relied on: group-api 8.1, 8.2 and K20: begin, domain, complete; and at the end domain, group. The domain pins the volume's region (1.7 of
// the kernel's ABI), so the group cannot be left before it. Unlike the C library, which forgets the group when the domain cannot be left, both are
// always tried (B21). Every reference goes with this process (SEM_UNDO) and every lock with its descriptor: what a killed process leaves is
// an empty domain and a region without references, which the next join adopts, and a reap removes.
//
// Global heartbeat works as well: then begin only checks that the cluster beats.
import { constants } from "node:os";
import { isCode, O2cbError } from "../errors.ts";
import { beginGroupJoin, type GroupMembership } from "../membership.ts";
import type { Native } from "../native-types.ts";
import { detectStack } from "../stack/detect.ts";
import type { OnStep } from "../steps.ts";
import type { Volume } from "../volume.ts";
import { withNames } from "./busy-volume.ts";
import type { HeldLock } from "./held-lock.ts";
import { LockSpace, type LockOptions } from "./lock-space.ts";
import { openTransport } from "./open-transport.ts";

export interface InitializeDlmOptions {
  /** who joins: the program's name, such as `tunefs.ocfs2` */
  service: string;
  /** load missing kernel modules; default true */
  loadModules?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

/** A volume's DLM domain, and the group under it, until `shutdown`. */
export class Dlm {
  readonly volume: Volume;
  readonly service: string;
  readonly locks: LockSpace;
  readonly #membership: GroupMembership;
  #isDomainLeft = false;
  #isGroupLeft = false;
  #work: Promise<void> | null = null;

  /** @internal */
  constructor(volume: Volume, service: string, locks: LockSpace, membership: GroupMembership) {
    this.volume = volume;
    this.service = service;
    this.locks = locks;
    this.#membership = membership;
  }

  /** the volume's UUID */
  get domain(): string {
    return this.locks.domain;
  }

  /** See LockSpace.lock. */
  lock(name: string, options?: LockOptions): Promise<HeldLock> {
    return this.locks.lock(name, options);
  }

  tryLock(name: string, options?: Omit<LockOptions, "trylock" | "timeoutMs">): Promise<HeldLock | null> {
    return this.locks.tryLock(name, options);
  }

  /**
   * Ends every lock, leaves the domain, and then the group, even where the domain could not be left: the error tells of both.
   * When it throws, what was left stays left, and the rest can be tried again. After a success it does nothing.
   * Errors: O2CB_DOMAIN_IN_USE, O2CB_REGION_IN_USE, what the kernel says.
   */
  shutdown(): Promise<void> {
    this.#work ??= this.#shutdown().finally(() => {
      this.#work = null;
    });
    return this.#work;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #shutdown(): Promise<void> {
    const failures: unknown[] = [];
    if (!this.#isDomainLeft) {
      try {
        await this.locks.leave();
        this.#isDomainLeft = true;
      } catch (error) {
        failures.push(error);
      }
    }
    if (!this.#isGroupLeft) {
      try {
        await this.#membership.leave();
        this.#isGroupLeft = true;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 2) throw both(this.domain, failures[0], failures[1]);
    if (failures.length === 1) throw failures[0];
  }
}

function both(domain: string, first: unknown, second: unknown): unknown {
  if (!(first instanceof O2cbError)) return first;
  const failure = new O2cbError(
    first.code,
    `${first.message}; and the group of '${domain}' could not be left either: ${(second as Error).message}`,
    { ...first, operation: "shutdown-dlm", cause: first },
  );
  failure.rollbackError = second;
  return failure;
}

/**
 * Joins a volume's group and its DLM domain. On failure nothing is held and nothing is left.
 * Errors: those of beginGroupJoin, O2CB_VOLUME_IN_USE (a user stack's volume is mounted elsewhere: by whom), O2CB_DLM_UNAVAILABLE, O2CB_DLM_FAILED,
 * O2CB_ABORTED.
 */
export async function initializeDlm(
  native: Native,
  volume: Volume,
  options: InitializeDlmOptions,
): Promise<Dlm> {
  const { service, loadModules, signal, onStep } = options;
  const join = await beginGroupJoin(native, {
    volume,
    service,
    loadModules,
    signal,
    onStep,
    persistent: false,
  });
  let locks: LockSpace | null = null;
  try {
    const transport = await openTransport(native, volume.stack, volume.uuid, { signal, onStep });
    locks = new LockSpace(transport, { onStep });
    // A join that waits in the kernel hears no signal.
    if (signal?.aborted) throw givenUp(volume, signal.reason);
    return new Dlm(volume, service, locks, await join.complete(0));
  } catch (error) {
    const told = await withNames(native, volume, error, signal).catch((end: unknown) => end);
    const failure = isCode(told, "O2CB_ABORTED") ? givenUp(volume, told) : told;
    for (const undo of [() => locks?.leave(), () => join.complete(errnoOf(failure))]) {
      try {
        await undo();
      } catch (rollbackError) {
        if (failure instanceof O2cbError) failure.rollbackError ??= rollbackError;
      }
    }
    throw failure;
  }
}

/** The end of what `initializeDlm` began; for those who name their calls by the original's. */
export function shutdownDlm(dlm: Dlm): Promise<void> {
  return dlm.shutdown();
}

export interface OpenLockSpaceOptions {
  /** any name that a domain can have, up to 63 bytes; a volume's UUID is that volume's domain */
  domain: string;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

/**
 * Joins a domain of a program's own. No group is joined: that this node heartbeats, and goes on to, is the caller's business (a
 * started service, a mount, global heartbeat), and only a domain named after a local region keeps that region.
 * Errors: O2CB_INVALID_DOMAIN_NAME, O2CB_DLM_UNAVAILABLE, O2CB_DLM_FAILED (no heartbeat, among others), O2CB_ABORTED.
 */
export async function openLockSpace(native: Native, options: OpenLockSpaceOptions): Promise<LockSpace> {
  const { domain, signal, onStep } = options;
  const { stack } = await detectStack(native, { loadModules: false, signal, onStep });
  const transport = await openTransport(native, stack, domain, { signal, onStep });
  if (signal?.aborted) {
    await transport.leave();
    throw new O2cbError("O2CB_ABORTED", `joining the DLM domain '${domain}' was given up`, {
      operation: "join-domain",
      outcome: "rolled-back",
      cause: signal.reason,
    });
  }
  return new LockSpace(transport, { onStep });
}

function givenUp(volume: Volume, cause: unknown): O2cbError {
  return new O2cbError("O2CB_ABORTED", `joining the DLM domain of '${volume.device}' was given up`, {
    operation: "initialize-dlm",
    region: volume.uuid,
    outcome: "rolled-back",
    cause,
  });
}

function errnoOf(error: unknown): number {
  const errno = (error as { errno?: unknown }).errno;
  return typeof errno === "number" && errno !== 0 ? Math.abs(errno) : constants.errno.EIO;
}
