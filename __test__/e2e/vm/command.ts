// A command that runs in a machine, as the host sees it. Its outputs are files on the share, which the host reads as they grow.
import { closeSync, openSync, readSync } from "node:fs";
import { constants } from "node:os";
import { StringDecoder } from "node:string_decoder";
import { deferred } from "./deferred.ts";
import { LabError, tail } from "./errors.ts";

/** How a command ended. */
export interface Result {
  /** as the shell counts: 128 + N where signal N ended it */
  readonly status: number;
  /** the signal's name, where `status` says one (a program that exits with such a status by itself looks the same) */
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** duration in milliseconds by the machine's clock, in steps of 10 */
  readonly ms: number;
  /** start in milliseconds since the machine's boot */
  readonly startedAt: number;
}

export type StreamName = "stdout" | "stderr";
/** Receives each line of a command's outputs, without its line end, as it is written. */
export type OnLine = (line: string, stream: StreamName) => void;

export interface CommandOptions {
  /** standard input; empty if omitted */
  readonly input?: string;
  /** seconds of host time after which it is killed and the call fails; none for start(), 120 for run() and try() */
  readonly limitSeconds?: number;
  readonly onLine?: OnLine;
}

/** What a command needs from its node. */
export interface CommandHost {
  readonly name: string;
  /** the host's path of the command's files, without suffix */
  readonly files: string;
  readonly text: string;
  kill(pid: number, signal: string): Promise<boolean>;
  /** what the kernel says about the tasks of a process group */
  stacks(group: number): Promise<string>;
  consoleTail(): string;
}

const SIGNALS = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
);

