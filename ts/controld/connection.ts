// One connection to ocfs2_controld: a frame goes with one write, and each question waits for its answer, for so long and no longer.
//
// Facts relied on (userspace-stack 1.1, 1.4, 1.5): a frame that arrives in pieces is lost to the daemon, or stalls it; nothing comes unasked; the
// daemon takes the end of our stream for our death. So a connection on which anything went wrong but a refusal is of no more use, except to be
// closed, or given up.
//
// What a mounter's end means is decided by the daemon: before its STATUS it undoes the mount, after it takes the volume for mounted. `giveUp`
// tells which of both it was, where the STATUS and our end cross.
import { errnoName, isErrno, O2cbError, type O2cbErrorFields } from "../errors.ts";
import type { ByteChannel, Native } from "../native-types.ts";
import { withinLimit, type Limit } from "./limit.ts";
import { decodeFrame, encodeFrame, FRAME_BYTES } from "./frame.ts";
import { ListReader, statusNumber } from "./lists.ts";
import type { Message } from "./messages.ts";

/** the name of the daemon's abstract socket */
export const CONTROLD_SOCKET = "ocfs2_controld_sock";

/** The daemon's answer to a request: 0, or an errno; text for people. */
export interface Status {
  number: number;
  text: string;
}

/** What a list came to: its items, or the daemon's refusal. */
export type ListAnswer = { items: string[] } | { refused: Status };

/** How long the end of a connection may take, once we have ended our half: the daemon has nothing to wait for. */
const END_PATIENCE_MS = 2000;

/**
 * Errors: O2CB_SERVICE_UNAVAILABLE (nobody listens), O2CB_PERMISSION_DENIED, O2CB_TIMEOUT, O2CB_ABORTED.
 * `fields` is what every error of this connection carries.
 */
export async function connectControld(
  native: Pick<Native, "connectAbstract">,
  socket: string,
  fields: O2cbErrorFields,
  limit: Limit,
): Promise<Connection> {
  try {
    return await withinLimit("connection", limit, fields, async (signal) => {
      return new Connection(await native.connectAbstract(socket, { signal }), fields);
    });
  } catch (error) {
    if (isErrno(error, "ECONNREFUSED", "ENOENT"))
      throw new O2cbError(
        "O2CB_SERVICE_UNAVAILABLE",
        `no ocfs2_controld answers on this node (${errnoName(error)} from connect to '@${socket}')`,
        {
          ...fields,
          errno: (error as O2cbError).errno,
          syscall: "connect",
          remedy:
            "start it, after corosync and dlm_controld: systemctl start ocfs2-controld; it answers once it has joined its group",
          cause: error,
        },
      );
    if (isErrno(error, "EACCES", "EPERM"))
      throw new O2cbError(
        "O2CB_PERMISSION_DENIED",
        `this process may not connect to ocfs2_controld (${errnoName(error)} from connect to '@${socket}')`,
        { ...fields, errno: (error as O2cbError).errno, syscall: "connect", cause: error },
      );
    throw error;
  }
}

export class Connection {
  readonly #channel: ByteChannel;
  readonly #fields: O2cbErrorFields;
  #isUsable = true;
  /** of the frame that is coming, `#length` bytes are here: who gives up in the middle of one goes on there */
  #frame = new Uint8Array(FRAME_BYTES);
  #length = 0;

  constructor(channel: ByteChannel, fields: O2cbErrorFields) {
    this.#channel = channel;
    this.#fields = fields;
  }

  /** whether a question can be asked still */
  get isUsable(): boolean {
    return this.#isUsable;
  }

