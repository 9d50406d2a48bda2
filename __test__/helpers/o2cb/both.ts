// One command on both o2cb, each on its own file, and what differs between them.
import { readFile, writeFile } from "node:fs/promises";
import { runO2cb } from "../../../ts/cli/o2cb-commands.ts";
import { FakeKernel } from "../fake/kernel.ts";
import { runCTool, type Outcome } from "./c-tool.ts";
import { meaningOf, type Observation } from "./known-differences.ts";

const PATH = "/etc/ocfs2/cluster.conf";

/** Ours, in this process, over a kernel that is played; its file is in memory. */
export async function runOurs(kernel: FakeKernel, argv: readonly string[]): Promise<Outcome> {
  const said = { out: [] as string[], err: [] as string[] };
  const terminal = {
    out: (line: string) => void said.out.push(`${line}\n`),
    write: (bytes: Uint8Array) => void said.out.push(String(bytes)),
    err: (line: string) => void said.err.push(`${line}\n`),
    isWatched: () => false,
  };
  const native = kernel.process();
  const status = await runO2cb([`--config-file=${PATH}`, ...argv], terminal, async () => native);
  return { status, stdout: said.out.join(""), stderr: said.err.join("") };
}

/** The two, with a file each. */
export class Both {
  readonly #kernel = new FakeKernel();
  readonly #tool: string;
  readonly #file: string;

  constructor(tool: string, file: string) {
    this.#tool = tool;
    this.#file = file;
  }

  /** The same file for both. */
  async give(text: string): Promise<void> {
    this.#kernel.addFile(PATH, text);
    await writeFile(this.#file, text);
  }

  async ourText(): Promise<string> {
    return this.#kernel.process().readAttribute(PATH);
  }

  async run(argv: readonly string[]): Promise<Observation> {
    const before = await this.ourText();
    const [c, ours] = await Promise.all([
      runCTool(this.#tool, [`--config-file=${this.#file}`, ...argv]),
      runOurs(this.#kernel, argv),
    ]);
    const text = await readFile(this.#file, "utf8");
    return { argv, before, c: { ...c, text }, ours: { ...ours, text: await this.ourText() } };
  }
}

/** What differs, in words; null where nothing does. */
export function difference({ argv, c, ours }: Observation): string | null {
  if (c.status !== ours.status) return `status ${c.status} of the C tool, ${ours.status} of ours`;
  const isListing = (argv[0] ?? "").startsWith("list-");
  if (isListing && c.status === 0 && c.stdout !== ours.stdout)
    return `listing\n${c.stdout}of the C tool,\n${ours.stdout}of ours`;
  const [theirs, mine] = [meaningOf(c.text), meaningOf(ours.text)];
  return theirs === mine ? null : `file\n${theirs} of the C tool,\n${mine} of ours`;
}
