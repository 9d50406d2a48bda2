// A readable account of what happens on each node, as it happens:
//
//     [  12.3 s] node 1  $ mount -t ocfs2 /dev/vda /vol
//     [  18.9 s] node 1  mount: heartbeat is steady
//     [  19.1 s] node 1  mount: done, 6.8 s
//
// Times are the host's, since the account began; a command's duration is the machine's.
import type { CommandOptions, Result } from "./command.ts";
import { LabError } from "./errors.ts";
import type { CommandLine, Node } from "./node.ts";

export class Account {
  readonly #write: (line: string) => void;
  readonly #from = performance.now();

  /** `write` receives each line without its line end; console.log if omitted. */
  constructor(write: (line: string) => void = (line) => console.log(line)) {
    this.#write = write;
  }

  /** One line about a node, about the lab ("lab"), or about whatever `who` is. */
  say(who: Node | string, text: string): void {
    const seconds = ((performance.now() - this.#from) / 1000).toFixed(1);
    const name = typeof who === "string" ? who : `node ${who.number}`;
    this.#write(`[${seconds.padStart(6)} s] ${name.padEnd(7)} ${text}`);
  }

  /** A `log` for Lab.boot. */
  readonly log = (line: string): void => this.say("lab", line);

  /** Runs a command with its output in the account, prefixed by `title`; fails as Node.run does. */
  async run(node: Node, title: string, line: CommandLine, options: CommandOptions = {}): Promise<Result> {
    this.say(node, `$ ${typeof line === "string" ? line : line.join(" ")}`);
    const onLine: CommandOptions["onLine"] = (text, stream) => {
      options.onLine?.(text, stream);
      this.say(node, `${title}: ${text}`);
    };
    try {
      const result = await node.run(line, { ...options, onLine });
      this.say(node, `${title}: done, ${(result.ms / 1000).toFixed(1)} s`);
      return result;
    } catch (error) {
      const text = error instanceof LabError ? (error.message.split("\n")[0] ?? "") : String(error);
      this.say(node, `${title}: failed: ${text}`);
      throw error;
    }
  }
}
