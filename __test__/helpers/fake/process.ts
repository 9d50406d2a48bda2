// The machinery of a fake process: every call is numbered and logged, can be made to fail or to kill the process, and is
// silent for ever once the process is dead.
//
// What a dead process gets: asynchronous calls never settle; synchronous ones throw ProcessKilled, which no code under test can
// know; releases do nothing. So a test abandons the promise it had, and what the kernel undoes at exit is undone.
import type { ErrorCode } from "../../../ts/error-codes.ts";
import { never } from "./deferred.ts";
import { abortedCall, callKinds, errnoNumber, errorFor, Refusal, type CallName } from "./errors.ts";
import type { FakeKernel } from "./kernel.ts";
import type { Task } from "./task.ts";

export interface CallRecord {
  /** from 1 */
  readonly n: number;
  readonly name: CallName;
  readonly args: readonly unknown[];
}

/**
 * What shall happen to one call.
 * `errno`: it fails so, and nothing has happened. With `late` something has happened before it fails, which the kernel can do only in:
 * mount (the superblock was made and dies again: its call-out runs), lockRegion with create (the set is there, the lock is not), lockFile (the
 * file is there), runProgram (it ran, its status is lost), replaceFile (the new content is there, its directory not synced), writeSuperblock (it is written, and perhaps not for
 * good, or could not be read back).
 * `code`: it fails so without a system call's errno, and nothing has happened.
 * `kill`: SIGKILL arrives before the call does anything, or right after; `during` only in replaceFile: its temporary file is there.
 */
export type Fault =
  | { errno: string; late?: boolean; kernelMessages?: readonly string[] }
  | { code: ErrorCode; detail?: string }
  | { kill: "before" | "during" | "after" };

const CAN_FAIL_LATE: readonly CallName[] = [
  "mount",
  "lockRegion",
  "lockFile",
  "runProgram",
  "replaceFile",
  "writeSuperblock",
];
/** The model's releases cannot fail: close(2), shutdown(2), the removal of a watch, and a semop without sleep on a held mutex. */
export const CANNOT_FAIL: readonly CallName[] = [
  "RegionLock.release",
  "Held.release",
  "EventWatch.remove",
  "EventWatch.release",
  "DlmLock.close",
  "ProcessGroup.close",
  "ByteChannel.end",
  "ByteChannel.close",
];

export type Which =
  | number
  | CallName
  | { name: CallName; nth?: number; where?: (args: readonly unknown[]) => boolean };

interface Plan {
  which: Which;
  fault: Fault;
  matched: number;
}

/** Thrown by synchronous calls of a process that is dead. */
export class ProcessKilled extends Error {
  override readonly name = "ProcessKilled";
}

export interface CallContext {
  /** fires when the caller gives up or the process dies */
  readonly interrupt: AbortSignal;
  /** the errno of a late failure, for the calls that can have one */
  readonly late: string | null;
  /** SIGKILL comes in the middle */
  readonly dies: boolean;
}

export class FakeProcess {
  readonly kernel: FakeKernel;
  readonly task: Task;
  /** every call so far, in order */
  readonly calls: CallRecord[] = [];
  /** called with each call before anything happens */
  beforeCall: ((call: CallRecord) => void) | null = null;
  /** faults that came to pass */
  readonly fired: CallRecord[] = [];
  readonly #plans: Plan[] = [];

  constructor(kernel: FakeKernel, task: Task) {
    this.kernel = kernel;
    this.task = task;
  }

  get pid(): number {
    return this.task.pid;
  }

  get alive(): boolean {
    return this.task.alive;
  }

  /** SIGKILL. What the process held through the kernel is gone when this returns. */
  kill(): void {
    this.task.end();
  }

  /** The process ends by itself; to the kernel the same. */
  exit(): void {
    this.task.end();
  }

  /** Plans a fault: for the n-th call, for the first of a name, or for the nth of a name whose arguments fit. */
  failCall(which: Which, fault: Fault): this {
    if ("errno" in fault) errnoNumber(fault.errno);
    const name = typeof which === "number" ? null : typeof which === "string" ? which : which.name;
    if (name !== null) check(name, fault);
    this.#plans.push({ which, fault, matched: 0 });
    return this;
  }

  /** Numbers calls anew from here; faults planned so far are dropped. */
  restartCount(): void {
    this.calls.length = 0;
    this.#plans.length = 0;
  }

