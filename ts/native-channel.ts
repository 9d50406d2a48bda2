// The stream behind a descriptor of the native core, over Node's own sockets: the core connects, since Node 20 cannot say an abstract name
// exactly, and Node's event loop reads and writes.
//
// Facts relied on: net.Socket takes a connected descriptor over and reads ahead by itself, up to its high-water mark; a write to a socket with
// room is one write(2), tried at once; with `allowHalfOpen` the end of one direction leaves the other alone; destroy() closes the descriptor before it
// returns.
import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { O2cbError } from "./errors.ts";
import type { ByteChannel } from "./native-channel-types.ts";
import type { CallOptions } from "./native-types.ts";

const GONE: readonly number[] = [constants.errno.EPIPE, constants.errno.ECONNRESET];

/** Takes the descriptor over, whatever happens. */
export function channelOver(fd: number): ByteChannel {
  try {
    // Late: it brings node's streams along, which few commands come to need (2 ms and 3 MB at the start of each).
    const net = process.getBuiltinModule("node:net");
    return new SocketChannel(new net.Socket({ fd, allowHalfOpen: true }));
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

class SocketChannel implements ByteChannel {
  readonly #socket: Socket;
  readonly #waiting = new Set<() => void>();
  #failure: NodeJS.ErrnoException | null = null;
  #hasEnded = false;
  #calls = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.unref();
    const wake = (): void => {
      for (const each of this.#waiting) each();
    };
    socket.on("readable", wake);
    socket.on("end", () => {
      this.#hasEnded = true;
      wake();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#failure ??= error;
      wake();
    });
    socket.on("close", wake);
  }

  get buffered(): number {
    return this.#socket.readableLength;
  }

  async write(bytes: Uint8Array, { signal }: CallOptions = {}): Promise<void> {
    // Node may still write when the caller has given up and changed its bytes.
    const own = Buffer.from(bytes);
    let isWritten = false;
    let failure: NodeJS.ErrnoException | null = null;
    await this.#call("write", signal, (wake) => {
      if (this.#socket.destroyed || this.#socket.writableEnded) throw this.#closed("write");
      this.#socket.write(own, (error) => {
        failure = error ?? null;
        isWritten = true;
        wake();
      });
      return () => {
        if (failure !== null) throw this.#converted("write", failure);
        return isWritten ? true : null;
      };
    });
  }

  read(max: number, { signal }: CallOptions = {}): Promise<Uint8Array> {
    return this.#call("read", signal, () => () => {
      const socket = this.#socket;
      const length = Math.min(max, socket.readableLength);
      // Without bytes the call makes Node notice the end of the stream.
      const bytes = socket.read(length === 0 ? undefined : length) as Buffer | null;
      return bytes ?? (this.#hasEnded ? new Uint8Array() : null);
    });
  }

  end(): void {
    this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Until `result` gives something; the loop is kept alive so long. */
  async #call<T>(
    syscall: "read" | "write",
    signal: AbortSignal | undefined,
    start: (wake: () => void) => () => T | null,
  ): Promise<T> {
    if (signal?.aborted) throw aborted(syscall, signal);
    let wake = (): void => {};
    const result = start(() => wake());
    if (this.#calls++ === 0) this.#socket.ref();
    try {
      for (;;) {
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
          this.#waiting.add(resolve);
          signal?.addEventListener("abort", wake, { once: true });
        });
        try {
          const value = result();
          if (value !== null) return value;
          if (this.#failure !== null) throw this.#converted(syscall, this.#failure);
          if (this.#socket.destroyed) throw this.#closed(syscall);
          await woken;
        } finally {
          this.#waiting.delete(wake);
          signal?.removeEventListener("abort", wake);
        }
        if (signal?.aborted) throw aborted(syscall, signal);
      }
    } finally {
      if (--this.#calls === 0) this.#socket.unref();
    }
  }

  #converted(syscall: string, error: NodeJS.ErrnoException): O2cbError {
    if (error.errno === undefined) return this.#closed(syscall, error);
    const isGone = GONE.includes(-error.errno);
    return new O2cbError(
      isGone ? "O2CB_SERVICE_UNAVAILABLE" : "O2CB_IO",
      `${syscall} of a socket: ${isGone ? "the other end is gone" : "it failed"} (${error.code} from ${syscall})`,
      { operation: `${syscall}-channel`, errno: error.errno, syscall, cause: error },
    );
  }

  #closed(syscall: string, cause?: unknown): O2cbError {
    return new O2cbError("O2CB_ABORTED", `${syscall} of a socket: it was closed here`, {
      operation: `${syscall}-channel`,
      cause,
    });
  }
}

function aborted(syscall: string, signal: AbortSignal): O2cbError {
  return new O2cbError("O2CB_ABORTED", `${syscall} of a socket: the caller gave up`, {
    operation: `${syscall}-channel`,
    cause: signal.reason,
  });
}
