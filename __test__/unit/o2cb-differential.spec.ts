// o2cb against the real one of ocfs2-tools, on the same sequences of commands: equal statuses, listings and files, but for the
// differences that docs/differences.md lists. A listed difference that is never seen is a failure, too.
//
// OCFS2_GROUP_SEED replays a run; the seed is in the titles.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import test, { type ExecutionContext } from "ava";
import { loadNative } from "../../ts/native.ts";
import { Both, difference } from "../helpers/o2cb/both.ts";
import { findCTool, runCTool, type Outcome } from "../helpers/o2cb/c-tool.ts";
import { knownDifferences, meaningOf, type Observation } from "../helpers/o2cb/known-differences.ts";
import { Random } from "../helpers/o2cb/random.ts";
import { drawCommand, drawFile } from "../helpers/o2cb/sequences.ts";

process.setMaxListeners(0);

const SEED = Number(process.env["OCFS2_GROUP_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** Always this many, and up to the other where the machine has the time. */
const SEQUENCES = 250;
const MOST = 600;
const TIME_MS = 40_000;
const LENGTH = 14;
const PARALLEL = 4;
const PROCESSES = 8;

const found = findCTool();
const tool = found ?? "";
const compared = found === null ? test.skip : test;
const title = (text: string): string => (found === null ? `${text} (ocfs2-tools is not installed)` : text);

let directory = "";
test.before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "o2cb-differential-"));
});
test.after.always(() => rm(directory, { recursive: true, force: true }));

interface Seen {
  /** the listed differences that were seen */
  rows: Set<string>;
  commands: number;
  /** commands that both carried out */
  successes: number;
}

function replay(commands: readonly (readonly string[])[], file: string): string {
  return `${JSON.stringify(file)}\n${commands.map((argv) => `  o2cb ${argv.map((one) => JSON.stringify(one)).join(" ")}`).join("\n")}`;
}

/** Runs a sequence on both; after a difference that is meant both go on from our file. Ends where it can be loaded no more. */
async function sequence(
  t: ExecutionContext,
  file: string,
  next: (index: number) => readonly string[] | null,
  seen: Seen,
): Promise<void> {
  const both = new Both(tool, path.join(directory, `cluster.conf.${Math.random()}`));
  await both.give(file);
  const done: (readonly string[])[] = [];
  for (let index = 0, argv = next(0); argv !== null; index += 1, argv = next(index)) {
    const observation = await both.run(argv);
    done.push(argv);
    seen.commands += 1;
    const what = difference(observation);
    if (what === null) {
      if (observation.c.status === 0) seen.successes += 1;
      continue;
    }
    const rows = rowsOf(observation);
    if (rows.length === 0) {
      const { c, ours } = observation;
      t.fail(`${what}\n${c.stderr}${ours.stderr}seed ${SEED}, from ${replay(done, file)}`);
      return;
    }
    for (const row of rows) seen.rows.add(row);
    await both.give(observation.ours.text);
  }
  const text = await both.ourText();
  // What we write, the original reads, and as we do.
  if (meaningOf(text) !== null) {
    const copy = path.join(directory, `copy.${Math.random()}`);
    const again = new Both(tool, copy);
    await again.give(text);
    const { c } = await again.run(["list-clusters"]);
    t.is(c.status, 0, `the C tool cannot read what is there now: ${replay(done, file)}\n${text}`);
  }
}

function rowsOf(observation: Observation): string[] {
  return Object.entries(knownDifferences)
    .filter(([, { is }]) => is(observation))
    .map(([row]) => row);
}

for (const [row, { example }] of Object.entries(knownDifferences)) {
  compared(title(`a difference that is meant: ${row}`), async (t) => {
    const seen: Seen = { rows: new Set(), commands: 0, successes: 0 };
    await sequence(t, example.file ?? "", (index) => example.commands[index] ?? null, seen);
    t.deepEqual([...seen.rows], [row]);
  });
}

