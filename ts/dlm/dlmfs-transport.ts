// Locks of the classic stack: a domain is a directory in dlmfs, a lock is a file in it.
//
// Facts relied on: group-api 8.6, 8.8 and K18 (what the C tools do, beside which this works: names, levels, the context lock that keeps
// the directory there), B20 (the two races of joining), kernel-abi 5 and its surprises. A lock belongs to the node: so before dlmfs is
// touched, a place in a file in /run keeps the other processes of this package away. C tools on this node are not kept away by it.
import { randomBytes } from "node:crypto";
import { errnoName, isCode, isErrno, O2cbError } from "../errors.ts";
import type { CallOptions, DlmLock, LockLevel, Native, RangeLock } from "../native-types.ts";
import { pause } from "../pause.ts";
import { emit, type OnStep } from "../steps.ts";
import { clearDomain, dlmfsCapabilities, findDlmfs, rangeFile } from "./dlmfs.ts";
import type { AcquireOptions, LockTransport, Reservation, TransportLock } from "./lock-transport.ts";
import { checkDomain, checkLockName, placeOf } from "./names.ts";

/** dlmfs's value block */
const VALUE_BYTES = 64;
/** How often a join begins again because somebody left just then; the pauses double from 5 ms. */
const MOST_ATTEMPTS = 8;

export interface JoinDomainOptions {
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

/**
 * Joins a domain; this node becomes a member with its first user. That a heartbeat runs is the caller's business.
 * Errors: O2CB_INVALID_DOMAIN_NAME, O2CB_DLM_UNAVAILABLE, O2CB_DLM_FAILED (with what the errno means), O2CB_ABORTED.
 */
export async function joinDlmfs(
  native: Native,
  domain: string,
  options: JoinDomainOptions = {},
): Promise<DlmfsTransport> {
  checkDomain(domain);
  const { signal, onStep } = options;
  const root = await findDlmfs(native, signal);
  const capabilities = await dlmfsCapabilities(native);
  const directory = `${root.replace(/\/$/, "")}/${domain}`;
  emit(onStep, { step: "join-domain", domain, path: directory });
  for (let attempt = 1; ; attempt += 1) {
    const isMade = await makeDomain(native, directory, domain, signal);
    const path = `${directory}/.${randomBytes(8).toString("hex")}`;
    try {
      const context = await native.openDlmLock(path, "PR", false, { signal });
      return new DlmfsTransport(native, domain, directory, context as DlmLock, capabilities, onStep);
    } catch (error) {
      // Whoever was in the domain has just left, and its directory with it.
      if (isErrno(error, "ENOENT") && attempt < MOST_ATTEMPTS) {
        await pause(5 * 2 ** (attempt - 1), signal);
        continue;
      }
      await giveBack(native, isMade ? directory : null, path, error);
      throw explained(error, domain, directory, "the context lock cannot be had");
    }
  }
}

/** Whether the directory was made by this call. */
async function makeDomain(
  native: Native,
  directory: string,
  domain: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await native.makeDirectory(directory, { signal });
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    if (signal?.aborted && !isCode(error, "O2CB_ABORTED"))
      throw new O2cbError("O2CB_ABORTED", `joining the DLM domain '${domain}' was given up`, {
        operation: "join-domain",
        path: directory,
        cause: error,
      });
    throw explained(error, domain, directory, joinReason(errnoName(error)));
  }
}

/** The file may be there without its lock; the directory goes where this join had made it. */
async function giveBack(
  native: Native,
  directory: string | null,
  context: string,
  error: unknown,
): Promise<void> {
  try {
    if (directory === null) await native.unlinkDlmLock(context);
    else await clearDomain(native, directory);
  } catch (rollbackError) {
    if (error instanceof O2cbError) error.rollbackError ??= rollbackError;
  }
}

/** What the kernel's errno on mkdir means (kernel-abi 5). */
function joinReason(errno: string | undefined): string {
  switch (errno) {
    case "EINVAL":
      return "this node is not configured or does not heartbeat, or another node's heartbeat regions or nodes differ from this one's";
    case "ENOTCONN":
      return "a node that heartbeats cannot be reached over the cluster's network";
    case "EPROTO":
      return "another node speaks an incompatible locking protocol";
    case "EBUSY":
    case "ENOENT":
      return "the kernel's cluster stack is not ready";
    default:
      return "the kernel refused";
  }
}

function explained(error: unknown, domain: string, path: string, reason: string): unknown {
  if (!(error instanceof O2cbError)) return error;
  if (["O2CB_ABORTED", "O2CB_PERMISSION_DENIED", "O2CB_NO_MEMORY"].includes(error.code)) return error;
  const failure = new O2cbError(
    "O2CB_DLM_FAILED",
    `the DLM domain '${domain}' cannot be joined: ${reason} (${errnoName(error) ?? error.message})`,
    {
      operation: "join-domain",
      path,
      errno: error.errno,
      syscall: error.syscall,
      kernelMessages: error.kernelMessages,
      cause: error,
    },
  );
  failure.rollbackError = error.rollbackError;
  return failure;
}

