// o2cb on a fake machine, from its command line to its status; what --json prints is held to its schema.
import { readFile } from "node:fs/promises";
import type { ExecutionContext } from "ava";
import { Ajv2020 } from "ajv/dist/2020.js";
import { runO2cb, type Subcommand } from "../../../ts/cli/o2cb-commands.ts";
import type { Native } from "../../../ts/native-types.ts";
import type { FakeKernel } from "../fake-native.ts";

export const CONF = "/etc/ocfs2/cluster.conf";

export interface Ran {
  status: number;
  stdout: string[];
  stderr: string[];
  /** the last line of standard output, parsed */
  json(): { result: never; status: number };
}

/** A line is divided at its spaces; a list of words is taken as it is. */
export async function o2cb(
  machine: FakeKernel | Native,
  line: string | readonly string[],
  table?: readonly Subcommand[],
): Promise<Ran> {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const terminal = {
    out: (text: string) => void stdout.push(text),
    write: (bytes: Uint8Array) => void stdout.push(String(bytes)),
    err: (text: string) => void stderr.push(text),
    isWatched: () => false,
  };
  const argv = typeof line === "string" ? line.split(" ").filter((word) => word !== "") : line;
  const native = "process" in machine ? machine.process() : machine;
  const status = await runO2cb(argv, terminal, async () => native, table);
  return { status, stdout, stderr, json: () => JSON.parse(stdout.at(-1) ?? "") };
}

/** Runs with --json, and returns the result once it has proved to be of the schema. */
export async function o2cbJson(
  t: ExecutionContext,
  schema: string,
  machine: FakeKernel | Native,
  line: string,
): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await o2cb(machine, `${line} --json`);
  const text = await readFile(new URL(`../../../docs/schemas/${schema}.json`, import.meta.url), "utf8");
  const validate = new Ajv2020({ strict: true, strictTypes: false, allErrors: true }).compile(
    JSON.parse(text),
  );
  const last = JSON.parse(stdout.at(-1) ?? "null") as { result: Record<string, unknown>; status: number };
  t.true(
    validate(last),
    `${line}: ${JSON.stringify(validate.errors)} ${stdout.join("\n")} ${stderr.join("\n")}`,
  );
  t.is(last.status, status);
  return last.result;
}

export function fileText(kernel: FakeKernel, path: string = CONF): Promise<string> {
  return kernel.process().readAttribute(path);
}
