// fs/dlm as programs see it through libdlm: lockspaces with locks, each held by a process. One object may serve several machines,
// which are then the nodes of one cluster; a machine without one has no libdlm.
//
// Facts relied on: dlm_lock(3): PR goes with PR, EX with nothing, requests are granted in their order; NOQUEUE is refused instead of queued, without
// word to the holder; a queued request tells every holder. group-api 8.6. What a process holds goes with it. userspace-stack 6.3: what a
// mount's lockspace is to a program.
//
// Not modelled: recovery, conversions, the kernel's membership of a lockspace whose process was killed (it stays on a real node).
import type { CallOptions, LockLevel, Lockspace, LockspaceLock } from "../../../ts/native-types.ts";
import { deferred, type Deferred } from "./deferred.ts";
import { abortedCall, refuse, refuseWithCode } from "./errors.ts";
import type { FakeProcess } from "./process.ts";

const VALUE_BYTES = 32;
const MAX_NAME = 64;

class Request {
  readonly level: LockLevel;
  readonly granted = deferred<void>();
  readonly wanted = deferred<void>();
  isWanted = false;

  constructor(level: LockLevel) {
    this.level = level;
    void this.wanted.promise.then(() => {
      this.isWanted = true;
    });
  }
}

class Resource {
  /** null: lost with a holder */
  value: Uint8Array | null = new Uint8Array(VALUE_BYTES);
  readonly holders = new Set<Request>();
  readonly queue = new Set<Request>();

  ask(request: Request, trylock: boolean): boolean {
    if (this.queue.size === 0 && this.#fits(request)) {
      this.#grant(request);
      return true;
    }
    if (trylock) return false;
    this.queue.add(request);
    for (const holder of this.holders) holder.wanted.resolve();
    return true;
  }

  end(request: Request): void {
    this.holders.delete(request);
    this.queue.delete(request);
    for (const next of this.queue) {
      if (!this.#fits(next)) break;
      this.queue.delete(next);
      this.#grant(next);
    }
    if (this.queue.size > 0) for (const holder of this.holders) holder.wanted.resolve();
  }

  #fits({ level }: Request): boolean {
    return [...this.holders].every((holder) => level === "PR" && holder.level === "PR");
  }

  #grant(request: Request): void {
    this.holders.add(request);
    request.granted.resolve();
  }
}

export class Fsdlm {
  readonly #spaces = new Map<string, Map<string, Resource>>();
  /** `LOCKSPACE process PID`, one for each membership */
  readonly members: string[] = [];
  /** lockspaces that a mount has on another machine: no program's value fits beside a mount's (userspace-stack 6.3) */
  readonly mountedElsewhere = new Set<string>();

  resource(space: string, name: string): Resource {
    const locks = this.#spaces.get(space) ?? new Map<string, Resource>();
    this.#spaces.set(space, locks);
    const resource = locks.get(name) ?? new Resource();
    locks.set(name, resource);
    return resource;
  }

  /** The value of a lock is lost, as with a node that held it. */
  loseValue(space: string, name: string): void {
    this.resource(space, name).value = null;
  }
}

export function openLockspace(process: FakeProcess, name: string): Lockspace {
  checkName("O2CB_INVALID_DOMAIN_NAME", name);
  const { fsdlm } = process.kernel;
  if (fsdlm === null)
    return refuseWithCode("O2CB_DLM_UNAVAILABLE", "libdlm cannot be used: no such file", {
      operation: "load-libdlm",
    });
  if (fsdlm.mountedElsewhere.has(name)) refuse("EPROTO", { syscall: "dlm_create_lockspace" });
  return new FakeLockspace(process, fsdlm, name);
}

class FakeLockspace implements Lockspace {
  readonly #process: FakeProcess;
  readonly #dlm: Fsdlm;
  readonly #name: string;
  readonly #asked = new Set<Request>();
  readonly #forget: () => void;
  #open = true;

  constructor(process: FakeProcess, dlm: Fsdlm, name: string) {
    this.#process = process;
    this.#dlm = dlm;
    this.#name = name;
    const member = `${name} process ${process.pid}`;
    dlm.members.push(member);
    this.#forget = process.task.atExit("files", () => dlm.members.splice(dlm.members.indexOf(member), 1));
  }