export class DlmfsTransport implements LockTransport {
  readonly kind = "dlmfs";
  readonly domain: string;
  readonly valueBytes = VALUE_BYTES;
  readonly canNotify: boolean;
  /** the domain's directory */
  readonly directory: string;
  /** words of dlmfs, `bast` and `stackglue` on every kernel since 2.6.32 or so */
  readonly capabilities: readonly string[];
  readonly #native: Native;
  readonly #context: DlmLock;
  readonly #held = new Set<DlmfsLock>();
  readonly #places = new WeakMap<Reservation, RangeLock>();
  readonly #onStep: OnStep | undefined;
  #isWarned = false;

  constructor(
    native: Native,
    domain: string,
    directory: string,
    context: DlmLock,
    capabilities: readonly string[],
    onStep: OnStep | undefined,
  ) {
    this.#native = native;
    this.domain = domain;
    this.directory = directory;
    this.#context = context;
    this.capabilities = capabilities;
    this.canNotify = capabilities.includes("bast");
    this.#onStep = onStep;
  }

  async reserve(name: string, level: LockLevel, options: AcquireOptions): Promise<Reservation | null> {
    checkLockName(name);
    const path = rangeFile(this.domain);
    const how = { exclusive: level === "EX", wait: !options.trylock };
    try {
      const place = await this.#native.lockRange(path, placeOf(name), how, { signal: options.signal });
      if (place === null) return null;
      const reservation: Reservation = {
        isAwaited: () => place.isAwaited(),
        release: () => place.release(),
      };
      this.#places.set(reservation, place);
      return reservation;
    } catch (error) {
      if (isCode(error, "O2CB_ABORTED")) throw error;
      if (!this.#isWarned)
        emit(this.#onStep, {
          step: "exclusion-unavailable",
          domain: this.domain,
          path,
          reason: errnoName(error) ?? "unknown",
        });
      this.#isWarned = true;
      return { isAwaited: () => false, release() {} };
    }
  }

  async acquire(
    name: string,
    level: LockLevel,
    options: AcquireOptions & { reservation?: Reservation | undefined },
  ): Promise<TransportLock | null> {
    checkLockName(name);
    const path = `${this.directory}/${name}`;
    const { trylock, signal, reservation } = options;
    const file = trylock
      ? await this.#native.openDlmLock(path, level, true, { signal })
      : await this.#native.openDlmLockApart(path, level, this.#placeOf(reservation), { signal });
    if (file === null) return null;
    const lock = new DlmfsLock(this.#native, path, level, file, () => this.#held.delete(lock));
    this.#held.add(lock);
    return lock;
  }

  async leave(): Promise<void> {
    if (this.#held.size > 0)
      throw new O2cbError(
        "O2CB_DOMAIN_IN_USE",
        `this process still holds ${this.#held.size} locks of the DLM domain '${this.domain}'`,
        { operation: "leave-domain", path: this.directory },
      );
    this.#context.close();
    const began = performance.now();
    if (await clearDomain(this.#native, this.directory))
      emit(this.#onStep, {
        step: "leave-domain",
        domain: this.domain,
        milliseconds: Math.round(performance.now() - began),
      });
    else
      emit(this.#onStep, {
        step: "skip",
        what: `the end of DLM domain '${this.domain}'`,
        reason: "others on this node are in it",
      });
  }

  #placeOf(reservation: Reservation | undefined): RangeLock | null {
    return (reservation && this.#places.get(reservation)) ?? null;
  }
}

class DlmfsLock implements TransportLock {
  readonly level: LockLevel;
  readonly #native: Native;
  readonly #path: string;
  readonly #file: DlmLock;
  readonly #ended: () => void;

  constructor(native: Native, path: string, level: LockLevel, file: DlmLock, ended: () => void) {
    this.#native = native;
    this.#path = path;
    this.level = level;
    this.#file = file;
    this.#ended = ended;
  }

  async readValue(options?: CallOptions): Promise<Uint8Array | null> {
    const value = await this.#file.readValue(options);
    return value.length === VALUE_BYTES ? value : null;
  }

  writeValue(value: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#file.writeValue(value, options);
  }

  blocked(options?: CallOptions): Promise<void> {
    return this.#file.waitBlocked(options);
  }

  isBlocked(): boolean {
    return this.#file.isBlocked();
  }

  async release({ drop }: { drop: boolean }): Promise<boolean> {
    this.#file.close();
    this.#ended();
    return !drop || this.#native.unlinkDlmLock(this.#path);
  }
}
