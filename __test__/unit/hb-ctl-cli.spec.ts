// ocfs2_hb_ctl from its command line to its exit status: over a library that is played, and once over the fake kernel.
import test from "ava";
import { auditLines } from "../../ts/cli/audit-text.ts";
import { glance } from "../../ts/cli/argv.ts";
import { hbCtlJob } from "../../ts/cli/hb-ctl-job.ts";
import { hbCtlLibrary, type HbCtlLibrary } from "../../ts/cli/hb-ctl-library.ts";
import { hbCtlRequest } from "../../ts/cli/hb-ctl-request.ts";
import { hbCtlSyntax } from "../../ts/cli/hb-ctl-syntax.ts";
import { helpOf } from "../../ts/cli/help.ts";
import { runCli } from "../../ts/cli/run-cli.ts";
import { O2cbError } from "../../ts/errors.ts";
import type { Native } from "../../ts/native-types.ts";
import type { ProcessFacts } from "../../ts/process.ts";
import type { Audit, ReapPlan, ReapResult, RegionAudit, Verdict } from "../../ts/region/audit-types.ts";
import { classicLocal, DISK, UUID } from "../helpers/fake-native.ts";

process.setMaxListeners(0);

const A = "A".repeat(32);
const B = "B".repeat(32);

function region(name: string, more: Partial<RegionAudit> = {}): RegionAudit {
  return {
    region: name,
    cluster: "lab",
    mode: "local",
    directory: `/sys/kernel/config/cluster/lab/heartbeat/${name}`,
    disk: "sdb",
    deviceNumber: "8:16",
    blockBytes: 512,
    startBlock: "2184",
    blocks: 255,
    pid: 7,
    pinned: true,
    elapsedMs: 1,
    liveNodes: [0],
    references: 1,
    hasSet: true,
    lastUser: null,
    superblock: { state: "alive", evidence: [{ source: "/sys/fs/ocfs2/sdb", says: "exists" }], mounts: [] },
    domains: [],
    holders: [
      {
        service: "ocfs2",
        kind: "mount",
        references: 1,
        pid: null,
        directory: "/vol",
        since: null,
        recorded: false,
      },
    ],
    stale: 0,
    unexplained: 0,
    staleRecords: [],
    verdict: "in-use",
    reason: "it is mounted",
    ...more,
  };
}

const audited = (...regions: RegionAudit[]): Audit => ({
  time: "2024-01-01T00:00:00.000Z",
  bootId: "boot",
  stack: "o2cb",
  cluster: "lab",
  mode: "local",
  hbCtlPath: null,
  regions,
  damagedRecords: [],
  notes: [],
});

interface Caller {
  hasTerminal?: boolean;
  parent?: Partial<ProcessFacts> | number | null;
}

/** Runs the command over a library in which only `parts` work; every call is noted. */
async function run(line: string | string[], parts: Partial<HbCtlLibrary> = {}, caller: Caller = {}) {
  const calls: [name: string, ...given: unknown[]][] = [];
  const stdout: string[] = [];
  const stderr: string[] = [];
  const parent = caller.parent === undefined ? {} : caller.parent;
  const fact = (pid: number, more: Partial<ProcessFacts>): ProcessFacts => ({
    pid,
    name: "sh",
    parent: 1,
    startTime: "1",
    isKernelThread: false,
    hasTerminal: false,
    isInForeground: false,
    ...more,
  });
  const processFacts = async (_: Native, pid: number | "self"): Promise<ProcessFacts | null> => {
    if (pid === "self")
      return fact(500, {
        name: "node",
        hasTerminal: caller.hasTerminal ?? false,
        parent: typeof parent === "number" ? parent : 400,
      });
    return pid === 400 && parent !== null && typeof parent === "object" ? fact(400, parent) : null;
  };
  const library = new Proxy({ processFacts, ...parts } as HbCtlLibrary, {
    get(target, name: keyof HbCtlLibrary) {
      const work = target[name] as ((...given: unknown[]) => unknown) | undefined;
      return (...given: unknown[]) => {
        if (name !== "processFacts") calls.push([name, ...given.slice(1)]);
        if (work === undefined) throw new Error(`${name} was not expected`);
        return work(...given);
      };
    },
  });
  const terminal = {
    out: (text: string) => void stdout.push(text),
    write: (bytes: Uint8Array) => void stdout.push(String(bytes)),
    err: (text: string) => void stderr.push(text),
    isWatched: () => false,
  };
  const argv = typeof line === "string" ? line.split(" ").filter((word) => word !== "") : line;
  const program = {
    job: hbCtlJob(library),
    check: hbCtlRequest,
    help: () => helpOf("ocfs2_hb_ctl"),
  };
  const status = await runCli(program, argv, terminal, async () => ({}) as Native);
  return { status, stdout, stderr, calls };
}

