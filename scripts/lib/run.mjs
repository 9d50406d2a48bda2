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

/**
 * Runs a program; `onLine` receives each line of its standard output, which goes to ours otherwise.
 * Resolves to `{ status, signal }`; a program that cannot be started is status 127.
 */
export async function run(program, args, { env = process.env, onLine, cwd = root } = {}) {
  const child = spawn(program, args, { cwd, env, stdio: ["ignore", onLine ? "pipe" : "inherit", "inherit"] });
  running.add(child);
  const ended = new Promise((resolve) => {
    child.once("error", () => resolve({ status: 127, signal: null }));
    child.once("close", (status, signal) => resolve({ status: status ?? 1, signal }));
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
