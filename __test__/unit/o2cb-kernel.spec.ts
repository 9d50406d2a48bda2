// o2cb's commands that work on the kernel's cluster, over a kernel that is played: what they write to standard output, their statuses, dry
// runs, and that nothing changes without being told.
import test from "ava";
import { registration } from "../helpers/clusters.ts";
import {
  classicGlobal,
  classicLocal,
  nothingLoaded,
  oldDriver12,
  startByHand,
  UUID,
  volume,
  type FakeKernel,
} from "../helpers/fake-native.ts";
import { CONF, o2cb, o2cbJson } from "../helpers/o2cb/run.ts";

process.setMaxListeners(0);

const BEATS = "B".repeat(32);
const node = (name: string, number: number): string =>
  `node:\n\tcluster = lab\n\tnumber = ${number}\n\tip_port = 7777\n\tip_address = 10.0.0.${number + 1}\n\tname = ${name}\n\n`;

function configure(
  kernel: FakeKernel,
  mode: "local" | "global" = "local",
  regions: string[] = [],
): FakeKernel {
  const beats = regions.map((region) => `heartbeat:\n\tcluster = lab\n\tregion = ${region}\n\n`);
  const head = `cluster:\n\tname = lab\n\theartbeat_mode = ${mode}\n\tnode_count = 2\n\n`;
  kernel.addFile(CONF, [head, node("alpha", 0), node("beta", 1), ...beats].join(""));
  return kernel;
}

const unregistered = (): FakeKernel => configure(classicLocal({ unregistered: true }).kernel);

function stoppedGlobal(): FakeKernel {
  const { kernel } = classicGlobal({ unregistered: true });
  const content = volume({ uuid: BEATS, heartbeatDevice: true, global: true });
  kernel.addDisk({ name: "nvme0n1", number: { major: 259, minor: 0 }, volume: content });
  return configure(kernel, "global", [BEATS]);
}

test("register-cluster and unregister-cluster are silent, and can be repeated", async (t) => {
  const kernel = unregistered();
  for (const line of ["register-cluster lab", "register-cluster lab"]) {
    const { status, stdout, stderr } = await o2cb(kernel, line);
    t.deepEqual([status, stdout, stderr], [0, [], []]);
  }
  t.like(registration(kernel), { name: "lab", mode: "local" });
  for (const line of ["unregister-cluster lab", "unregister-cluster lab"]) {
    const { status, stdout, stderr } = await o2cb(kernel, line);
    t.deepEqual([status, stdout, stderr], [0, [], []]);
  }
  t.is(registration(kernel), null);
  const { stdout } = await o2cb(kernel, "-v register-cluster lab");
  t.deepEqual(stdout, [
    "o2cb register-cluster: this host is node 0 'alpha' of cluster 'lab', local heartbeat",
  ]);
});

test("a dry run of register-cluster lists each write in the kernel's order, as the real one does it", async (t) => {
  const kernel = unregistered();
  const { stdout } = await o2cb(kernel, "register-cluster --dry-run lab");
  t.is(registration(kernel), null);
  const base = "/sys/kernel/config/cluster/lab";
  t.is(stdout[0], `mkdir ${base}`);
  t.is(stdout.at(-1), `write ${base}/node/alpha/local 1`);
  t.true(stdout.indexOf(`mkdir ${base}/node/beta`) < stdout.indexOf(`write ${base}/node/beta/num 1`));
  t.true(stdout.includes(`write ${base}/node/alpha/ipv4_address 10.0.0.1`));
  const dry = await o2cbJson(t, "o2cb-writes", kernel, "register-cluster --dry-run lab");
  const wet = await o2cbJson(t, "o2cb-writes", kernel, "register-cluster lab");
  t.deepEqual(wet["writes"], dry["writes"]);
  t.is((wet["writes"] as object[]).length, stdout.length);
});

test("what cannot be registered is status 1 with the reason, and nothing is left", async (t) => {
  const kernel = unregistered();
  for (const [line, message] of [
    ["register-cluster nobody", /there is no cluster 'nobody'/],
    ["register-cluster", /CLUSTER is missing/],
    ["register-cluster lab --config-file=/tmp/none", /there is no cluster 'lab' in '\/tmp\/none'/],
  ] as const) {
    const { status, stdout, stderr } = await o2cb(kernel, line);
    t.deepEqual([status, stdout], [1, []]);
    t.regex(stderr[0] ?? "", message);
  }
  kernel.addFile(CONF, (await kernel.process().readAttribute(CONF)).replace("= alpha", "= other"));
  const { status, stderr } = await o2cb(kernel, "register-cluster lab");
  t.is(status, 1, "no node is this host: the C tool succeeds");
  t.regex(stderr[0] ?? "", /none of the 2 nodes of cluster 'lab' is this host/);
  t.is(registration(kernel), null);
});

