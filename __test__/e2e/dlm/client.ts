// A program in a machine that uses the DLM through the library, as the scenarios speak to it; and raw opens in dlmfs beside it.
import { randomUUID } from "node:crypto";
import { root } from "../ours.ts";
import type { Command } from "../vm/command.ts";
import type { Node } from "../vm/node.ts";

const scripts = `${root}__test__/e2e/guest-scripts`;

export interface ClientError {
  code?: string;
  message: string;
  outcome?: string;
  rollback?: string;
}

export class Client {
  readonly node: Node;
  readonly process: Command;
  readonly #fifo: string;
  #calls = 0;

  private constructor(node: Node, process: Command, fifo: string) {
    this.node = node;
    this.process = process;
    this.#fifo = fifo;
  }

  static async start(node: Node): Promise<Client> {
    const fifo = `/tmp/${randomUUID()}`;
    await node.run(["mkfifo", fifo]);
    const process = node.start(["node", `${scripts}/dlm-client.mjs`, `${root}dist/index.js`, fifo]);
    await process.waitForOutput(/"n":0,/);
    return new Client(node, process, fifo);
  }

  /** Begins a call; the answer is had with `answer`. */
  async send(what: string, ...args: unknown[]): Promise<number> {
    this.#calls += 1;
    const line = `${JSON.stringify([this.#calls, what, ...args])}\n`;
    await this.node.run(`cat >${this.#fifo}`, { input: line });
    return this.#calls;
  }

  async answer(call: number, limitSeconds = 120): Promise<{ ok?: unknown; error?: ClientError }> {
    const [line] = await this.process.waitForOutput(new RegExp(`^\\{"n":${call},.*\\}$`, "m"), limitSeconds);
    return JSON.parse(line) as { ok?: unknown; error?: ClientError };
  }

  /** The result; throws what the library threw. */
  async call<T = unknown>(what: string, ...args: unknown[]): Promise<T> {
    const { ok, error } = await this.answer(await this.send(what, ...args));
    if (error !== undefined) throw new Error(`${what}: ${error.code}: ${error.message}`);
    return ok as T;
  }

  /** The error; throws where there is none. */
  async fails(what: string, ...args: unknown[]): Promise<ClientError> {
    const { ok, error } = await this.answer(await this.send(what, ...args));
    if (error === undefined)
      throw new Error(`${what}: it should have failed, and gave ${JSON.stringify(ok)}`);
    return error;
  }

  async settled(call: number): Promise<void> {
    await this.process.waitForOutput(new RegExp(`^\\{"settled":${call}\\}$`, "m"));
  }

  /** Leaves and ends. */
  async end(): Promise<void> {
    await this.call("shutdown");
    await this.send("exit");
    await this.process.done;
  }

  async kill(): Promise<void> {
    await this.process.kill("SIGKILL");
    await this.process.done;
  }
}

/** One trylock of a program that knows nothing of us: null where it was granted (and closed again), else the errno. */
export async function rawTry(node: Node, level: "pr" | "ex", path: string): Promise<string | null> {
  const { stdout } = await node.try(`DLMFS_ONCE=1 perl ${scripts}/dlmfs.pl ${level} try ${path}`);
  return /refused .*: (\S+)/.exec(stdout)?.[1] ?? null;
}

/** A program that opens locks and holds them; say `held` to wait until it has. */
export function rawHolder(node: Node, level: "pr" | "ex", how: "try" | "wait", ...paths: string[]): Command {
  return node.start(["perl", `${scripts}/dlmfs.pl`, level, how, ...paths]);
}