  /** @internal One asynchronous call, of the process or of something that it holds. */
  async call<T>(
    name: CallName,
    args: readonly unknown[],
    signal: AbortSignal | undefined,
    effect: (context: CallContext) => T | Promise<T>,
    path: string | null = pathOf(args),
  ): Promise<T> {
    const begun = this.#begin(name, args);
    if (begun === "dead") return never();
    const { fault } = begun;
    const controller = new AbortController();
    const interrupt = (): void => controller.abort();
    const forget = this.task.atExit("calls", interrupt);
    signal?.addEventListener("abort", interrupt, { once: true });
    if (signal?.aborted) interrupt();
    try {
      await this.kernel.turn();
      if (!this.alive) return await never();
      if (signal?.aborted) throw abortedCall(callKinds[name].syscall);
      const late = fault !== null && "errno" in fault && fault.late === true ? fault.errno : null;
      if (fault !== null && !("kill" in fault) && late === null) return injected(name, fault) as T;
      const dies = fault !== null && "kill" in fault && fault.kill === "during";
      const result = await effect({ interrupt: controller.signal, late, dies });
      if (dies && this.alive) throw new Error(`${name} ignored its death`);
      if (late !== null) throw new Error(`${name} ignored its late failure`);
      return await this.#unlessKilled(fault, result);
    } catch (error) {
      await this.#unlessKilled(fault, null);
      throw error instanceof Refusal ? errorFor(name, path ?? undefined, error) : error;
    } finally {
      forget();
      signal?.removeEventListener("abort", interrupt);
    }
  }

  /** One synchronous call of something that is held. */
  callNow<T>(name: CallName, args: readonly unknown[], effect: () => T): T {
    const begun = this.#begin(name, args);
    if (begun === "dead") {
      if (CANNOT_FAIL.includes(name)) return undefined as T;
      throw new ProcessKilled(`${name} of a dead process`);
    }
    const { fault } = begun;
    try {
      if (fault !== null && !("kill" in fault)) return injected(name, fault) as T;
      return effect();
    } catch (error) {
      throw error instanceof Refusal ? errorFor(name, undefined, error) : error;
    } finally {
      if (fault !== null && "kill" in fault) this.#killNow(name);
    }
  }

  #killNow(name: CallName): never {
    this.kill();
    throw new ProcessKilled(`killed after ${name}`);
  }

  /** The kill that follows a call comes before its caller hears of it, however it ended. */
  #unlessKilled<T>(fault: Fault | null, result: T): T | Promise<T> {
    if (fault !== null && "kill" in fault) this.kill();
    return this.alive ? result : never();
  }

  #begin(name: CallName, args: readonly unknown[]): "dead" | { fault: Fault | null } {
    if (!this.alive) return "dead";
    const record: CallRecord = { n: this.calls.length + 1, name, args };
    this.calls.push(record);
    this.beforeCall?.(record);
    const fault = this.#faultOf(record);
    if (fault !== null) this.fired.push(record);
    if (fault !== null && "kill" in fault && fault.kill === "before") this.kill();
    return this.alive ? { fault } : "dead";
  }

  #faultOf(record: CallRecord): Fault | null {
    let found: Fault | null = null;
    for (const plan of this.#plans) {
      if (!matches(plan, record)) continue;
      check(record.name, plan.fault);
      found ??= plan.fault;
    }
    return found;
  }
}

function matches(plan: Plan, { n, name, args }: CallRecord): boolean {
  if (typeof plan.which === "number") return plan.which === n;
  const { name: wanted, nth = 1, where } = typeof plan.which === "string" ? { name: plan.which } : plan.which;
  if (wanted !== name || where?.(args) === false) return false;
  plan.matched += 1;
  return plan.matched === nth;
}

function check(name: CallName, fault: Fault): void {
  if ("kill" in fault) {
    if (fault.kill === "during" && name !== "replaceFile")
      throw new TypeError(`${name} has no middle to be killed in`);
    return;
  }
  if (CANNOT_FAIL.includes(name)) throw new TypeError(`${name} cannot fail`);
  if ("errno" in fault && fault.late && !CAN_FAIL_LATE.includes(name))
    throw new TypeError(`the kernel cannot fail ${name} late`);
}

/** What the native module makes of an errno that is an answer; else the errno is thrown. */
function injected(name: CallName, fault: Exclude<Fault, { kill: unknown }>): unknown {
  if ("code" in fault) throw new Refusal(null, { code: fault.code, detail: fault.detail });
  if (name === "claimDevice" && fault.errno === "EBUSY") return null;
  if (name === "openDlmLock" && fault.errno === "ETXTBSY") return null;
  if (name === "unlinkDlmLock" && fault.errno === "EBUSY") return false;
  if (name === "regionSemaphores" && ["ENOENT", "EINVAL", "EIDRM"].includes(fault.errno)) return null;
  throw new Refusal(fault.errno, { kernelMessages: fault.kernelMessages });
}

function pathOf(args: readonly unknown[]): string | null {
  return typeof args[0] === "string" ? args[0] : null;
}