const started = { region: A, references: 1, mode: "local" } as const;
const startService: HbCtlLibrary["startService"] = async () => started;
const stopService: HbCtlLibrary["stopService"] = async () => ({ ...started, references: 0, stopped: true });

test("-S starts the service on the device or the UUID, and is silent", async (t) => {
  const byDevice = await run("-S -d /dev/sdb agent", { startService });
  t.is(byDevice.status, 0, byDevice.stderr.join());
  t.deepEqual([byDevice.stdout, byDevice.stderr], [[], []]);
  t.like(byDevice.calls[0]?.[1], { device: "/dev/sdb", uuid: null, service: "agent" });
  const dashed = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
  const byUuid = await run(["-S", "-u", dashed, "agent", "-v"], { startService });
  t.like(byUuid.calls[0]?.[1], { device: null, uuid: A, service: "agent" });
  t.deepEqual(byUuid.stdout, [`ocfs2_hb_ctl: region ${A}: 1 refs`]);
});

test("-K with a service is a program's, whoever the parent is", async (t) => {
  const { status, calls } = await run(
    `-K -u ${A} agent --force`,
    { stopService },
    { parent: { isKernelThread: true } },
  );
  t.is(status, 0);
  t.like(calls[0]?.[1], { device: null, uuid: A, service: "agent", caller: "program", force: true });
});

test("the kernel's call: -K -u without a service from a thread of its own, or from outside", async (t) => {
  for (const parent of [{ isKernelThread: true, name: "kworker/u4:1" }, 0]) {
    const { status, stdout, stderr, calls } = await run(`-K -u ${A}`, { stopService }, { parent });
    t.is(status, 0);
    t.deepEqual([stdout, stderr], [[], []]);
    t.like(calls[0]?.[1], { uuid: A, service: null, caller: "kernel", force: false });
  }
  const byDevice = await run("-K -d /dev/sdb", { stopService }, { parent: { isKernelThread: true } });
  t.like(byDevice.calls[0]?.[1], { device: "/dev/sdb", service: null, caller: "program" });
});

test("a tool of the 1.2 era may leave the service out: without a terminal, or as a mount helper's child", async (t) => {
  for (const caller of [
    {},
    { hasTerminal: true, parent: { name: "mount.ocfs2" } },
    { hasTerminal: true, parent: { name: "umount.ocfs2" } },
  ]) {
    const stop = await run(`-K -u ${A}`, { stopService }, caller);
    t.is(stop.status, 0);
    t.like(stop.calls[0]?.[1], { service: null, caller: "program" });
    const start = await run("-S -d /dev/sdb", { startService }, caller);
    t.is(start.status, 0);
    t.like(start.calls[0]?.[1], { device: "/dev/sdb", service: "ocfs2" });
  }
});

test("a person who leaves the service out is told so, and nothing is done", async (t) => {
  for (const line of [`-K -u ${A}`, `-K -d /dev/sdb`, `-S -u ${A}`]) {
    for (const parent of [{ name: "bash" }, null]) {
      const { status, calls, stderr } = await run(line, {}, { hasTerminal: true, parent });
      t.is(status, 1);
      t.deepEqual(calls, []);
      t.is(stderr.length, 1);
      t.regex(stderr[0] ?? "", /^ocfs2_hb_ctl: -[KS] needs a SERVICE/);
    }
  }
});

test("where /proc does not tell who called, it is a program", async (t) => {
  const processFacts = async (): Promise<null> => null;
  const { status, calls } = await run(`-K -u ${A}`, { stopService, processFacts });
  t.is(status, 0);
  t.like(calls[0]?.[1], { service: null, caller: "program" });
});

