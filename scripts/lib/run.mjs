// Starts other programs: from the repository's root, without a shell, without a terminal on their input.
import { spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Refusal } from "./say.mjs";

/** The repository's root directory, without a slash at its end. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

const running = new Set();

/** Ends the programs that run now; each gets SIGINT, which ava and cargo answer by ending what they started. */
export function interruptAll() {
  for (const child of running) child.kill("SIGINT");
}

/** how much of a program's standard error is kept, in UTF-16 units */
const KEPT = 2000;

/**
 * Runs a program; `onLine` receives each line of its standard output, which goes to ours otherwise.
 * Resolves to `{ status, signal, said }`; a program that cannot be started is status 127. `said` is, with `onLine`, the end of its
 * standard error, which goes to ours as well.
 */
export async function run(program, args, { env = process.env, onLine, cwd = root } = {}) {
  const kind = onLine ? "pipe" : "inherit";
  const child = spawn(program, args, { cwd, env, stdio: ["ignore", kind, kind] });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text) => {
    process.stderr.write(text);
    said = (said + text).slice(-KEPT);
  });
  running.add(child);
  const ended = new Promise((resolve) => {
    child.once("error", () => resolve({ status: 127, signal: null, said }));
    child.once("close", (status, signal) => resolve({ status: status ?? 1, signal, said }));
  });
  if (onLine) {
    for await (const line of createInterface({ input: child.stdout, crlfDelay: Infinity })) onLine(line);
  }
  const result = await ended;
  running.delete(child);
  return result;
}

/** Runs a program that must succeed; otherwise refuses with `sentence`. */
export async function must(program, args, sentence, options) {
  const { status } = await run(program, args, options);
  if (status !== 0)
    throw new Refusal(`${sentence} (${[program, ...args].join(" ")} ended with status ${status}).`);
}

/** A program's standard output without its last line end, or null where it is missing or fails. */
export function output(program, args) {
  const { status, stdout } = spawnSync(program, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return status === 0 ? stdout.trimEnd() : null;
}