test("global heartbeat: what the C tool writes, and the device behind another name", async (t) => {
  const kernel = stoppedGlobal();
  t.is((await o2cb(kernel, "register-cluster lab")).status, 0);
  t.is((await o2cb(kernel, "cluster-status lab")).status, 1, "nothing beats yet");
  const dry = await o2cb(kernel, "start-heartbeat --dry-run lab");
  t.true(dry.stdout.some((line) => line.startsWith("start heartbeat ") && line.endsWith(" /dev/nvme0n1")));
  t.false(dry.stdout.includes("Global heartbeat started"));
  t.is(kernel.regions().length, 0);

  t.deepEqual((await o2cb(kernel, "start-heartbeat lab")).stdout, ["Global heartbeat started"]);
  t.true(kernel.region(BEATS)?.live);
  const again = await o2cbJson(t, "o2cb-writes", kernel, "start-heartbeat lab");
  t.deepEqual(again["writes"], []);
  t.deepEqual((await o2cb(kernel, "cluster-status lab")).stdout, ["Cluster 'lab' is online"]);

  const refused = await o2cb(kernel, "unregister-cluster lab");
  t.is(refused.status, 1);
  t.regex(refused.stderr[0] ?? "", new RegExp(BEATS));
  t.true(
    (await o2cb(kernel, "stop-heartbeat --dry-run lab")).stdout.some((line) => line.startsWith("rmdir ")),
  );
  t.deepEqual((await o2cb(kernel, "stop-heartbeat lab")).stdout, ["Global heartbeat stopped"]);
  t.is(kernel.regions().length, 0);
});

test("local heartbeat: a start is silent, a stop says what the C tool does; nothing is changed", async (t) => {
  const kernel = configure(classicLocal().kernel);
  const before = registration(kernel);
  t.deepEqual((await o2cb(kernel, "start-heartbeat lab")).stdout, []);
  t.deepEqual((await o2cb(kernel, "stop-heartbeat lab")).stdout, ["Global heartbeat stopped"]);
  t.deepEqual(registration(kernel), before);
});

test("a heartbeat that cannot start is status 1", async (t) => {
  const kernel = stoppedGlobal();
  const { status, stderr } = await o2cb(kernel, "start-heartbeat lab");
  t.is(status, 1, "the C tool exits 0");
  t.regex(stderr[0] ?? "", /not registered|no cluster is registered/);
});

test("cluster-status says what the C tool says", async (t) => {
  const online = configure(classicLocal().kernel);
  for (const [kernel, line, status, said] of [
    [online, "cluster-status", 0, "Cluster 'lab' is online"],
    [online, "cluster-status lab", 0, "Cluster 'lab' is online"],
    [online, "cluster-status other", 1, "Cluster 'other' is offline"],
    [unregistered(), "cluster-status", 1, "offline"],
    [unregistered(), "cluster-status lab", 1, "Cluster 'lab' is offline"],
    [nothingLoaded().kernel, "cluster-status", 1, "offline"],
    [oldDriver12().kernel, "cluster-status", 0, "Cluster 'lab' is online"],
  ] as const) {
    const { stdout, ...rest } = await o2cb(kernel, line);
    t.is(rest.status, status, line);
    t.deepEqual(stdout, [said]);
    t.deepEqual(rest.stderr, []);
    const data = await o2cbJson(t, "o2cb-status", kernel, line);
    t.is(data["online"], status === 0);
  }
});

test("timeouts are shown in the kernel's units and in seconds", async (t) => {
  const { kernel } = classicLocal();
  t.deepEqual((await o2cb(kernel, "timeouts")).stdout, [
    "dead threshold: 31 (60 s)",
    "idle timeout: 30000 ms",
    "keepalive delay: 2000 ms",
    "reconnect delay: 2000 ms",
    "fence method: reset",
  ]);
  t.is((await o2cb(kernel, "timeouts --seconds lab")).stdout[1], "idle timeout: 30 s");
  const data = await o2cbJson(t, "o2cb-status", kernel, "timeouts");
  t.like(data, { cluster: "lab", timeouts: { deadThreshold: 31, deadSeconds: 60, fenceMethod: "reset" } });
  const { stdout } = await o2cb(oldDriver12().kernel, "timeouts");
  t.true(stdout.includes("idle timeout: not known to this driver"));
});

