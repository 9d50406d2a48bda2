// o2cb and its sub-command monitor, over a library that is played; and sub-commands in general.
import test from "ava";
import { commandOf } from "../../ts/cli/base-command.ts";
import { canonical, parseArguments, UsageError } from "../../ts/cli/argv.ts";
import { helpsOf } from "../../ts/cli/help.ts";
import type { Job } from "../../ts/cli/job.ts";
import { monitorJob, type MonitorLibrary } from "../../ts/cli/monitor-job.ts";
import { runO2cb, subcommands, type Subcommand } from "../../ts/cli/o2cb-commands.ts";
import type { CommandSyntax } from "../../ts/cli/syntax.ts";
import { O2cbError } from "../../ts/errors.ts";
import type { Native } from "../../ts/native-types.ts";
import type { MonitorEvent } from "../../ts/region/audit-types.ts";
import { Cli } from "clipanion";

process.setMaxListeners(0);

const A = "A".repeat(32);

async function run(line: string, table?: readonly Subcommand[]) {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const terminal = {
    out: (text: string) => void stdout.push(text),
    write: (bytes: Uint8Array) => void stdout.push(String(bytes)),
    err: (text: string) => void stderr.push(text),
    isWatched: () => false,
  };
  const argv = line.split(" ").filter((word) => word !== "");
  const status = await runO2cb(argv, terminal, async () => ({}) as Native, table);
  return { status, stdout, stderr };
}

const events: MonitorEvent[] = [
  { event: "ready", regions: 1, superblocks: 0 },
  { event: "region", region: A },
  { event: "superblock", region: A, disk: "sdb", directory: "/vol" },
  { event: "superblock-gone", region: A, disk: "sdb" },
  { event: "left", region: A, references: 0, stopped: true, reason: "its superblock has died" },
  { event: "region-gone", region: A },
  { event: "kept", region: A, verdict: "unexplained-references", reason: "a C tool may hold it" },
  { event: "failed", region: null, code: "O2CB_IO", message: "cannot look" },
];

/** The monitor over `watch`, and what it was asked for. */
function monitoring(watch: MonitorLibrary["watch"]): { table: Subcommand[]; asked: object[] } {
  const asked: object[] = [];
  const library: MonitorLibrary = {
    watch(native, options) {
      asked.push(options);
      return watch(native, options);
    },
  };
  return { table: [{ word: "monitor", job: monitorJob(async () => library) }], asked };
}

async function* play(): AsyncGenerator<MonitorEvent> {
  yield* events;
}

test("monitor tells what it did and what it could not do; with -v every event", async (t) => {
  const short = await run("monitor", monitoring(play).table);
  t.is(short.status, 0);
  t.deepEqual(short.stdout, []);
  t.deepEqual(short.stderr, [
    `o2cb monitor: left region ${A}, and stopped its heartbeat: its superblock has died`,
    `o2cb monitor: region ${A} stays as it is, unexplained-references: a C tool may hold it`,
    "o2cb monitor: cannot look",
  ]);
  const long = await run("monitor -v", monitoring(play).table);
  t.is(long.stderr.length, events.length);
  t.is(long.stderr[0], "o2cb monitor: watching 1 heartbeat region and 0 mounted volumes");
  t.true(long.stderr.every((line) => line.startsWith("o2cb monitor: ")));
});

test("monitor --json writes one object for each event and nothing else, steps included", async (t) => {
  const { table } = monitoring(async function* stepping(_, { onStep }) {
    onStep({ step: "leave", region: A, references: 0 });
    yield* events;
  });
  const { status, stdout, stderr } = await run("monitor --json", table);
  t.is(status, 0);
  t.deepEqual(
    stdout.map((line) => JSON.parse(line) as MonitorEvent),
    events,
  );
  t.deepEqual(stderr, []);
});

test("monitor clears away what is left unless told not to", async (t) => {
  const { table, asked } = monitoring(play);
  await run("monitor", table);
  await run("monitor --no-reap", table);
  t.like(asked, [{ reap: true }, { reap: false }]);
});

test.serial("SIGTERM is the normal end, whether the library returns or throws", async (t) => {
  for (const throws of [false, true]) {
    const { table } = monitoring(async function* ended(_, { signal }) {
      yield { event: "ready", regions: 0, superblocks: 0 };
      process.emit("SIGTERM", "SIGTERM");
      t.true(signal.aborted);
      if (throws) throw new O2cbError("O2CB_ABORTED", "given up", { operation: "watch" });
    });
    const { status, stderr } = await run("monitor", table);
    t.deepEqual([status, stderr], [0, []]);
  }
});

test.serial("a failure after SIGTERM is a failure all the same", async (t) => {
  const { table } = monitoring(async function* failing() {
    yield { event: "ready", regions: 0, superblocks: 0 };
    process.emit("SIGTERM", "SIGTERM");
    throw new O2cbError("O2CB_IO", "lost", { operation: "watch" });
  });
  t.is((await run("monitor", table)).status, 1);
});