  lock(
    name: string,
    level: LockLevel,
    trylock: boolean,
    options?: CallOptions,
  ): Promise<LockspaceLock | null> {
    const effect = async ({ interrupt }: { interrupt: AbortSignal }): Promise<LockspaceLock | null> => {
      checkName("O2CB_INVALID_LOCK_NAME", name);
      if (!this.#open) refuseWithCode("O2CB_DLM_FAILED", "the lockspace is closed");
      const resource = this.#dlm.resource(this.#name, name);
      const request = new Request(level);
      // A mount of this machine shares its lockspace, and keeps the locks of the super block and of its journal.
      if (trylock && level === "EX" && this.#process.kernel.lockspaces.joined.has(this.#name)) return null;
      if (!resource.ask(request, trylock)) return null;
      this.#asked.add(request);
      const end = (): void => {
        this.#asked.delete(request);
        resource.end(request);
      };
      const forget = this.#process.task.atExit("files", end);
      if (!(await grantedOr(request.granted, interrupt)) && !resource.holders.has(request)) {
        forget();
        end();
        throw abortedCall("dlm_ls_lock");
      }
      return new FakeLockspaceLock(this.#process, name, resource, request, () => {
        forget();
        end();
      });
    };
    return this.#process.call("Lockspace.lock", [name, level, trylock], options?.signal, effect, null);
  }

  close(): Promise<void> {
    return this.#process.call(
      "Lockspace.close",
      [],
      undefined,
      () => {
        if (this.#asked.size > 0)
          refuseWithCode("O2CB_DOMAIN_IN_USE", `${this.#asked.size} of its locks are held by this process`);
        if (!this.#open) return;
        this.#open = false;
        this.#forget();
        this.#dlm.members.splice(this.#dlm.members.indexOf(`${this.#name} process ${this.#process.pid}`), 1);
      },
      null,
    );
  }
}

class FakeLockspaceLock implements LockspaceLock {
  readonly #process: FakeProcess;
  readonly #name: string;
  readonly #resource: Resource;
  readonly #request: Request;
  readonly #end: () => void;
  readonly #ended = deferred<void>();
  #value: Uint8Array | null;
  #written = false;
  #held = true;

  constructor(process: FakeProcess, name: string, resource: Resource, request: Request, end: () => void) {
    this.#process = process;
    this.#name = name;
    this.#resource = resource;
    this.#request = request;
    this.#end = end;
    this.#value = resource.value;
  }

  readValue(): Uint8Array | null {
    return this.#process.callNow("LockspaceLock.readValue", [this.#name], () => {
      this.#check();
      return this.#value === null ? null : Uint8Array.from(this.#value);
    });
  }

  writeValue(value: Uint8Array): void {
    if (value.length !== VALUE_BYTES) throw new TypeError("a value of 32 bytes is needed");
    this.#process.callNow("LockspaceLock.writeValue", [this.#name, value], () => {
      this.#check();
      if (this.#request.level !== "EX")
        refuseWithCode("O2CB_DLM_FAILED", "only an exclusive lock can write its value");
      this.#value = Uint8Array.from(value);
      this.#written = true;
    });
  }

  isWanted(): boolean {
    return this.#held && this.#request.isWanted;
  }

  wanted(options?: CallOptions): Promise<void> {
    return this.#process.call(
      "LockspaceLock.wanted",
      [this.#name],
      options?.signal,
      async ({ interrupt }) => {
        this.#check();
        const { wanted } = this.#request;
        const ended = this.#ended.promise.then(() => true);
        const over = await Promise.race([grantedOr(wanted, interrupt), ended.then(() => "ended" as const)]);
        if (over === "ended") refuseWithCode("O2CB_ABORTED", "the lock is not held any more");
        if (!over) throw abortedCall("poll");
      },
      null,
    );
  }

  release(): Promise<void> {
    return this.#process.call(
      "LockspaceLock.release",
      [this.#name],
      undefined,
      () => {
        if (!this.#held) return;
        this.#held = false;
        if (this.#written) this.#resource.value = this.#value;
        this.#end();
        this.#ended.resolve();
      },
      null,
    );
  }

  #check(): void {
    if (!this.#held) refuseWithCode("O2CB_DLM_FAILED", "the lock is not held any more");
  }
}

/** False where the caller gave up first. */
async function grantedOr({ promise }: Deferred<void>, interrupt: AbortSignal): Promise<boolean> {
  const givenUp = deferred<boolean>();
  const giveUp = (): void => givenUp.resolve(false);
  interrupt.addEventListener("abort", giveUp, { once: true });
  if (interrupt.aborted) giveUp();
  try {
    return await Promise.race([promise.then(() => true), givenUp.promise]);
  } finally {
    interrupt.removeEventListener("abort", giveUp);
  }
}

function checkName(code: "O2CB_INVALID_DOMAIN_NAME" | "O2CB_INVALID_LOCK_NAME", name: string): void {
  if (name === "" || Buffer.byteLength(name) > MAX_NAME || /[/\0]/.test(name))
    refuseWithCode(code, `a name has 1 to ${MAX_NAME} bytes, without a slash, not '${name}'`);
}
