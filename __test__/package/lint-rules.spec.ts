// The direction rules really fire: each is broken on purpose in a copy of the tree's shape, and the linter has to name the
// reason at that line and at no other.
import test from "ava";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../..", import.meta.url));

interface Diagnostic {
  message: string;
  help?: string;
  filename: string;
  labels: { span: { line: number } }[];
}

/** file -> its lines, each with what the linter has to say about it, or null */
type Planted = Record<string, [line: string, reason: RegExp | null][]>;

const direction = /Nothing outside ts\/cli imports it/;
const native = /Take Native as a parameter/;
const door = /door for consumers/;
const stream = /Only ts\/cli writes to a stream/;
const status = /Only ts\/cli and bin set an exit status/;
const load = /Only ts\/native\.ts loads the native module/;
const bundled = /the installed package has no dependency/;

const planted: Planted = {
  "ts/region/below.ts": [
    ['import { a } from "../cli/command.ts";', direction],
    ['export { b } from "../cli/command.ts";', direction],
    ['export const c = await import("../cli/command.ts");', direction],
    ['import { d } from "../native.ts";', native],
    ['import { openVolume } from "../index.ts";', door],
    ['import { createRequire } from "node:module";', load],
    ['import { Option } from "clipanion";', bundled],
    ['import { stdout } from "node:process";', /Use the global process/],
    ["console.log(a, d, openVolume, createRequire, Option, stdout);", stream],
    ['process.stdout.write("");', stream],
    ['process.stderr.write("");', stream],
    ["process.exit(1);", status],
    ["process.exitCode = 1;", status],
    ['process.dlopen({ exports: {} }, "");', load],
    ["export const { stderr } = process;", stream],
  ],
  "ts/region/types.ts": [
    ['import type { Native } from "../native.ts";', null],
    ["export type E = Native;", null],
  ],
  "ts/index.ts": [
    ['import { native } from "./native.ts";', null],
    ['import { f } from "./cli/command.ts";', direction],
    ["export const g = [native, f];", null],
  ],
  "ts/native.ts": [
    ['import { createRequire } from "node:module";', null],
    ['process.dlopen({ exports: {} }, "");', null],
    ["export const native = createRequire(import.meta.url);", null],
    ["process.exit(1);", status],
  ],
  "ts/cli/command.ts": [
    ['import { native } from "../native.ts";', null],
    ['import { Option } from "clipanion";', null],
    ['import { createRequire } from "node:module";', load],
    ["process.stdout.write(String([native, Option, createRequire]));", null],
    ["process.exitCode = 1;", null],
    ['process.dlopen({ exports: {} }, "");', load],
  ],
  "scripts/anything.mjs": [
    ["console.log(1);", null],
    ["process.exit(1);", null],
  ],
};

test("each planted violation is found, with its reason, and nothing else is", (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), "ocfs2-group-lint-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  copyFileSync(path.join(repository, ".oxlintrc.json"), path.join(directory, ".oxlintrc.json"));
  for (const [name, lines] of Object.entries(planted)) {
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    writeFileSync(path.join(directory, name), lines.map(([line]) => `${line}\n`).join(""));
  }
  const oxlint = path.join(repository, "node_modules/.bin/oxlint");
  const { stdout, status: exit } = spawnSync(oxlint, ["--format=json"], { cwd: directory, encoding: "utf8" });
  t.is(exit, 1);
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: Diagnostic[] };
  const said = new Map<string, string>();
  for (const { filename, labels, message, help = "" } of diagnostics) {
    const at = `${filename}:${labels[0]?.span.line}`;
    said.set(at, `${said.get(at) ?? ""}${message} ${help}\n`);
  }
  for (const [name, lines] of Object.entries(planted)) {
    for (const [index, [line, reason]] of lines.entries()) {
      const found = said.get(`${name}:${index + 1}`) ?? "";
      if (reason === null) t.is(found, "", `${name}: ${line}`);
      else t.regex(found, reason, `${name}: ${line}`);
    }
  }
});