test("a monitor that cannot begin is status 1, with the reason", async (t) => {
  const { table } = monitoring(async function* refused() {
    yield* [];
    throw new O2cbError("O2CB_ALREADY_RUNNING", "another monitor runs", {
      operation: "watch",
      remedy: "let it",
    });
  });
  const { status, stderr } = await run("monitor", table);
  t.is(status, 1);
  t.deepEqual(stderr, ["o2cb monitor: another monitor runs", "  what to do: let it"]);
});

for (const [line, message] of [
  ["", /^o2cb: a sub-command is missing: .*monitor.*; see o2cb --help$/],
  ["frob", /^o2cb: there is no sub-command 'frob'; see o2cb --help$/],
  ["constructor", /no sub-command/],
  [
    "--json monitor",
    /option '--json' cannot stand before the sub-command, only --config-file and --verbose can/,
  ],
  ["--config-file", /option --config-file needs a value/],
  ["-v", /a sub-command is missing/],
  ["-x add-cluster a", /option '-x' cannot stand before the sub-command/],
  ["monitor x", /^o2cb monitor: 'x' is one argument too many; see o2cb monitor --help$/],
  ["monitor -x", /^o2cb monitor: there is no option '-x'/],
] as [string, RegExp][]) {
  test(`wrong usage is status 1 and one line: ${line || "(nothing)"}`, async (t) => {
    const { status, stdout, stderr } = await run(line);
    t.is(status, 1);
    t.deepEqual(stdout, []);
    t.is(stderr.length, 1);
    t.regex(stderr[0] ?? "", message);
  });
}

test("the help lists the sub-commands, and each has its own", async (t) => {
  const whole = await run("--help");
  t.is(whole.status, 0);
  for (const { word, job } of subcommands) {
    t.true(whole.stdout.join().includes(`\n  ${word} `));
    t.is(job.syntax.name, `o2cb ${word}`);
    for (const line of [`${word} --help`, `${word} -h`]) {
      const one = await run(line);
      t.is(one.status, 0);
      for (const { long } of job.syntax.options) t.true(one.stdout.join().includes(`--${long}`), long ?? "");
    }
  }
  t.regex((await run("--version")).stdout.join(), /^o2cb \(ocfs2-group\) /);
  t.regex((await run("monitor --version")).stdout.join(), /^o2cb monitor \(ocfs2-group\) /);
});

test("every program has a help for itself and for each sub-command", (t) => {
  t.deepEqual(Object.keys(helpsOf("ocfs2_hb_ctl")), ["ocfs2_hb_ctl"]);
  t.deepEqual(Object.keys(helpsOf("o2cb")), ["o2cb", ...subcommands.map(({ job }) => job.syntax.name)]);
  t.throws(() => helpsOf("o2cluster"), { instanceOf: TypeError });
});

// -- what a later sub-command can be made of ---------------------------------------------------------------------------

const syntax: CommandSyntax = {
  name: "o2cb try",
  summary: "try",
  details: "",
  operands: [
    { key: "cluster", label: "CLUSTER" },
    { key: "node", label: "NODE", arity: "optional" },
  ],
  options: [
    { key: "on", short: "a", long: "on", kind: "flag", description: "on", group: "state" },
    { key: "off", short: "b", long: "off", kind: "flag", description: "off", group: "state" },
  ],
  examples: [],
};
const many: CommandSyntax = {
  ...syntax,
  operands: [
    { key: "cluster", label: "CLUSTER" },
    { key: "nodes", label: "NODE", arity: "many" },
  ],
};

test("operands can be optional or many, and clipanion reads them alike", (t) => {
  const clipanion = (which: CommandSyntax, argv: string[]) => {
    const job: Job = { syntax: which, run: () => Promise.reject(new Error("run")) };
    const command = Cli.from(commandOf(job)).process(canonical(which, argv));
    return (command as unknown as { arguments(): ReturnType<typeof parseArguments> }).arguments();
  };
  for (const read of [parseArguments, clipanion]) {
    t.is(read(syntax, ["c"]).operand("node"), "");
    t.deepEqual(read(syntax, ["c"]).operands("node"), []);
    t.is(read(syntax, ["c", "n"]).operand("node"), "n");
    t.deepEqual(read(many, ["c"]).operands("nodes"), []);
    t.deepEqual(read(many, ["c", "x", "-a", "y"]).operands("nodes"), ["x", "y"]);
    t.is(read(many, ["c", "x"]).operand("cluster"), "c");
    const last = read(many, ["-a", "c", "-ba", "-b"]);
    t.deepEqual([last.flag("on"), last.flag("off")], [false, true], "the last of a group");
  }
  for (const [which, argv, message] of [
    [syntax, [], /^CLUSTER is missing$/],
    [many, [], /^CLUSTER is missing$/],
    [syntax, ["c", "n", "more"], /'more' is one argument too many/],
    [many, ["c", "x", ""], /^NODE is empty$/],
    [syntax, ["c", ""], /^NODE is empty$/],
  ] as const)
    t.throws(() => parseArguments(which, argv), { instanceOf: UsageError, message });
});
