// Abstract stream sockets of the fake machine, seen from the process that connects; the server is whatever a test brings along.
//
// Facts relied on: unix(7): what was sent before an end is read first; writing to an end that is gone is EPIPE. At the end of a process
// the kernel closes its sockets, which the other side sees as the end of the stream.
import type { ByteChannel, CallOptions } from "../../../ts/native-types.ts";
import { deferred } from "./deferred.ts";
import { abortedCall, refuse, refuseWithCode } from "./errors.ts";
import type { FakeProcess } from "./process.ts";

/** The client, as the server sees it. What is sent to one that is gone is lost. */
export interface ClientSide {
  send(bytes: Uint8Array): void;
  end(): void;
}

/** What a server does about one client. */
export interface ServerSide {
  data(bytes: Uint8Array): void;
  /** the client has ended its stream, closed, or died; it comes once */
  end(): void;
}

export type Listener = (client: ClientSide) => ServerSide;

export class FakeChannel implements ByteChannel {
  readonly name: string;
  readonly #process: FakeProcess;
  readonly #server: ServerSide;
  readonly #came: Uint8Array[] = [];
  readonly #forget: () => void;
  #arrival = deferred<void>();
  #peerEnded = false;
  #ended = false;
  #closed = false;

  constructor(process: FakeProcess, name: string, listener: Listener) {
    this.name = name;
    this.#process = process;
    process.kernel.connections.add(this);
    this.#forget = process.task.atExit("files", () => this.#close());
    this.#server = listener({
      send: (bytes) => {
        if (this.#closed) return;
        this.#came.push(Uint8Array.from(bytes));
        this.#arrive();
      },
      end: () => {
        this.#peerEnded = true;
        this.#arrive();
      },
    });
  }

  get buffered(): number {
    return this.#came.reduce((sum, { length }) => sum + length, 0);
  }

  write(bytes: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#process.call("ByteChannel.write", [bytes], options?.signal, () => {
      if (this.#closed || this.#ended) refuseWithCode("O2CB_ABORTED", "it was closed here");
      if (this.#peerEnded) refuse("EPIPE");
      this.#server.data(Uint8Array.from(bytes));
    });
  }

  read(max: number, options?: CallOptions): Promise<Uint8Array> {
    return this.#process.call("ByteChannel.read", [max], options?.signal, async ({ interrupt }) => {
      for (;;) {
        const [first] = this.#came;
        if (first !== undefined) {
          if (first.length > max) this.#came[0] = first.subarray(max);
          else this.#came.shift();
          return first.subarray(0, max);
        }
        if (this.#peerEnded) return new Uint8Array();
        if (this.#closed) refuseWithCode("O2CB_ABORTED", "it was closed here");
        if (interrupt.aborted) throw abortedCall("read");
        const wake = (): void => this.#arrive();
        interrupt.addEventListener("abort", wake, { once: true });
        await this.#arrival.promise;
        interrupt.removeEventListener("abort", wake);
      }
    });
  }

  end(): void {
    this.#process.callNow("ByteChannel.end", [], () => this.#end());
  }

  close(): void {
    if (!this.#closed) this.#process.callNow("ByteChannel.close", [], () => this.#close());
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#server.end();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget();
    this.#process.kernel.connections.delete(this);
    this.#end();
    this.#arrive();
  }

  #arrive(): void {
    const { resolve } = this.#arrival;
    this.#arrival = deferred();
    resolve();
  }
}
