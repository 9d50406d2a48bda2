// The control daemon at work on a fake machine of a fake cluster: its events as they come, and clients of it. Time spans are shortened, and
// clients reach it over streams in this process, as the fake machine's abstract sockets.
import type { EventEmitter } from "node:events";
import { Duplex } from "node:stream";
import type { Server, Socket } from "node:net";
import { ControldClient } from "../../ts/controld/client.ts";
import { CONTROLD_SOCKET } from "../../ts/controld/connection.ts";
import { decodeFrame, encodeFrame, FRAME_BYTES } from "../../ts/controld/frame.ts";
import type { Message } from "../../ts/controld/messages.ts";
import type { DaemonEvent } from "../../ts/controld-daemon/daemon-events.ts";
import { ControlDaemon, type DaemonOptions } from "../../ts/controld-daemon/daemon.ts";
import { userStack, type FakeKernel, type FakeNative } from "./fake-native.ts";
import type { ClientSide, Listener } from "./fake/channel.ts";
import type { FakeCorosync, FakeClusterNode } from "./fake/corosync.ts";
import type { UserStackSettings } from "./fake/user-setup.ts";

const SCALE = 0.004;
const LIMIT_MS = 10_000;

/** A machine of a userspace stack, as a node of the ring. */
export function addNode(
  ring: FakeCorosync,
  number: number,
  settings: UserStackSettings = { dlm: "controld", label: "pcmk" },
): FakeClusterNode {
  return ring.add(userStack(settings).kernel, number);
}

export class RunningDaemon {
  readonly node: FakeClusterNode;
  readonly native: FakeNative;
  readonly daemon: ControlDaemon;
  readonly events: DaemonEvent[] = [];
  /** settles when it has ended; with why, where that was a failure */
  readonly ended: Promise<unknown>;
  hasEnded = false;
  failure: unknown = null;

  constructor(
    node: FakeClusterNode,
    options: DaemonOptions = {},
    native: FakeNative = node.kernel.process({ name: "ocfs2_controld" }),
  ) {
    this.node = node;
    this.native = native;
    this.daemon = new ControlDaemon(native, {
      scale: SCALE,
      pid: native.pid,
      readBytes: () => null,
      listen: (server) => listenHere(server, native),
      userOf: () => 0,
      ...options,
      onEvent: (event) => {
        this.events.push(event);
        options.onEvent?.(event);
      },
    });
    native.task.atExit("files", () => node.kernel.abstractSockets.delete(CONTROLD_SOCKET));
    this.ended = this.daemon.run().then(
      () => this.#ended(null),
      (error: unknown) => this.#ended(error),
    );
  }

  #ended(error: unknown): unknown {
    this.hasEnded = true;
    this.failure = error;
    this.node.kernel.abstractSockets.delete(CONTROLD_SOCKET);
    return error;
  }

  /** Runs one until it serves. */
  static async start(node: FakeClusterNode, options: DaemonOptions = {}): Promise<RunningDaemon> {
    const running = new RunningDaemon(node, options);
    await running.until(() => running.of("ready").length > 0, "it is ready");
    return running;
  }

  of<E extends DaemonEvent["event"]>(event: E): Extract<DaemonEvent, { event: E }>[] {
    return this.events.filter((one): one is Extract<DaemonEvent, { event: E }> => one.event === event);
  }

  /** `UUID state: services`, one for each group */
  get view(): string[] {
    return this.daemon.volumes.map(({ uuid, state, services }) => `${uuid} ${state}: ${services.join(" ")}`);
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const end = Date.now() + LIMIT_MS;
    while (!condition()) {
      if (this.failure !== null) throw this.failure;
      if (Date.now() > end) throw new Error(`not in time: ${what}; events: ${JSON.stringify(this.events)}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  client(): DaemonClient {
    return new DaemonClient(this.node.kernel);
  }

  /** Our own client, in a process of the machine. */
  library(native: FakeNative = this.node.kernel.process({ name: "mount.ocfs2" })): ControldClient {
    return new ControldClient(native);
  }

  /** SIGTERM, which ends it where no volume is in use. */
  async stop(): Promise<void> {
    this.daemon.stop("SIGTERM");
    await this.ended;
    if (this.failure !== null) throw this.failure;
    this.native.exit();
  }
}

/** A server that the clients of the fake machine's abstract socket reach; the socket itself is taken, so that a call can fail. */
export async function listenHere(server: Server, native: FakeNative): Promise<void> {
  await native.listenAbstract(CONTROLD_SOCKET, 1);
  native.kernel.abstractSockets.set(CONTROLD_SOCKET, listenerOf(server));
}

export function listenerOf(server: EventEmitter): Listener {
  return (client) => {
    const stream = new ServedStream(client);
    server.emit("connection", stream as unknown as Socket);
    return {
      data: (bytes) => void stream.push(Buffer.from(bytes)),
      end: () => void stream.push(null),
    };
  };
}

class ServedStream extends Duplex {
  readonly #client: ClientSide;

  constructor(client: ClientSide) {
    super({ allowHalfOpen: true });
    this.#client = client;
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#client.send(bytes);
    done();
  }

  override _destroy(_error: Error | null, done: () => void): void {
    this.#client.end();
    done();
  }
}

/** A client that sends whatever it likes. */
export class DaemonClient {
  #bytes = Buffer.alloc(0);
  #isEnded = false;
  #woken: () => void = () => undefined;
  readonly #server: ReturnType<Listener>;

  constructor(kernel: FakeKernel) {
    const listener = kernel.abstractSockets.get(CONTROLD_SOCKET);
    if (listener === undefined) throw new Error("nobody listens");
    this.#server = listener({
      send: (bytes) => {
        this.#bytes = Buffer.concat([this.#bytes, bytes]);
        this.#woken();
      },
      end: () => {
        this.#isEnded = true;
        this.#woken();
      },
    });
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  send(message: Message): void {
    this.sendBytes(encodeFrame(message));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#server.data(bytes);
  }

  /** Its connection ends, as at the death of its process. */
  end(): void {
    this.#server.end();
  }

  /** The next message; null where the daemon has closed the connection. */
  async next(): Promise<Message | null> {
    const end = Date.now() + LIMIT_MS;
    while (this.#bytes.length < FRAME_BYTES) {
      if (this.#isEnded) return null;
      if (Date.now() > end) throw new Error("no answer in time");
      await new Promise<void>((resolve) => {
        this.#woken = resolve;
        setTimeout(resolve, 100).unref();
      });
    }
    const message = decodeFrame(this.#bytes.subarray(0, FRAME_BYTES));
    this.#bytes = this.#bytes.subarray(FRAME_BYTES);
    return message;
  }

  /** The number of the STATUS that answers. */
  async ask(message: Message): Promise<number> {
    this.send(message);
    return this.status();
  }

  async status(): Promise<number> {
    const answer = await this.next();
    if (answer?.keyword !== "STATUS") throw new Error(`no STATUS: ${JSON.stringify(answer)}`);
    return Number(answer.number);
  }
}