test("-P sets the level, 0 unless told", async (t) => {
  const setRegionPriority: HbCtlLibrary["setRegionPriority"] = async () => ({ region: A, pid: 9 });
  t.like((await run("-P -d /dev/sdb", { setRegionPriority })).calls[0]?.[1], {
    device: "/dev/sdb",
    level: 0,
  });
  t.like((await run(`-P -u ${A} -n7`, { setRegionPriority })).calls[0]?.[1], { uuid: A, level: 7 });
});

test("the last letter counts, and of the earlier ones nothing is left", async (t) => {
  t.is((await run(`-I -P -S -u ${A} -K x`, { stopService })).calls[0]?.[0], "stopService");
  t.is((await run(`-KSu ${A} x`, { startService })).calls[0]?.[0], "startService");
});

test("-h is an action, wherever it stands", async (t) => {
  for (const line of ["-h", "--help", `-K -u ${A} -h`, "-Kh"]) {
    const { status, stdout, stderr, calls } = await run(line);
    t.is(status, 0, line);
    t.deepEqual([calls, stderr], [[], []]);
    for (const word of [
      "-S,--start",
      "--audit",
      "--reap",
      "-d,--device",
      "--wait",
      "] [SERVICE]...",
      "-q,--quiet",
    ])
      t.true(stdout.join("\n").includes(word), word);
  }
});

for (const [line, message] of [
  ["", /an action is missing/],
  ["-d /dev/sdb", /an action is missing/],
  ["-S x", /-S needs one device \(-d\) or one UUID \(-u\), and none was given/],
  [`-K -d /dev/sdb -u ${A} x`, /several were given/],
  ["-P -d a -d b", /several were given/],
  ["-S -u 123 x", /'123' is not a UUID/],
  ["-S -d", /option -d needs a value/],
  ["-S -d /dev/sdb x y", /'y' is one argument too many/],
  ["-P -d /dev/sdb x", /-P takes no service, and 'x'/],
  ["--audit x", /takes no service/],
  ["-P -d /dev/sdb -n 8", /'8', and has to be a number from 0 to 7/],
  [`-K -u ${A} -n 1 x`, /--priority-level does not go with -K/],
  [`-S -u ${A} --force x`, /--force does not go with -S/],
  ["-I --dry-run", /--dry-run does not go with -I/],
  ["-I --wait=up", /--wait is for 'gone' or 'active'/],
  ["-I --wait=active", /name a volume/],
  ["-I --timeout 3", /--timeout needs --wait/],
  ["-I --wait=gone --timeout x", /--timeout is a number of seconds/],
  ["-I --wait=gone --watch", /exclude each other/],
  ["-I --watch -q", /exclude each other/],
  ["-I -q --json", /exclude each other/],
  ["-I --watch agent", /exclude each other/],
  ["-x", /no option '-x'/],
] as [string, RegExp][]) {
  test(`wrong usage ends at once, with one line: ${line || "(nothing)"}`, async (t) => {
    const { status, stdout, stderr, calls } = await run(line);
    t.is(status, glance(hbCtlSyntax, line.split(" ")).has("quiet") ? 2 : 1);
    t.deepEqual([stdout, calls], [[], []]);
    t.is(stderr.length, 1);
    t.regex(stderr[0] ?? "", message);
    t.regex(stderr[0] ?? "", /see ocfs2_hb_ctl --help$/);
  });
}

test("an empty device or UUID is refused: a shell's variable may have been", async (t) => {
  for (const argv of [
    ["-I", "-u", ""],
    ["-I", "-d", ""],
    ["-S", "-u", A, ""],
  ])
    t.is((await run(argv)).status, 1);
});

test("wrong usage with -q is 2 wherever -q stands: 1 would say inactive", async (t) => {
  for (const line of ["-I -q -u 12", "-I -u 12 -q", "-Iqu 12", "-I --bad --quiet", "-I -q -u"])
    t.is((await run(line)).status, 2, line);
});

const audit = (...regions: RegionAudit[]): Pick<HbCtlLibrary, "audit"> => ({
  audit: async () => audited(...regions),
});

test("-I writes one line in the form that the init scripts read", async (t) => {
  const { status, stdout, stderr, calls } = await run(`-I -u ${A}`, audit(region(A, { references: 3 })));
  t.is(status, 0);
  t.deepEqual(stdout, [`${A}: 3 refs`]);
  t.deepEqual(stderr, []);
  t.like(calls[0]?.[1], { regions: [A] });
});

