// `npm test`: prepares what is missing, runs every tier, and ends with one line `N passed, N failed, N skipped`.
// `npm test -- --tier unit,native` runs some. OCFS2_GROUP_MACHINES=required makes a skipped machine test a failure.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { prepare } from "./lib/prepare.mjs";
import { Tally, closingLine, libtestReader, tapReader } from "./lib/results.mjs";
import { interruptAll, run } from "./lib/run.mjs";
import { Refusal, duration, headline, script } from "./lib/say.mjs";
import { tiers } from "./lib/tiers.mjs";

const plain = { FORCE_COLOR: "0", CARGO_TERM_COLOR: "never" };
let interrupted = false;

function chosenTiers(argv) {
  const { values } = parseArgs({ args: argv, options: { tier: { type: "string" } } });
  const names = values.tier?.split(",") ?? Object.keys(tiers);
  for (const name of names) {
    if (tiers[name] === undefined)
      throw new Refusal(`There is no tier ${name}; there are ${Object.keys(tiers).join(", ")}.`);
  }
  return names;
}

/** Prints each result as it comes, with the time since the one before where that is worth knowing. */
function reporter() {
  let last = performance.now();
  const timer = setInterval(() => {
    const silence = performance.now() - last;
    if (silence >= 60_000) console.log(`        (still running, ${duration(silence)} since the last result)`);
  }, 60_000);
  return {
    stop: () => clearInterval(timer),
    report(kind, title) {
      const now = performance.now();
      const took = now - last >= 1000 ? `  (${duration(now - last)})` : "";
      last = now;
      console.log(`   ${kind.padEnd(4)} ${title}${took}`);
    },
    detail(text) {
      console.log(`        ${text}`);
    },
  };
}

async function runTier(tier, tally) {
  const env = { ...tier.env, ...process.env, ...plain };
  if (tier.runner === "cargo") {
    const args = ["test", "--workspace", "--locked", "--no-fail-fast"];
    const compiled = await run("cargo", [...args, "--no-run"], { env });
    if (compiled.status !== 0) tally.fail("the Rust tests do not compile");
    if (compiled.status !== 0) return compiled;
    return readRun("cargo", args, env, tally, libtestReader);
  }
  const ava = fileURLToPath(new URL("./cli.mjs", import.meta.resolve("ava")));
  return readRun(process.execPath, [ava, "--tap", ...tier.options, ...tier.files], env, tally, tapReader);
}

async function readRun(program, args, env, tally, makeReader) {
  const shown = reporter();
  const reader = makeReader(tally, shown);
  let ended;
  try {
    ended = await run(program, args, { env, onLine: reader.line });
    return ended;
  } finally {
    reader.end(ended);
    shown.stop();
  }
}

/** Runs one tier to its end; whatever goes wrong becomes a named failure in its tally. */
async function execute(name) {
  const tier = tiers[name];
  const tally = new Tally();
  const started = performance.now();
  headline(`${name}: ${tier.title}`);
  try {
    await prepare(...tier.needs);
    const { status, signal } = await runTier(tier, tally);
    if (tally.counts().every((count) => count === 0)) tally.fail("no test was executed");
    else if (status !== 0 && tally.failed.length === 0)
      tally.fail(`the runner ended with ${signal ?? `status ${status}`}`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(error.message);
    tally.fail(error.message);
  }
  if (name === "e2e" && process.env.OCFS2_GROUP_MACHINES === "required") {
    tally.failed.push(...tally.skipped.map((title) => `${title}: skipped, but the machines are required`));
    tally.skipped = [];
  }
  console.log(
    `   ${closingLine(tally.passed, tally.failed.length, tally.skipped.length)} in ${duration(performance.now() - started)}`,
  );
  return tally;
}

/** What a person may have to install is asked for once, before anything runs. */
async function prepareToolchain(names) {
  try {
    headline("what the tests need");
    await prepare("modules");
    if (names.some((name) => name !== "unit")) await prepare("rust");
    // The C tools come with the machines, and tests of the cheaper tiers compare with them, some through the native module: on a new machine
    // they would be skipped.
    if (process.env.OCFS2_GROUP_MACHINES === "required") await prepare("machines", "native");
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(error.message);
    console.log(`\n${closingLine(0, 1, 0)}`);
    return false;
  }
}

function list(title, tallies, pick) {
  const names = tallies.flatMap(([tier, tally]) => tally[pick].map((name) => `${tier}: ${name}`));
  if (names.length > 0) console.log(`\n${title}:\n${names.map((name) => `   ${name}`).join("\n")}`);
  return names.length;
}

await script(async (argv) => {
  const names = chosenTiers(argv);
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => {
      interrupted = true;
      interruptAll();
    });
  }
  const tallies = [];
  if (!(await prepareToolchain(names))) return 1;
  for (const name of names) {
    const tally = interrupted ? new Tally() : await execute(name);
    if (interrupted) tally.fail("interrupted");
    tallies.push([name, tally]);
  }
  const passed = tallies.reduce((sum, [, tally]) => sum + tally.passed, 0);
  const skipped = list("Skipped", tallies, "skipped");
  const failed = list("Failed", tallies, "failed");
  console.log(`\n${closingLine(passed, failed, skipped)}`);
  return failed === 0 ? 0 : 1;
});