test("timeouts are set in an order that the kernel takes, seconds as well as iterations", async (t) => {
  const { kernel } = classicLocal();
  const line = "timeouts --dead-seconds 120 --idle-ms 1500 --keepalive-ms 700 --fence-method panic";
  const dry = await o2cb(kernel, `${line} --dry-run`);
  const base = "/sys/kernel/config/cluster/lab";
  t.deepEqual(dry.stdout, [
    `write ${base}/heartbeat/dead_threshold 61`,
    `write ${base}/keepalive_delay_ms 700`,
    `write ${base}/idle_timeout_ms 1500`,
    `write ${base}/fence_method panic`,
  ]);
  t.like(await o2cbJson(t, "o2cb-status", kernel, "timeouts"), { timeouts: { deadThreshold: 31 } });
  const wet = await o2cbJson(t, "o2cb-writes", kernel, line);
  t.is((wet["writes"] as object[]).length, 4);
  t.like(await o2cbJson(t, "o2cb-status", kernel, "timeouts"), {
    timeouts: { deadThreshold: 61, idleMs: 1500, keepaliveMs: 700, fenceMethod: "panic" },
  });
});

test("what the kernel would ignore is an error, and so is a value that cannot be", async (t) => {
  const { kernel } = classicGlobal();
  for (const [line, message] of [
    [
      "timeouts --threshold 61",
      /could not be set to 61: the kernel ignores it while there are heartbeat regions/,
    ],
    ["timeouts --idle-ms 100 --keepalive-ms 100", /has to be shorter/],
    ["timeouts --threshold x", /--threshold is 'x', and has to be a whole number/],
    ["timeouts --threshold 31 --dead-seconds 60", /exclude each other/],
    ["timeouts --fence-method none", /--fence-method is for 'reset' or 'panic'/],
    ["timeouts --dry-run", /--dry-run needs something to set/],
    ["timeouts other", /cluster 'other' is not registered on this node, 'lab' is/],
  ] as const) {
    const { status, stdout, stderr } = await o2cb(kernel, line);
    t.deepEqual([status, stdout], [1, []], line);
    t.regex(stderr[0] ?? "", message);
  }
  const { stderr } = await o2cb(unregistered(), "timeouts");
  t.regex(stderr[0] ?? "", /no cluster is registered/);
});

test("doctor says what is wrong, with -v what is right, and its status follows", async (t) => {
  const kernel = configure(classicLocal().kernel);
  const brief = await o2cb(kernel, "doctor");
  const whole = await o2cb(kernel, "doctor -v");
  t.true(whole.stdout.length > brief.stdout.length);
  t.false(brief.stdout.some((line) => line.startsWith("good: ")));
  t.true(whole.stdout.some((line) => line.startsWith("good: ")));
  t.regex(brief.stdout.at(-1) ?? "", /^\d+ checks, \d+ failed, \d+ with warnings$/);
  const { findings } = (await o2cbJson(t, "o2cb-doctor", kernel, "doctor --device /dev/sdb")) as {
    findings: { state: string; subject: string | null }[];
  };
  t.true(findings.some(({ subject }) => subject?.includes("/dev/sdb") ?? false));
  const bad = nothingLoaded({ availableModules: [] }).kernel;
  const data = (await o2cbJson(t, "o2cb-doctor", bad, "doctor")) as { findings: { state: string }[] };
  t.true(data.findings.some(({ state }) => state === "failure"));
  const { status, stdout } = await o2cb(bad, "doctor");
  t.is(status, 1);
  t.true(stdout.some((line) => line.startsWith("  what to do: ")));
});

test("audit and reap are those of ocfs2_hb_ctl", async (t) => {
  const { kernel, disk } = classicLocal();
  startByHand(kernel, disk);
  const looked = await o2cb(kernel, `audit -u ${UUID}`);
  t.is(looked.status, 0, looked.stderr.join());
  t.regex(looked.stdout[0] ?? "", new RegExp(`^${UUID}: `));
  await o2cbJson(t, "audit", kernel, "audit");
  await o2cbJson(t, "reap", kernel, "reap --dry-run --force");
  t.is(kernel.regions().length, 1);
  const reaped = await o2cb(kernel, "reap --force");
  t.is(reaped.status, 0);
  t.is(kernel.regions().length, 0, reaped.stdout.join());
  t.is((await o2cb(kernel, "audit --force")).status, 1);
  t.is((await o2cb(kernel, "reap -u x")).status, 1);
});