test("-I of a region that does not exist is 0 refs, and a success", async (t) => {
  const absent = region(A, { directory: null, references: 0, verdict: "absent" });
  for (const library of [audit(), audit(absent)]) {
    const { status, stdout } = await run(`-I -u ${A}`, library);
    t.deepEqual([status, stdout], [0, [`${A}: 0 refs`]]);
  }
});

test("-I of several, in the order named and each once; without any, of all", async (t) => {
  const library = {
    ...audit(region(B, { references: 2 }), region(A)),
    resolveRegion: async () => B,
  };
  const named = await run(`-I -d /dev/sdb -u ${A} -u ${B}`, library);
  t.deepEqual(named.stdout, [`${B}: 2 refs`, `${A}: 1 refs`]);
  const left = region("C".repeat(32), { directory: null, references: 0, verdict: "absent" });
  const all = await run("-I", audit(region(B, { references: 2 }), region(A), left));
  t.deepEqual(all.stdout, [`${B}: 2 refs`, `${A}: 1 refs`]);
  t.deepEqual(Object.keys((all.calls[0]?.[1] ?? {}) as object), ["signal"]);
  t.deepEqual((await run("-I", audit())).stdout, []);
});

test("-I of services counts theirs alone", async (t) => {
  const holder = (service: string, references: number) =>
    ({ service, kind: "kept", references, pid: null, directory: null, since: null, recorded: true }) as const;
  const busy = region(A, { references: 6, holders: [holder("a", 1), holder("b", 2), holder("ocfs2", 3)] });
  t.deepEqual((await run(`-I -u ${A} a b`, audit(busy))).stdout, [`${A}: 3 refs`]);
  t.deepEqual((await run(`-I -u ${A} c`, audit(busy))).stdout, [`${A}: 0 refs`]);
  t.is((await run(`-I -q -u ${A} c`, audit(busy))).status, 1);
  t.is((await run(`-I -q -u ${A} b`, audit(busy))).status, 0);
});

test("a count that may not be read is an error, not a number", async (t) => {
  const hidden = region(A, { references: null });
  const { status, stdout, stderr } = await run(`-I -u ${A}`, audit(hidden));
  t.is(status, 1);
  t.deepEqual(stdout, []);
  t.regex(stderr.join("\n"), /may not be read/);
});

test("-I --json is one document with the audit and the status", async (t) => {
  const { status, stdout } = await run(`-I --json -u ${A}`, audit(region(A)));
  t.is(status, 0);
  t.is(stdout.length, 1);
  t.deepEqual(JSON.parse(stdout[0] ?? ""), { result: audited(region(A)), status: 0 });
});

test("a failure with --json is one document, too", async (t) => {
  const { status, stdout } = await run(`-K --json -u ${A} x`, {
    stopService: async (_, { onStep }) => {
      onStep?.({ step: "leave", region: A, references: 1 });
      throw new O2cbError("O2CB_REGION_IN_USE", "busy", { operation: "stop" });
    },
  });
  t.is(status, 1);
  t.is(stdout.length, 1);
  t.like(JSON.parse(stdout[0] ?? ""), { error: { code: "O2CB_REGION_IN_USE" }, status: 1 });
});

test("-q answers with the status alone: 0 in use, 1 inactive, 2 error, 3 orphan", async (t) => {
  const expected: Record<Verdict, number> = {
    "in-use": 0,
    "pinned-without-reference": 0,
    "unexplained-references": 0,
    absent: 1,
    unknown: 2,
    orphan: 3,
    "half-made": 3,
  };
  for (const [verdict, status] of Object.entries(expected)) {
    const answer = await run(`-I -q -u ${A}`, audit(region(A, { verdict: verdict as Verdict })));
    t.deepEqual([answer.status, answer.stdout, answer.stderr], [status, [], []], verdict);
  }
  t.is((await run(`-I -q -u ${A}`, audit())).status, 1);
  t.is((await run("-I -q", audit())).status, 1);
  t.is((await run(`-I -q -u ${A}`, audit(region(A, { directory: null, verdict: "orphan" })))).status, 1);
  const failing = async (): Promise<never> => {
    throw new O2cbError("O2CB_IO", "lost", { operation: "audit" });
  };
  const failed = await run(`-I -q -u ${A}`, { audit: failing });
  t.is(failed.status, 2);
  t.deepEqual(failed.stdout, []);
});

