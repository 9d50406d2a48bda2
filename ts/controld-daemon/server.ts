// The daemon's side of the socket: any number of clients, frames of 256 bytes read as they come, one request of a client at a time.
//
// Facts relied on: userspace-stack 1.1 and 1.5. A client's requests are answered in their order, so the next frame of a connection is handed
// on when the reply to the one before has been taken. Meanwhile the connection is still read: its end has to be seen at once, since
// the client of a mount that is under way counts as dead with it.
//
// The original stalls on a client that sends part of a frame, or loses the frame; here it has some seconds for the rest. The original serves
// every user alike; here a client that is not root's may look only, and such clients cannot take all the room.
import type { Server, Socket } from "node:net";
import { FRAME_BYTES } from "../controld/frame.ts";
import type { ClientId } from "./mount-group.ts";
import { mayChange, type UserOf } from "./peer.ts";

/** More are turned away at once. */
const MOST_CLIENTS = 512;
/** of them, those that may look only */
const MOST_STRANGERS = 64;
/** Requests of one client that were sent without waiting for a reply. */
const MOST_FRAMES = 32;

export interface ServerTimes {
  /** for the rest of a frame */
  frameMs: number;
  /** for a client to take its reply */
  replyMs: number;
  /** for a client that asks nothing and mounts nothing */
  idleMs: number;
}

const times: ServerTimes = { frameMs: 5000, replyMs: 15_000, idleMs: 60_000 };

export interface Asker {
  client: ClientId;
  /** whether it may mount and unmount; it may look in any case */
  mayChange: boolean;
  /** nobody waits for a reply any more, and none is sent */
  isGone: boolean;
}

export interface ServerHandler {
  /** One at a time for each client; ends with one `reply`. */
  request(asker: Asker, frame: Uint8Array): void;
  /** once for each client, as soon as its connection has ended */
  gone(client: ClientId): void;
  /** whether the client is between a request and its result: it may be silent for as long as it likes */
  isMounting(client: ClientId): boolean;
  note(text: string): void;
}

export class ControlServer {
  readonly #handler: ServerHandler;
  readonly #userOf: UserOf;
  readonly #times: ServerTimes;
  readonly #clients = new Map<ClientId, Connection>();
  #strangers = 0;
  #last = 0;
  #isClosed = false;

  constructor(handler: ServerHandler, userOf: UserOf, given: Partial<ServerTimes> = {}) {
    this.#handler = handler;
    this.#userOf = userOf;
    this.#times = { ...times, ...given };
  }

  get size(): number {
    return this.#clients.size;
  }

  has(client: ClientId): boolean {
    return this.#clients.has(client);
  }

