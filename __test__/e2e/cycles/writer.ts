// Who stays: a node that keeps a volume mounted and appends to a file, each line with fsync, while others come and go.
import { root, type VolumeName } from "../ours.ts";
import type { Command } from "../vm/command.ts";
import type { Node } from "../vm/node.ts";

const SCRIPT = `${root}__test__/e2e/guest-scripts/append.pl`;

export class Writer {
  readonly #node: Node;
  readonly #directory: string;
  readonly #command: Command;

  static async start(node: Node, { device }: VolumeName): Promise<Writer> {
    const directory = `/stay${device}`;
    await node.run(["mkdir", "-p", directory]);
    await node.run(["mount", "-t", "ocfs2", device, directory]);
    const writer = new Writer(node, directory);
    await writer.#command.waitForOutput(/writes/);
    return writer;
  }

  private constructor(node: Node, directory: string) {
    this.#node = node;
    this.#directory = directory;
    this.#command = node.start(["perl", SCRIPT, `${directory}/lines`]);
  }

  /** Ends the writing, unmounts, and says how it went; fails where a line is missing or damaged. */
  async end(): Promise<{ lines: number; pauseSeconds: number }> {
    await this.#command.kill("SIGTERM");
    const { status, stderr } = await this.#command.done;
    if (status !== 0) throw new Error(`the writer ended with status ${status}: ${stderr}`);
    const { stdout } = await this.#node.run(["perl", SCRIPT, `${this.#directory}/lines`, "check"]);
    await this.#node.run(["umount", this.#directory]);
    return JSON.parse(stdout) as { lines: number; pauseSeconds: number };
  }
}