test("of several regions -q answers with the worst: error, orphan, inactive, in use", async (t) => {
  const order = [
    ["unknown", 2],
    ["orphan", 3],
    ["absent", 1],
    ["in-use", 0],
  ] as const;
  for (const [index, [verdict, status]] of order.entries()) {
    for (const [other] of order.slice(index)) {
      const both = audit(region(A, { verdict: other }), region(B, { verdict }));
      t.is((await run(`-I -q -u ${A} -u ${B}`, both)).status, status, `${other}, ${verdict}`);
    }
  }
});

test("--wait waits first; --timeout in seconds; what runs out is 1, and 2 with -q", async (t) => {
  const asked: unknown[] = [];
  const waitForRegions: HbCtlLibrary["waitForRegions"] = async (_, options) => void asked.push(options);
  const gone = await run(`-I --wait=gone --timeout 1.5 -u ${A}`, { waitForRegions, ...audit() });
  t.deepEqual([gone.status, gone.stdout], [0, [`${A}: 0 refs`]]);
  t.like(asked[0], { regions: [A], until: "gone", timeoutMs: 1500 });
  const quiet = await run("-I -q --wait gone", { waitForRegions });
  t.deepEqual([quiet.status, quiet.stdout], [0, []]);
  t.like(asked[1], { regions: [], until: "gone", timeoutMs: null });
  const late = async (): Promise<never> => {
    throw new O2cbError("O2CB_TIMEOUT", "still there", { operation: "wait" });
  };
  t.is((await run(`-I --wait=active --timeout 0 -u ${A}`, { waitForRegions: late })).status, 1);
  t.is((await run(`-I -q --wait=active --timeout 0 -u ${A}`, { waitForRegions: late })).status, 2);
});

test.serial("--watch writes a line for each change until a signal, which is its normal end", async (t) => {
  const watchRegions: HbCtlLibrary["watchRegions"] = async function* watchRegions(_, { signal }) {
    yield { change: "present", region: A, verdict: "in-use", references: 2, reason: "r" };
    yield { change: "disappeared", region: A };
    process.emit("SIGTERM", "SIGTERM");
    throw new O2cbError("O2CB_ABORTED", "given up", { operation: "watch", cause: signal?.reason });
  };
  const text = await run("-I --watch", { watchRegions });
  t.deepEqual([text.status, text.stderr], [0, []]);
  t.deepEqual(text.stdout, [`${A}: 2 refs, in-use`, `${A}: 0 refs, gone`]);
  const json = await run("-I --watch --json", { watchRegions });
  t.is(json.status, 0);
  t.deepEqual(
    json.stdout.map((line) => (JSON.parse(line) as { change: string }).change),
    ["present", "disappeared"],
  );
});

test("--audit tells verdict, reason, references and holders; with -v the evidence", async (t) => {
  const stale = region(B, {
    verdict: "orphan",
    reason: "nobody uses it",
    references: 2,
    stale: 2,
    holders: [],
  });
  const short = await run("--audit", audit(region(A), stale));
  t.is(short.status, 0);
  const text = short.stdout.join("\n");
  for (const part of [
    `${A}: in-use\n  it is mounted\n  references: 1\n  held by a mount (on '/vol', concluded`,
    `\n\n${B}: orphan\n  nobody uses it\n  references: 2 (2 stale)\n`,
  ])
    t.true(text.includes(part), text);
  t.false(text.includes("/sys/fs/ocfs2/sdb"));
  const long = await run(`--audit -v -u ${A}`, audit(region(A)));
  t.true(long.stdout.includes("    /sys/fs/ocfs2/sdb: exists"));
  t.like(long.calls[0]?.[1], { regions: [A] });
  const json = await run("--audit --json", audit(region(A)));
  t.deepEqual(JSON.parse(json.stdout.join("")), { result: audited(region(A)), status: 0 });
});

test("an audit without regions, with notes and damaged records", (t) => {
  const damaged = {
    ...audited(),
    damagedRecords: [{ source: "x.json", says: "is empty" }],
    notes: ["no debugfs"],
  };
  t.deepEqual(auditLines(damaged, false), [
    "no heartbeat region on this node",
    "",
    "damaged record x.json: is empty",
    "note: no debugfs",
  ]);
  t.deepEqual(auditLines(audited(), false), ["no heartbeat region on this node"]);
});

