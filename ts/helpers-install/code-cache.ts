// V8's code cache for each command, made by the node that will run it: with it a command starts without compiling.
//
// Facts relied on: ts/cli/start.ts says what a cache is called (by program and node) and what is in it; another node, or
// another program, finds no cache of its name and compiles. Two runs make different bytes, so an existing one is kept. A node
// that cannot run here makes none, which costs time and nothing else.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

export interface CodeCache {
  name: string;
  data: Uint8Array;
}

const SCRIPT = `
const { codeCacheFile, codeCache } = require(process.argv[1]);
const name = codeCacheFile();
const data = process.argv[2] === "name" ? "" : codeCache().toString("base64");
process.stdout.write(JSON.stringify({ name, data }));
`;

/** The cache of one bundle; `locate` gives the path where a file of the runtime's directory is placed. */
export function codeCacheOf(
  bundle: string,
  node: string,
  locate: (name: string) => string,
): CodeCache | null {
  const named = ask(node, bundle, "name");
  if (named === null) return null;
  const placed = locate(named.name);
  if (existsSync(placed)) return { name: named.name, data: readFileSync(placed) };
  const made = ask(node, bundle, "data");
  return made === null ? null : { name: made.name, data: Buffer.from(made.data, "base64") };
}

function ask(node: string, bundle: string, what: "name" | "data"): { name: string; data: string } | null {
  const { status, stdout } = spawnSync(node, ["-e", SCRIPT, bundle, what], {
    encoding: "utf8",
    env: { PATH: "/usr/bin:/bin" },
    maxBuffer: 64 * 1024 * 1024,
    timeout: 60_000,
  });
  if (status !== 0) return null;
  const answer = JSON.parse(stdout) as { name: string; data: string };
  return /^[\w.-]+\.cache$/.test(answer.name) ? answer : null;
}