/** Reads a growing file by lines. */
class Follower {
  #file: number | undefined;
  readonly #path: string;
  readonly #decoder = new StringDecoder("utf8");
  #rest = "";
  text = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** Everything new, by complete lines; with `last` also an incomplete one. */
  read(line: (line: string) => void, last: boolean): void {
    const buffer = Buffer.alloc(65536);
    try {
      this.#file ??= openSync(this.#path, "r");
    } catch {
      return; // never started, or the lab is closed and its directory gone
    }
    for (;;) {
      const count = readSync(this.#file, buffer, 0, buffer.length, null);
      if (count === 0) break;
      const text = this.#decoder.write(buffer.subarray(0, count));
      this.text += text;
      const lines = (this.#rest + text).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const one of lines) line(one);
    }
    if (!last) return;
    if (this.#rest !== "") line(this.#rest);
    this.#rest = "";
    closeSync(this.#file);
  }
}

interface Waiter {
  readonly pattern: RegExp;
  readonly resolve: (match: RegExpExecArray) => void;
  readonly reject: (error: LabError) => void;
}

export class Command {
  /** settles when the command has ended, whatever its status; fails when the machine ends or the limit is exceeded */
  readonly done: Promise<Result>;
  readonly #host: CommandHost;
  readonly #started = deferred<number>();
  readonly #done = deferred<Result>();
  readonly #followers: Record<StreamName, Follower>;
  readonly #onLine: OnLine;
  readonly #waiters = new Set<Waiter>();
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(host: CommandHost, options: CommandOptions) {
    this.#host = host;
    this.#onLine = options.onLine ?? (() => {});
    this.#followers = {
      stdout: new Follower(`${host.files}.out`),
      stderr: new Follower(`${host.files}.err`),
    };
    this.done = this.#done.promise;
    if (options.limitSeconds !== undefined) {
      const seconds = options.limitSeconds;
      this.#timer = setTimeout(() => void this.#expire(seconds), seconds * 1000);
    }
  }

  /** What it has written so far. */
  get stdout(): string {
    this.follow();
    return this.#followers.stdout.text;
  }

  get stderr(): string {
    this.follow();
    return this.#followers.stderr.text;
  }

  /** The process' number in the machine: that of its group, too. */
  get pid(): Promise<number> {
    return this.#started.promise;
  }

  /**
   * Sends a signal to the command and all its children (its process group), or to its first process only. Resolves when
   * it is sent; false where nothing was left to receive it. A command given as an array of words is that first process
   * itself; one given as a string is run by a shell.
   */
  async kill(signal: NodeJS.Signals, only?: "first"): Promise<boolean> {
    const pid = await this.#started.promise;
    return !this.#over && this.#host.kill(only === "first" ? pid : -pid, signal.replace(/^SIG/, ""));
  }

  /** Waits until its outputs (taken one by one) match; fails if it ends, or after `limitSeconds` (60), without that. */
  async waitForOutput(pattern: RegExp, limitSeconds = 60): Promise<RegExpExecArray> {
    const wait = deferred<RegExpExecArray>();
    const waiter = { pattern, resolve: wait.resolve, reject: wait.reject };
    const timer = setTimeout(() => this.#refuse(waiter, `within ${limitSeconds} s`), limitSeconds * 1000);
    this.#waiters.add(waiter);
    this.follow();
    if (this.#over) this.#refuse(waiter, "before it ended");
    try {
      return await wait.promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  #refuse(waiter: Waiter, when: string): void {
    waiter.reject(
      new LabError(
        "command",
        `${this.#title()} did not write ${waiter.pattern} ${when}.\n${this.#outputs()}`,
      ),
    );
  }

  /** Reads what is new in the outputs; called by the node when a file of this command changes. */
  follow(last = false): void {
    if (this.#over && !last) return;
    for (const name of ["stdout", "stderr"] as const) {
      this.#followers[name].read((line) => this.#onLine(line, name), last);
    }
    for (const waiter of this.#waiters) {
      const match =
        waiter.pattern.exec(this.#followers.stdout.text) ?? waiter.pattern.exec(this.#followers.stderr.text);
      if (match !== null) waiter.resolve(match);
    }
  }

  /** The agent's message "started". */
  started(pid: number): void {
    this.#started.resolve(pid);
  }

  /** The agent's message "done"; times in seconds since boot. */
  finished(status: number, start: number, end: number): void {
    if (this.#over) return;
    this.#end();
    const signal = status > 128 ? (SIGNALS.get(status - 128) ?? null) : null;
    const { stdout, stderr } = this.#followers;
    const ms = Math.round((end - start) * 1000);
    this.#done.resolve({
      status,
      signal,
      stdout: stdout.text,
      stderr: stderr.text,
      ms,
      startedAt: Math.round(start * 1000),
    });
  }

  /** The machine is gone, or the limit is exceeded. */
  failed(error: LabError): void {
    if (this.#over) return;
    this.#end();
    this.#started.reject(error);
    this.#done.reject(error);
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.follow(true);
    this.#over = true;
    for (const waiter of this.#waiters) this.#refuse(waiter, "before it ended");
  }

  async #expire(seconds: number): Promise<void> {
    const silence = new Promise<string>((resolve) => {
      setTimeout(resolve, 10_000, "  (the machine does not answer)").unref();
    });
    const stacks = this.#started.promise.then((group) => this.#host.stacks(group)).catch(() => "  (unknown)");
    const where = await Promise.race([stacks, silence]);
    const message = `${this.#title()} did not end within ${seconds} s.\n${this.#outputs()}\nWhere it was:\n${where}`;
    await Promise.race([this.kill("SIGKILL").catch(() => false), silence]);
    this.failed(
      new LabError(
        "hung",
        `${message}\nConsole of ${this.#host.name} (its end):\n${this.#host.consoleTail()}`,
      ),
    );
  }

  #title(): string {
    return `${this.#host.name}: ${this.#host.text}`;
  }

  #outputs(): string {
    return outputs(this.#followers.stdout.text, this.#followers.stderr.text);
  }
}

export function outputs(stdout: string, stderr: string): string {
  return `stdout:\n${tail(stdout)}\nstderr:\n${tail(stderr)}`;
}

/** Quotes one word for the shell. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