const action = {
  region: A,
  drop: 2,
  forced: 1,
  stop: true,
  removeSet: true,
  domains: [],
  records: ["r"],
  reason: "stale",
};
const kept = [
  { region: B, verdict: "unknown", reason: "cannot be told" },
  { region: "C".repeat(32), verdict: "in-use", reason: "mounted" },
] as const;
const plan: ReapPlan = { time: "now", actions: [action], kept: [...kept] };

test("--reap --dry-run says what would be done, and does nothing", async (t) => {
  const library = { ...audit(region(A)), planReap: async () => plan };
  const { status, stdout, calls } = await run(`--reap --dry-run --force -u ${A}`, library);
  t.is(status, 0);
  t.deepEqual(stdout, [
    `${A}: would drop 2 references, 1 of them by force, stop the heartbeat, forget 1 record (stale)`,
    `${B}: kept, unknown: cannot be told`,
  ]);
  t.deepEqual(calls[1]?.[1], { force: true, regions: [A] });
  const json = await run("--reap --dry-run --json", library);
  t.deepEqual(JSON.parse(json.stdout.join("")), { result: { plan }, status: 0 });
  t.deepEqual(json.calls[1]?.[1], { force: false });
});

test("--reap says what was done, and is 1 where something planned was not", async (t) => {
  const result = (more: Partial<ReapResult> = {}): Partial<HbCtlLibrary> => ({
    ...audit(region(A)),
    planReap: async () => plan,
    reap: async () => ({ done: [action], skipped: [], kept: [...kept], ...more }),
  });
  const done = await run("--reap", result());
  t.is(done.status, 0);
  t.regex(done.stdout[0] ?? "", /^A+: dropped 2 references, 1 of them by force, stopped the heartbeat/);
  t.deepEqual(done.stderr, []);
  const skipped = [{ region: A, reason: "it is mounted again", code: null }];
  const partly = await run("--reap", result({ done: [], skipped }));
  t.is(partly.status, 1);
  t.deepEqual(partly.stderr, [`ocfs2_hb_ctl: ${A}: left as it is: it is mounted again`]);
  const json = await run("--reap --json", result({ done: [], skipped }));
  t.is(json.status, 1);
  t.deepEqual(JSON.parse(json.stdout.join("")), { result: { done: [], skipped, kept }, status: 1 });
  const nothing = await run("--reap", result({ done: [], kept: [] }));
  t.deepEqual(nothing.stdout, ["nothing to clear away"]);
});

test("over the fake kernel: a service is started, counted and stopped, and nothing is left", async (t) => {
  const { kernel } = classicLocal();
  const call = async (line: string) => {
    const native = kernel.process();
    const stdout: string[] = [];
    const stderr: string[] = [];
    const terminal = {
      out: (text: string) => void stdout.push(text),
      write: (bytes: Uint8Array) => void stdout.push(String(bytes)),
      err: (text: string) => void stderr.push(text),
      isWatched: () => false,
    };
    const program = { job: hbCtlJob(hbCtlLibrary), check: hbCtlRequest, help: () => "" };
    const status = await runCli(program, line.split(" "), terminal, async () => native);
    native.exit();
    return [status, ...stdout, ...stderr];
  };
  t.deepEqual(await call(`-I -u ${UUID}`), [0, `${UUID}: 0 refs`]);
  t.deepEqual(await call(`-S -d ${DISK} agent`), [0]);
  t.deepEqual(await call(`-S -u ${UUID.toLowerCase()} other`), [0]);
  t.deepEqual(await call("-I"), [0, `${UUID}: 2 refs`]);
  t.deepEqual(await call(`-I -d ${DISK} agent`), [0, `${UUID}: 1 refs`]);
  t.deepEqual(await call(`-I -q -d ${DISK}`), [0]);
  t.deepEqual(await call(`-K -u ${UUID} agent`), [0]);
  t.deepEqual(await call(`-K -u ${UUID} other`), [0]);
  t.deepEqual(await call(`-I -q -u ${UUID}`), [1]);
  t.deepEqual(kernel.leftovers(), []);
});
