// Locks of fs/dlm through libdlm: what a lock space of a userspace cluster stack (pcmk, cman) stands on. The classic stack has dlmfs, which
// cannot make lockspaces there: the kernel compares a cluster name that dlmfs leaves empty.
//
// Facts relied on: group-api 8.6 and userspace-stack 4.4, 6.3. A volume's lockspace is its UUID. Names of more than 31 bytes and those
// with a dot first are not the C tools' (libo2dlm keeps its own under `.`). A mount's lockspace has values of 64 bytes, a program's of
// 32: two nodes with one each refuse each other with EPROTO. EUNATCH and ENOTCONN come without dlm_controld, EBADR where the names of the clusters differ.
//
// Which stack runs decides who comes here, never a file that is missing. Nothing stays cached after a release, and a lock belongs to its
// process: other processes of this node are kept out as well. A process that is killed drops its locks, not the node's membership.
import { errnoName, isCode, O2cbError, type ErrorCode } from "../errors.ts";
import type { CallOptions, LockLevel, Lockspace, LockspaceLock, Native } from "../native-types.ts";
import type { AcquireOptions, LockTransport, TransportLock } from "./lock-transport.ts";

const VALUE_BYTES = 32;
const LONGEST_LOCK_NAME = 31;
/** not in Node's table of errnos */
const EUNATCH = -49;

export class FsdlmTransport implements LockTransport {
  readonly kind = "fsdlm";
  readonly domain: string;
  readonly valueBytes = VALUE_BYTES;
  readonly canNotify = true;
  readonly canCancel = true;
  readonly #space: Lockspace;

  private constructor(domain: string, space: Lockspace) {
    this.domain = domain;
    this.#space = space;
  }

  /**
   * Joins the lockspace `domain`. It can wait for the cluster without an end.
   * Errors: O2CB_DLM_UNAVAILABLE (no libdlm, no kernel DLM, no dlm_controld), O2CB_VOLUME_IN_USE where a mount on another node has it,
   * O2CB_DOMAIN_IN_USE, O2CB_INVALID_CLUSTER_NAME, O2CB_SERVICE_UNAVAILABLE, O2CB_INVALID_DOMAIN_NAME, O2CB_DLM_FAILED.
   */
  static async join(native: Native, domain: string, options: CallOptions = {}): Promise<FsdlmTransport> {
    // Printable and without a slash: it becomes the name of a device.
    if (!/^[!-.0-~]{1,64}$/.test(domain)) {
      const message = `join lockspace: '${domain}' cannot be a lockspace's name, which has 1 to 64 printable characters and no slash`;
      throw new O2cbError("O2CB_INVALID_DOMAIN_NAME", message, { operation: "join-lockspace" });
    }
    try {
      return new FsdlmTransport(domain, await native.openLockspace(domain, options));
    } catch (error) {
      throw explained(domain, error);
    }
  }

  async acquire(
    name: string,
    level: LockLevel,
    { trylock, ...options }: AcquireOptions,
  ): Promise<TransportLock | null> {
    if (!isLockName(name)) {
      const message = `take lock: '${name}' cannot be a lock's name, which has 1 to ${LONGEST_LOCK_NAME} bytes, no slash and no dot first`;
      throw new O2cbError("O2CB_INVALID_LOCK_NAME", message, { operation: "take-lock" });
    }
    const lock = await this.#space.lock(name, level, trylock, options);
    return lock === null ? null : new FsdlmLock(level, lock);
  }

  async leave(): Promise<void> {
    await this.#space.close();
  }
}

class FsdlmLock implements TransportLock {
  readonly level: LockLevel;
  readonly #lock: LockspaceLock;

  constructor(level: LockLevel, lock: LockspaceLock) {
    this.level = level;
    this.#lock = lock;
  }

  async readValue(): Promise<Uint8Array | null> {
    return this.#lock.readValue();
  }

  async writeValue(value: Uint8Array): Promise<void> {
    if (value.length !== VALUE_BYTES)
      throw new RangeError(`a lock's value has ${VALUE_BYTES} bytes here, not ${value.length}`);
    this.#lock.writeValue(value);
  }

  blocked(options: CallOptions = {}): Promise<void> {
    return this.#lock.wanted(options);
  }

  isBlocked(): boolean {
    return this.#lock.isWanted();
  }

  /** Whether the node shall drop it is no question here: it keeps nothing. */
  async release(): Promise<boolean> {
    await this.#lock.release();
    return true;
  }
}

function isLockName(name: string): boolean {
  const bytes = Buffer.byteLength(name);
  return bytes > 0 && bytes <= LONGEST_LOCK_NAME && !name.startsWith(".") && !/[/\0]/.test(name);
}

/** The same failure with what it means here, and what to do. */
function explained(domain: string, error: unknown): unknown {
  if (!(error instanceof O2cbError)) return error;
  const as = (code: ErrorCode, what: string, remedy: string): O2cbError =>
    new O2cbError(code, `join lockspace ${domain}: ${what}`, {
      operation: "join-lockspace",
      errno: error.errno,
      syscall: error.syscall,
      remedy,
      cause: error,
    });
  if (isCode(error, "O2CB_DLM_UNAVAILABLE")) {
    return error.operation === "load-libdlm"
      ? as("O2CB_DLM_UNAVAILABLE", error.message, "install libdlm (Debian: the package libdlm3)")
      : as("O2CB_DLM_UNAVAILABLE", error.message, "load the kernel module dlm and start dlm_controld");
  }
  if (error.errno === EUNATCH || errnoName(error) === "ENOTCONN")
    return as(
      "O2CB_DLM_UNAVAILABLE",
      "the kernel's DLM is in no cluster: dlm_controld does not run on this node",
      "start corosync and dlm_controld: systemctl start corosync dlm, or the cluster's resource for dlm",
    );
  const row = REFUSALS[errnoName(error) ?? ""];
  return row === undefined ? error : as(...row);
}

/** What the kernel's bare errnos mean here (userspace-stack 6.3, 8). */
const REFUSALS: Readonly<Record<string, [code: ErrorCode, what: string, remedy: string]>> = {
  EPROTO: [
    "O2CB_VOLUME_IN_USE",
    "another node has it for a mount, and lets no program in",
    "unmount the volume on the other nodes first",
  ],
  EEXIST: [
    "O2CB_DOMAIN_IN_USE",
    "this node's kernel has it for another use, as while a mount begins or ends",
    "see who has it with dlm_tool ls, and try again",
  ],
  ENOENT: [
    "O2CB_DLM_UNAVAILABLE",
    "the kernel has it now, but its device did not appear in /dev/misc, so nobody can use it",
    "have udev run with the rules of the DLM's package, and take away what is left: dlm_tool leave, with the lockspace's name",
  ],
  EBADR: [
    "O2CB_INVALID_CLUSTER_NAME",
    "the cluster's name that came with it is not the one that the kernel's DLM has from dlm_controld",
    "compare cluster_name in corosync.conf with the volume's (o2cb inspect DEVICE)",
  ],
  ESRCH: [
    "O2CB_SERVICE_UNAVAILABLE",
    "dlm_controld leaves recovery to a control daemon (--enable_fscontrol), and none has told the kernel of itself",
    "start dlm_controld without --enable_fscontrol, or ocfs2_controld beside it",
  ],
};