compared(title(`sequences at random (seed ${SEED})`), async (t) => {
  t.timeout(240_000);
  const seen: Seen = { rows: new Set(), commands: 0, successes: 0 };
  const end = Date.now() + TIME_MS;
  let begun = 0;
  const lane = async (): Promise<void> => {
    while ((begun < SEQUENCES || (begun < MOST && Date.now() < end)) && t.passed) {
      const random = new Random(SEED + begun);
      begun += 1;
      const file = random.chance(40) ? drawFile(random) : "";
      // Nothing can be done with a file that both refuse but see that they do.
      const length = meaningOf(file) === null ? 3 : LENGTH;
      await sequence(
        t,
        file,
        (index) => (index < length ? drawCommand(random, file === "" ? index : LENGTH) : null),
        seen,
      );
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, lane));
  t.true(seen.successes > seen.commands / 4, `${seen.successes} of ${seen.commands} commands did something`);
  t.log(
    `${begun} sequences, ${seen.commands} commands, ${seen.successes} of them successes; met: ${[...seen.rows].join(", ")}`,
  );
});

const isBuilt = ((): boolean => {
  try {
    return loadNative() !== null;
  } catch {
    return false;
  }
})();
const compares = found !== null && isBuilt ? test : test.skip;

compares(title(`a sequence at random as processes, on real files (seed ${SEED})`), async (t) => {
  t.timeout(120_000);
  const random = new Random(SEED);
  const [theirs, mine] = [path.join(directory, "theirs.conf"), path.join(directory, "mine.conf")];
  const commands = Array.from({ length: 40 }, (_, index) => drawCommand(random, index));
  let compared = 0;
  for (const argv of commands) {
    if (compared === PROCESSES) break;
    const both = new Both(tool, path.join(directory, "trial.conf"));
    const before = await readFile(mine, "utf8").catch(() => "");
    await both.give(before);
    const observation = await both.run(argv);
    // What is meant to differ was looked at above.
    if (difference(observation) !== null) continue;
    compared += 1;
    const c = await runCTool(tool, [`--config-file=${theirs}`, ...argv]);
    const ours = await runProcess([`--config-file=${mine}`, ...argv]);
    const texts = await Promise.all([theirs, mine].map((file) => readFile(file, "utf8").catch(() => "")));
    const seen = { argv, before, c: { ...c, text: texts[0] ?? "" }, ours: { ...ours, text: texts[1] ?? "" } };
    t.is(difference(seen), null, `${argv.join(" ")}: ${ours.stderr}`);
  }
  t.is(compared, PROCESSES);
  t.true((await readFile(mine, "utf8")).includes("cluster:"));
});

/** o2cb as its own process, from source, over the native module. */
function runProcess(argv: readonly string[]): Promise<Outcome> {
  const entry = new URL("../../ts/cli/o2cb.ts", import.meta.url).href;
  const program = `process.argv.splice(1, 0, "x"); (await import(${JSON.stringify(entry)})).main();`;
  const register = ["--import=@oxc-node/core/register", "--input-type=module", "--eval", program, "--"];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [...register, ...argv], { encoding: "utf8" }, (error, stdout, stderr) => {
      const code = error?.code ?? 0;
      if (typeof code === "number") resolve({ status: code, stdout, stderr });
      else reject(error as Error);
    });
  });
}

test("docs/differences.md lists each of them, with its reason", async (t) => {
  const text = await readFile(new URL("../../docs/differences.md", import.meta.url), "utf8");
  // The sections after the first are of what only a command line or a kernel shows.
  const [, first = ""] = text.split(/^## /m);
  const rows = [...first.matchAll(/^\| `([a-z-]+)` \|(.+)\|(.+)\|$/gm)];
  for (const [, row = "", what = "", reason = ""] of rows)
    t.true(what.trim().length > 10 && reason.trim().length > 10, row);
  const listed = rows.map(([, row = ""]) => row);
  t.deepEqual(listed.toSorted(), Object.keys(knownDifferences).toSorted());
});

compared(title("the C tool's own output is compared, and a difference is seen"), async (t) => {
  const outcome = await runCTool(tool, ["-V"]);
  t.is(outcome.status, 1);
  const side = { status: 0, stdout: "a\n", stderr: "", text: "" };
  const equal: Observation = { argv: ["list-clusters"], before: "", c: side, ours: side };
  t.is(difference(equal), null);
  t.regex(difference({ ...equal, ours: { ...side, stdout: "b\n" } }) ?? "", /^listing/);
  t.regex(difference({ ...equal, ours: { ...side, status: 1 } }) ?? "", /^status/);
  t.regex(
    difference({ ...equal, ours: { ...side, text: "cluster:\n\tname = a\n\tnode_count = 0\n" } }) ?? "",
    /^file/,
  );
});
