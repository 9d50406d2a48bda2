// For the tests of the native module: scratch directories, pipes that block, threads seen from outside, child processes.
// Facts relied on: opening a FIFO for reading blocks until a writer comes; a worker's thread carries its operation's name (15 bytes).
import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ExecutionContext } from "ava";

/** The file system that tests may fill: OCFS2_GROUP_SCRATCH where it is set, so that it can be one with O_DIRECT. */
export function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(process.env["OCFS2_GROUP_SCRATCH"] ?? tmpdir(), "ocfs2-group-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** The path of a new FIFO. */
export function fifo(t: ExecutionContext): string {
  const path = join(scratch(t), "fifo");
  execFileSync("mkfifo", [path]);
  return path;
}

/** A region name that nothing else uses. */
export const regionName = (): string => randomBytes(16).toString("hex").toUpperCase();

/** How many threads of a process carry this name. */
export function threads(name: string, pid: number | "self" = "self"): number {
  const tasks = `/proc/${pid}/task`;
  const comm = (task: string): string => {
    try {
      return readFileSync(`${tasks}/${task}/comm`, "utf8").trim();
    } catch {
      return "";
    }
  };
  return readdirSync(tasks).filter((task) => comm(task) === name.slice(0, 15)).length;
}

/** Waits until the condition holds; for states that announce themselves nowhere. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  ms = 20_000,
): Promise<void> {
  const end = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > end) {
      throw new Error(`still not so after ${ms} ms: ${what}`);
    }
    await pause(5);
  }
}

/** The value, which is there. */
export function sure<T>(value: T | null | undefined): T {
  if (value == null) {
    throw new Error("nothing is there");
  }
  return value;
}

export interface Child {
  process: ChildProcess;
  /** the next line it writes */
  line(): Promise<string>;
  /** resolves when it has ended: its exit status, or the signal that ended it */
  ended: Promise<number | string>;
}

/**
 * A second node process that runs `script` with `native` loaded and `print(line)`; killed at the end of the test.
 * `through` is a program, with arguments, that starts it: `unshare -m`.
 */
export function child(
  t: ExecutionContext,
  script: string,
  flags: string[] = [],
  through: string[] = [],
): Child {
  const source = new URL("../../ts/native.ts", import.meta.url).href;
  const text = `import { loadNative } from ${JSON.stringify(source)};
    import { writeSync } from "node:fs";
    const native = loadNative(), print = (line) => writeSync(1, line + "\\n"), forever = () => setInterval(() => {}, 1e6);
    ${script}`;
  const node = [
    process.execPath,
    ...flags,
    "--import=@oxc-node/core/register",
    "--input-type=module",
    "-e",
    text,
  ];
  const [path = "", ...args] = [...through, ...node];
  return start(t, path, args);
}

/** A program whose lines are read; killed at the end of the test. */
export function start(t: ExecutionContext, path: string, args: string[], options: SpawnOptions = {}): Child {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const one = spawn(path, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"], ...options });
  t.teardown(() => void one.kill("SIGKILL"));
  const ended = new Promise<number | string>((resolve, reject) => {
    one.once("error", reject);
    one.once("exit", (status, signal) => resolve(status ?? signal ?? ""));
  });
  const lines = createInterface({ input: sure(one.stdout) })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => String((await lines.next()).value);
  return { process: one, line, ended };
}
