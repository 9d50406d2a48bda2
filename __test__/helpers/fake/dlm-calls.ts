// The calls of one fake process on dlmfs, and the places that keep processes of this machine apart.
//
// Facts relied on: dlm-locks.ts, range-locks.ts. A queued open in a process apart outlives this one: granted after that, it is unlinked.
import type { CallOptions, DlmLock, LockLevel, RangeLock } from "../../../ts/native-types.ts";
import { deferred } from "./deferred.ts";
import type { DlmLockState } from "./dlm-locks.ts";
import { VALUE_BYTES } from "./dlm-locks.ts";
import { DomainDirectory } from "./dlmfs.ts";
import { abortedCall, Refusal, refuse, refuseWithCode } from "./errors.ts";
import { FakeFiles } from "./files.ts";

/** Settles when the signal fires, once. */
function fired(signal: AbortSignal): { promise: Promise<void>; forget: () => void } {
  const one = deferred<void>();
  const fire = (): void => one.resolve();
  signal.addEventListener("abort", fire, { once: true });
  if (signal.aborted) fire();
  return { promise: one.promise, forget: () => signal.removeEventListener("abort", fire) };
}

export class FakeDlm extends FakeFiles {
  openDlmLock(
    path: string,
    level: LockLevel,
    trylock: boolean,
    options?: CallOptions,
  ): Promise<DlmLock | null> {
    return this.call("openDlmLock", [path, level, trylock], options?.signal, async () => {
      const { lock } = this.#lockFile(path);
      while (lock.mustWait(level)) await lock.changed;
      if (trylock && !lock.grantable(level, false)) return null;
      while (!lock.grantable(level, true)) await lock.changed;
      return this.#opened(path, lock, level);
    });
  }

  openDlmLockApart(
    path: string,
    level: LockLevel,
    place: RangeLock | null,
    options?: CallOptions,
  ): Promise<DlmLock> {
    return this.call("openDlmLockApart", [path, level], options?.signal, async () => {
      const { lock, directory, name } = this.#lockFile(path);
      const keep = place === null ? null : placesOf.get(place)?.keep();
      try {
        while (lock.mustWait(level) || !lock.grantable(level, true)) await lock.changed;
        if (this.alive) return this.#opened(path, lock, level);
        lock.open(level)();
        directory.unlink(name);
        return refuse("EIO");
      } finally {
        keep?.();
      }
    });
  }

  unlinkDlmLock(path: string, options?: CallOptions): Promise<boolean> {
    return this.call("unlinkDlmLock", [path], options?.signal, () => {
      const { directory, name } = this.task.namespace.parentOf(path, this.task);
      if (!(directory.node instanceof DomainDirectory)) return refuse("EPERM");
      try {
        directory.node.unlink(name);
        return true;
      } catch (error) {
        if (error instanceof Refusal && error.errno === "EBUSY") return false;
        if (error instanceof Refusal && error.errno === "ENOENT") return true;
        throw error;
      }
    });
  }

  lockRange(
    path: string,
    place: bigint,
    how: { exclusive: boolean; wait: boolean },
    options?: CallOptions,
  ): Promise<RangeLock | null> {
    return this.call("lockRange", [path, place, how], options?.signal, async ({ interrupt }) => {
      if (place < 0n || place >= 1n << 62n)
        refuseWithCode("O2CB_INTERNAL_FAILURE", `place ${place} is out of range`);
      const file = this.#rangeFile(path);
      const givenUp = fired(interrupt);
      const held = await this.kernel.rangeLocks.lock(file, place, how, givenUp.promise);
      givenUp.forget();
      if (held === null && how.wait) throw abortedCall("fcntl");
      if (held === null) return null;
      let users = 1;
      const letGo = (): void => {
        users -= 1;
        if (users === 0) held.release();
      };
      const range: RangeLock = {
        ...this.held([path], letGo),
        isAwaited: () => this.alive && held.isAwaited(),
      };
      placesOf.set(range, {
        keep: () => {
          users += 1;
          return letGo;
        },
      });
      return range;
    });
  }

  #lockFile(path: string): { directory: DomainDirectory; name: string; lock: DlmLockState } {
    const { directory, name } = this.task.namespace.parentOf(path, this.task);
    if (!(directory.node instanceof DomainDirectory)) return refuse("EACCES");
    return { directory: directory.node, name, lock: directory.node.create(name) };
  }

  #rangeFile(path: string): ReturnType<FakeDlm["createFile"]> {
    const parts = path.split("/").slice(0, -2);
    const grandparent = this.task.namespace.parentOf(parts.join("/"), this.task);
    if (grandparent.entry === undefined) {
      const { node } = grandparent.directory;
      if (node.kind !== "directory" || node.make === undefined) return refuse("EPERM", { syscall: "mkdir" });
      const errno = grandparent.directory.mount.fileSystem.refuses?.("grow") ?? null;
      if (errno !== null) refuse(errno, { syscall: "mkdir" });
      node.make(grandparent.name, this.task);
    }
    return this.createFile(path);
  }

  #opened(path: string, lock: DlmLockState, level: LockLevel): DlmLock {
    const end = lock.open(level);
    const forget = this.task.atExit("files", end);
    let waits = 0;
    let closed = false;
    const close = (): void => {
      if (!closed || waits > 0) return;
      forget();
      end();
    };
    const using = <T>(effect: () => T): T => {
      if (closed) refuseWithCode("O2CB_DLM_FAILED", "the lock was given up");
      return effect();
    };
    return {
      readValue: (options) =>
        this.call("DlmLock.readValue", [path], options?.signal, () =>
          using(() => Uint8Array.from(lock.value)),
        ),
      writeValue: (value, options) =>
        this.call("DlmLock.writeValue", [path], options?.signal, () =>
          using(() => {
            if (value.length !== VALUE_BYTES)
              refuseWithCode(
                "O2CB_INTERNAL_FAILURE",
                `${value.length} bytes, a value block has ${VALUE_BYTES}`,
              );
            if (level !== "EX") refuse("EBADF");
            lock.value = Uint8Array.from(value);
          }),
        ),
      waitBlocked: (options) =>
        this.call("DlmLock.waitBlocked", [path], options?.signal, async ({ interrupt }) => {
          using(() => undefined);
          waits += 1;
          const givenUp = fired(interrupt);
          try {
            while (lock.asked === null && !interrupt.aborted)
              await Promise.race([lock.changed, givenUp.promise]);
            if (lock.asked === null) throw abortedCall("poll");
          } finally {
            givenUp.forget();
            waits -= 1;
            close();
          }
        }),
      isBlocked: () => this.alive && !closed && lock.asked !== null,
      close: () => {
        if (closed) return;
        this.callNow("DlmLock.close", [path], () => {
          closed = true;
          close();
        });
      },
    };
  }
}

const placesOf = new WeakMap<RangeLock, { keep: () => () => void }>();