  /**
   * Errors: O2CB_BAD_MESSAGE (ours cannot be sent: nothing was; or the daemon's is none), O2CB_SERVICE_UNAVAILABLE (it has ended the
   * connection), O2CB_TIMEOUT, O2CB_ABORTED.
   */
  ask(message: Message, operation: string, limit: Limit): Promise<Status> {
    return this.#exchange(message, operation, limit, async (signal) => {
      const answer = await this.#receive(signal, message.keyword);
      if (answer.keyword !== "STATUS")
        throw this.#bad(`it answers ${message.keyword} with ${answer.keyword} instead of STATUS`);
      return { number: statusNumber(answer.number), text: answer.text };
    });
  }

  /** Errors: as of `ask`. */
  askList(message: Message, operation: string, limit: Limit): Promise<ListAnswer> {
    return this.#exchange(message, operation, limit, async (signal) => {
      const reader = new ListReader();
      for (;;) {
        const progress = reader.take(await this.#receive(signal, message.keyword));
        if (progress.kind === "done") return { items: progress.items };
        if (progress.kind === "refused") return { refused: { number: progress.number, text: progress.text } };
      }
    });
  }

  /**
   * Ends our half and waits for the daemon to end its own: the STATUS that it had sent before it saw our end, or null. The connection is closed
   * then. Throws nothing: a daemon that does not end its half has sent none.
   */
  async giveUp(): Promise<Status | null> {
    let last: Status | null = null;
    this.#isUsable = false;
    try {
      this.#channel.end();
      await withinLimit("end", { deadlineMs: END_PATIENCE_MS }, this.#fields, async (signal) => {
        for (;;) {
          const answer = await this.#receive(signal, "MOUNT");
          if (answer.keyword === "STATUS") last = { number: statusNumber(answer.number), text: answer.text };
        }
      });
    } catch {
      // The end of its stream is what was waited for, and whatever else comes in its place tells no more.
    }
    this.#channel.close();
    return last;
  }

  /** Twice does nothing. */
  close(): void {
    this.#isUsable = false;
    this.#channel.close();
  }

  async #exchange<T>(
    message: Message,
    operation: string,
    limit: Limit,
    answer: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const fields = { ...this.#fields, operation };
    try {
      if (!this.#isUsable) throw this.#ended("the connection to ocfs2_controld was lost before");
      // What cannot be sent does the connection no harm.
      const frame = encodeFrame(message);
      this.#isUsable = false;
      const value = await withinLimit(`answer to ${message.keyword}`, limit, fields, async (signal) => {
        if (this.#channel.buffered > 0) throw this.#bad("it has sent something that nobody had asked for");
        await this.#channel.write(frame, { signal });
        return answer(signal);
      });
      this.#isUsable = true;
      return value;
    } catch (error) {
      throw this.#lost(error, message.keyword, fields);
    }
  }

  async #receive(signal: AbortSignal, keyword: string): Promise<Message> {
    while (this.#length < FRAME_BYTES) {
      const bytes = await this.#channel.read(FRAME_BYTES - this.#length, { signal });
      if (bytes.length === 0) {
        if (this.#length > 0) throw this.#bad(`its stream ends ${this.#length} bytes into an answer`);
        throw this.#ended(`ocfs2_controld has ended the connection without an answer to ${keyword}`);
      }
      this.#frame.set(bytes, this.#length);
      this.#length += bytes.length;
    }
    this.#length = 0;
    return decodeFrame(this.#frame);
  }

  #bad(why: string): O2cbError {
    return new O2cbError("O2CB_BAD_MESSAGE", `ocfs2_controld does not speak the protocol: ${why}`, {
      ...this.#fields,
    });
  }

  #ended(what: string, fields: Partial<O2cbErrorFields> = {}): O2cbError {
    return new O2cbError("O2CB_SERVICE_UNAVAILABLE", what, {
      remedy: "look at the daemon's log for why, and start it again: systemctl start ocfs2-controld",
      ...this.#fields,
      ...fields,
    });
  }

  /** A failure of the channel in terms of the daemon; of others only the fields are this exchange's. */
  #lost(error: unknown, keyword: string, fields: O2cbErrorFields): unknown {
    if (!(error instanceof O2cbError)) return error;
    if (isErrno(error, "EPIPE", "ECONNRESET"))
      return this.#ended(
        `the connection to ocfs2_controld was lost while waiting for the answer to ${keyword} (${errnoName(error)} from ${error.syscall})`,
        { ...fields, errno: error.errno, syscall: error.syscall, cause: error },
      );
    if (error.operation === fields.operation) return error;
    return new O2cbError(error.code, error.message, {
      ...fields,
      errno: error.errno,
      syscall: error.syscall,
      remedy: error.remedy,
      cause: error.cause,
    });
  }
}