  /** Serves what connects to it; `server` has to be made with allowHalfOpen. */
  serve(server: Server): void {
    server.maxConnections = MOST_CLIENTS;
    server.on("connection", (socket) => this.#connect(socket));
    server.on("drop", () =>
      this.#handler.note(`a client was turned away: ${MOST_CLIENTS} are connected already`),
    );
    server.on("error", (error) => this.#handler.note(`a client could not be accepted: ${error.message}`));
  }

  /** The answer to the client's request; for one that is gone nothing happens. */
  reply(client: ClientId, frames: readonly Uint8Array[]): void {
    this.#clients.get(client)?.reply(frames);
  }

  /** Ends every connection without a word, and takes no other. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#clients.values()) connection.end();
  }

  #connect(socket: Socket): void {
    if (this.#isClosed) return void socket.destroy();
    const may = mayChange(this.#userOf(socket));
    // Said by nobody: a note for each would be a way to fill the log.
    if (!may && this.#strangers >= MOST_STRANGERS) return void socket.destroy();
    if (!may) this.#strangers += 1;
    this.#last += 1;
    const client = this.#last;
    const handler: ConnectionHandler = {
      request: (frame, isGone) => this.#handler.request({ client, mayChange: may, isGone }, frame),
      isMounting: () => this.#handler.isMounting(client),
      note: (text) => this.#handler.note(`client ${client} ${text}`),
      gone: () => {
        this.#clients.delete(client);
        if (!may) this.#strangers -= 1;
        this.#handler.gone(client);
      },
    };
    this.#clients.set(client, new Connection(socket, handler, this.#times));
  }
}

interface ConnectionHandler {
  request(frame: Uint8Array, isGone: boolean): void;
  isMounting(): boolean;
  gone(): void;
  note(text: string): void;
}

class Connection {
  readonly #socket: Socket;
  readonly #handler: ConnectionHandler;
  readonly #times: ServerTimes;
  readonly #frames: Buffer[] = [];
  #part: Buffer = Buffer.alloc(0);
  /** what a reply is owed for, or one that is on its way */
  #state: "idle" | "asked" | "replying" = "idle";
  #timer: NodeJS.Timeout | undefined;
  #isGone = false;

  constructor(socket: Socket, handler: ConnectionHandler, given: ServerTimes) {
    this.#socket = socket;
    this.#handler = handler;
    this.#times = given;
    socket.on("data", (bytes) => this.#read(bytes));
    socket.on("end", () => this.end());
    socket.on("close", () => this.end());
    // What was sent before still counts; `close` follows.
    socket.on("error", (error) => handler.note(`was lost: ${error.message}`));
    this.#watch();
  }

  reply(frames: readonly Uint8Array[]): void {
    if (this.#state !== "asked" || this.#isGone) return;
    this.#state = "replying";
    this.#socket.write(Buffer.concat(frames), (error) => {
      if (this.#state !== "replying") return;
      this.#state = "idle";
      // Where it failed, `close` follows.
      if (error) return;
      this.#next();
      this.#watch();
    });
    this.#watch();
  }

  /** The client is gone: what it had asked for before is still done where that makes sense without it. */
  end(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    clearTimeout(this.#timer);
    this.#socket.destroy();
    this.#handler.gone();
    for (const frame of this.#frames.splice(0)) this.#handler.request(frame, true);
  }

  #read(bytes: Buffer): void {
    if (this.#isGone) return;
    const isPartOld = this.#part.length > 0;
    let rest = isPartOld ? Buffer.concat([this.#part, bytes]) : bytes;
    let hasFrame = false;
    for (; rest.length >= FRAME_BYTES; rest = rest.subarray(FRAME_BYTES)) {
      hasFrame = true;
      this.#frames.push(Buffer.from(rest.subarray(0, FRAME_BYTES)));
    }
    this.#part = Buffer.from(rest);
    if (this.#frames.length > MOST_FRAMES) return this.#cut("sent requests without reading the replies");
    this.#next();
    // The deadline of a frame is that of its first byte.
    if (hasFrame || !isPartOld) this.#watch();
  }

  #next(): void {
    if (this.#state !== "idle" || this.#isGone) return;
    const frame = this.#frames.shift();
    if (frame === undefined) return;
    this.#state = "asked";
    this.#handler.request(frame, false);
  }

  /** Sets the deadline of what the client has to do now. */
  #watch(): void {
    clearTimeout(this.#timer);
    if (this.#isGone) return;
    const { frameMs, replyMs, idleMs } = this.#times;
    if (this.#state === "replying") this.#after(replyMs, () => this.#cut("does not take its reply"));
    else if (this.#part.length > 0) this.#after(frameMs, () => this.#cut("sent part of a frame only"));
    else if (this.#state === "idle")
      this.#after(idleMs, () => (this.#handler.isMounting() ? this.#watch() : this.#cut("asks for nothing")));
  }

  #after(milliseconds: number, what: () => void): void {
    this.#timer = setTimeout(what, milliseconds).unref();
  }

  #cut(why: string): void {
    this.#handler.note(`${why}: its connection is closed`);
    this.#frames.length = 0;
    this.end();
  }
}
