// What `npm test` counts: real ava over planted files, and recorded output of cargo.
import test from "ava";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

interface Tally {
  passed: number;
  failed: string[];
  skipped: string[];
}
interface Ended {
  status: number;
  signal: string | null;
  said: string;
}
interface Results {
  Tally: new () => Tally;
  tapReader: (tally: Tally) => { line: (text: string) => void; end: (how?: Ended) => void };
  libtestReader: Results["tapReader"];
  closingLine: (passed: number, failed: number, skipped: number) => string;
}

interface Run {
  run: (program: string, args: string[], how: { onLine: (line: string) => void }) => Promise<Ended>;
}

const repository = fileURLToPath(new URL("../..", import.meta.url));
const results = (await import(new URL("../../scripts/lib/results.mjs", import.meta.url).href)) as Results;

function tally(reader: "tapReader" | "libtestReader", text: string, how?: Ended): Tally {
  const counted = new results.Tally();
  const { line, end } = results[reader](counted);
  for (const each of text.split("\n")) line(each);
  end(how);
  return counted;
}

const files = {
  "passes.spec.ts": 'import test from "ava"; test("one # SKIP not", (t) => { t.log("1..3"); t.pass(); });',
  "fails.spec.ts":
    'import test from "ava"; test("two", (t) => t.fail()); test.todo("three"); test.skip("four (no root)", (t) => t.pass());',
  "crashes.spec.ts": 'import test from "ava"; test("five", () => process.kill(process.pid, "SIGSEGV"));',
  "empty.spec.ts": "export {};",
  "breaks.spec.ts": 'import test from "ava"; import "./nothing.ts"; test("six", (t) => t.pass());',
};

test("ava: passed, failed, skipped, to be written; a crashed, an empty and a broken file are failures", (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), "ocfs2-group-runner-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  symlinkSync(path.join(repository, "node_modules"), path.join(directory, "node_modules"));
  writeFileSync(path.join(directory, "package.json"), '{"type":"module"}');
  const config = path.join(repository, "ava.config.js");
  writeFileSync(path.join(directory, "ava.config.js"), `export { default } from ${JSON.stringify(config)};`);
  mkdirSync(path.join(directory, "__test__"));
  for (const [name, text] of Object.entries(files))
    writeFileSync(path.join(directory, "__test__", name), text);
  const ava = fileURLToPath(new URL("./cli.mjs", import.meta.resolve("ava")));
  const env: NodeJS.ProcessEnv = { ...process.env, FORCE_COLOR: "0" };
  // Set by the ava that runs this test.
  for (const name of Object.keys(env)) if (name.startsWith("AVA_")) delete env[name];
  const ran = spawnSync(process.execPath, [ava, "--tap"], { cwd: directory, encoding: "utf8", env });
  const counted = tally("tapReader", ran.stdout);
  t.is(ran.status, 1);
  t.is(counted.passed, 1, ran.stdout);
  t.deepEqual(counted.skipped.toSorted(), ["fails: four (no root)", "fails: three (to be written)"]);
  const failed = counted.failed.join("\n");
  for (const needle of [
    "fails: two",
    "crashes.spec.ts exited due to SIGSEGV",
    "empty.spec.ts",
    "breaks.spec.ts",
  ]) {
    t.true(failed.includes(needle), `${needle} is not in ${failed}`);
  }
});

test("ava: an output that ends early is a failure", (t) => {
  t.deepEqual(tally("tapReader", "TAP version 13\nok 1 - one").failed, [
    "the test runner ended before its last line",
  ]);
  t.deepEqual(tally("tapReader", "TAP version 13\nok 1 - one\n\n1..1").failed, []);
});

test("a program that is cut off says how it ended, and what it said last", async (t) => {
  const { run } = (await import(new URL("../../scripts/lib/run.mjs", import.meta.url).href)) as Run;
  const lines: string[] = [];
  const program =
    'console.log("ok 1 - one"); console.error("last words"); process.kill(process.pid, "SIGKILL");';
  const ended = await run(process.execPath, ["--eval", program], { onLine: (line) => lines.push(line) });
  t.deepEqual([lines, ended.signal, ended.said], [["ok 1 - one"], "SIGKILL", "last words\n"]);
  const counted = tally("tapReader", lines.join("\n"), ended);
  t.deepEqual(counted.failed, [
    "the test runner ended before its last line, with SIGKILL, after saying: last words",
  ]);
});

const recorded = `
running 4 tests
test one ... ok
test two - should panic ... ok
test three ... ignored, needs a device
test four ... FAILED

failures:

---- four stdout ----
test five ... ok, said the test

failures:
    four

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s


running 2 tests
test six ... noise without an end of linetest seven ... ok
ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
`;

test("cargo: several programs are summed, and output inside a result's line loses no test", (t) => {
  const counted = tally("libtestReader", recorded);
  t.is(counted.passed, 4);
  t.deepEqual(counted.failed, ["four"]);
  t.deepEqual(counted.skipped, ["three (needs a device)"]);
});

test("cargo: a program that crashes is a failure, also where others follow", (t) => {
  const crashed = "running 2 tests\ntest one ... ok\n";
  t.deepEqual(tally("libtestReader", crashed).failed, ["a test program ended before its last line"]);
  t.deepEqual(tally("libtestReader", crashed + recorded).failed.length, 2);
});

test("the closing line has one form", (t) => {
  t.is(results.closingLine(3, 0, 0), "3 passed, 0 failed");
  t.is(results.closingLine(3, 1, 2), "3 passed, 1 failed, 2 skipped");
});
