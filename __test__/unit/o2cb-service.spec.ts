// o2cb's commands of the service, over a kernel that is played: load to unload, what is refused, settings, status, and a desired state.
import test from "ava";
import { registration } from "../helpers/clusters.ts";
import {
  classicGlobal,
  classicLocal,
  CLUSTER,
  DIRECTORY,
  DISK,
  nothingLoaded,
  type FakeKernel,
} from "../helpers/fake-native.ts";
import { CONF, fileText, o2cb, o2cbJson } from "../helpers/o2cb/run.ts";

process.setMaxListeners(0);

const SETTINGS = "/etc/default/o2cb";
const node = (name: string, number: number): string =>
  `node:\n\tcluster = lab\n\tnumber = ${number}\n\tip_port = 7777\n\tip_address = 10.0.0.${number + 1}\n\tname = ${name}\n\n`;
const TEXT = `cluster:\n\tname = lab\n\theartbeat_mode = local\n\tnode_count = 2\n\n${node("alpha", 0)}${node("beta", 1)}`;

function host(kernel: FakeKernel, settings = "O2CB_ENABLED=true\nO2CB_BOOTCLUSTER=lab\n"): FakeKernel {
  kernel.addFile(CONF, TEXT);
  kernel.addFile(SETTINGS, settings);
  return kernel;
}

const fresh = (settings?: string): FakeKernel => host(nothingLoaded().kernel, settings);
const running = (): FakeKernel => host(classicLocal().kernel);

test("from nothing to online and back; silent, and each can be repeated", async (t) => {
  const kernel = fresh();
  for (const line of [
    "load",
    "load",
    "online",
    "online lab",
    "start",
    "offline",
    "offline lab",
    "online",
    "stop",
    "stop",
  ]) {
    const { status, stdout, stderr } = await o2cb(kernel, line);
    t.deepEqual([status, stdout, stderr], [0, [], []], line);
    const wanted = /^(online|start)/.test(line) ? "lab" : null;
    t.is([...kernel.clusters.keys()][0] ?? null, wanted, line);
  }
  t.false(kernel.modules.has("ocfs2_stack_o2cb"), "stop has unloaded");
});

test("-v says what became of it", async (t) => {
  const kernel = fresh();
  t.true(
    (await o2cb(kernel, "online -v")).stdout.includes(
      "o2cb online: cluster 'lab' is online, this host is node 0 'alpha'",
    ),
  );
  t.deepEqual((await o2cb(kernel, "offline -v")).stdout, ["o2cb offline: cluster 'lab' is offline"]);
  t.deepEqual((await o2cb(kernel, "offline -v")).stdout, ["o2cb offline: no cluster was online"]);
  t.true((await o2cb(kernel, "restart -v")).stdout.some((line) => line.includes("cluster 'lab' is online")));
});

test("dry runs list the writes of the real run, and change nothing", async (t) => {
  const kernel = fresh();
  const { stdout } = await o2cb(kernel, "online --dry-run");
  t.true(stdout.includes("mkdir /sys/kernel/config/cluster/lab"));
  t.true(stdout.some((line) => /^run \S+modprobe /.test(line)));
  t.is(registration(kernel), null);
  t.is(kernel.modules.size, 0);
  const dry = await o2cbJson(t, "o2cb-writes", running(), "offline --dry-run");
  const live = running();
  const wet = await o2cbJson(t, "o2cb-writes", live, "offline");
  t.deepEqual(wet["writes"], dry["writes"]);
  t.true((wet["writes"] as object[]).length > 2);
  for (const line of ["load", "unload", "start", "stop", "restart", "drain"])
    await o2cbJson(t, "o2cb-writes", running(), `${line} --dry-run`);
});

test("start does nothing where the settings do not enable it, and says so", async (t) => {
  const kernel = fresh("O2CB_BOOTCLUSTER=lab\n");
  const { status, stdout, stderr } = await o2cb(kernel, "start");
  t.deepEqual([status, stdout], [0, []]);
  t.deepEqual(stderr, [`o2cb start: nothing is started: O2CB_ENABLED is not true in '${SETTINGS}'`]);
  t.is(kernel.modules.size, 0);
  t.is((await o2cb(kernel, "online")).status, 0);
});

test("failures are status 1: an unknown cluster, settings that cannot be read, no module", async (t) => {
  for (const [kernel, line, message] of [
    [fresh(), "online other", /cluster 'other' is not in the configuration/],
    [
      fresh("O2CB_ENABLED=true\nO2CB_BOOTCLUSTER=$NAME\n"),
      "start",
      /'\/etc\/default\/o2cb', line 2, column 1/,
    ],
    [host(nothingLoaded({ availableModules: [] }).kernel), "load", /module/],
    [running(), "offline other", /cluster 'other' is not registered on this node, 'lab' is/],
  ] as const) {
    const { status, stderr, stdout } = await o2cb(kernel, line);
    t.deepEqual([status, stdout], [1, []], line);
    t.regex(stderr[0] ?? "", message);
  }
});

test("offline names what uses the cluster and leaves it online; drain unmounts first", async (t) => {
  const kernel = running();
  t.is((await o2cb(kernel, "online")).status, 0);
  await kernel.cTool.mount(DISK, DIRECTORY);
  const refused = await o2cb(kernel, "offline");
  t.is(refused.status, 1);
  t.regex(refused.stderr[0] ?? "", /the mount of \/dev\/sdb on '\/vol'/);
  t.is(kernel.clusters.size, 1);
  const { status, stdout, stderr } = await o2cb(kernel, "drain -v");
  t.is(status, 0, stderr.join("\n"));
  t.true(stdout.includes("o2cb drain: '/vol' is unmounted"));
  t.true(stdout.includes("o2cb drain: cluster 'lab' is offline"));
  t.is(kernel.clusters.size, 0);
  t.is(kernel.superblocks.size, 0);
});

test("status shows all, and is 0 only where the cluster is online", async (t) => {
  const kernel = running();
  const { status, stdout } = await o2cb(kernel, "status");
  t.is(status, 0);
  t.true(stdout.includes("stack: o2cb, interface revision 5"));
  t.true(stdout.includes(`cluster '${CLUSTER}': online, local heartbeat`));
  t.true(stdout.some((line) => line.startsWith("  node 0 alpha 10.0.0.1:7777: this host")));
  t.true(stdout.includes("  dead threshold: 31 (60 s)"));
  t.is((await o2cb(kernel, "status other")).status, 1);
  await kernel.cTool.mount(DISK, DIRECTORY);
  await o2cbJson(t, "o2cb-status", kernel, "status");
  t.true(
    (await o2cb(kernel, "status")).stdout.some((line) =>
      /^ {2}region [0-9A-F]{32} on sdb: in-use, 1 refs$/.test(line),
    ),
  );
  await o2cbJson(t, "o2cb-status", classicGlobal().kernel, "status");
  const bare = await o2cb(nothingLoaded().kernel, "status");
  t.is(bare.status, 1);
  t.true(bare.stdout.includes("stack: not loaded"));
  t.true(bare.stdout.includes("cluster: none is registered"));
});

test("online-status: a word and 0, 1 or 2; a wrong command line is 2", async (t) => {
  for (const [kernel, line, status, word] of [
    [running(), "online-status", 0, "online"],
    [running(), "online-status lab", 0, "online"],
    [running(), "online-status other", 1, "offline"],
    [fresh(), "online-status", 1, "offline"],
  ] as const) {
    const ran = await o2cb(kernel, line);
    t.deepEqual([ran.status, ran.stdout], [status, [word]], line);
    await o2cbJson(t, "o2cb-status", kernel, line);
  }
  const broken = running().process().failCall("listDirectories", { errno: "EIO" });
  const failed = await o2cb(broken, "online-status lab");
  t.deepEqual([failed.status, failed.stdout], [2, ["error"]]);
  t.is(failed.stderr.length, 1);
  const wrong = await o2cb(running(), "online-status --nonsense");
  t.deepEqual([wrong.status, wrong.stdout], [2, []]);
});

test("configure shows the settings, and changes only what is asked for", async (t) => {
  const kernel = fresh("# kept\nO2CB_ENABLED=false # here\nOTHER=1\n");
  const shown = await o2cb(kernel, "configure");
  t.is(shown.stdout[0], `# ${SETTINGS}`);
  t.true(shown.stdout.includes("O2CB_ENABLED=false"));
  t.true(shown.stdout.includes("O2CB_HEARTBEAT_THRESHOLD=31  # default"));
  await o2cbJson(t, "o2cb-config", kernel, "configure");
  const line = "configure --cluster lab --disable --enable --dead-seconds 120 --idle-ms 40000";
  const dry = await o2cbJson(t, "o2cb-writes", kernel, `${line} --dry-run`);
  t.regex(await fileText(kernel, SETTINGS), /ENABLED=false/);
  const wet = await o2cbJson(t, "o2cb-writes", kernel, line);
  t.deepEqual(wet["writes"], dry["writes"]);
  t.is(
    await fileText(kernel, SETTINGS),
    "# kept\nO2CB_ENABLED=true # here\nOTHER=1\nO2CB_BOOTCLUSTER=lab\nO2CB_HEARTBEAT_THRESHOLD=61\nO2CB_IDLE_TIMEOUT_MS=40000\n",
  );
  t.deepEqual((await o2cbJson(t, "o2cb-writes", kernel, line))["writes"], []);
});

test("configure refuses what could not be used, and warns of what is not safe", async (t) => {
  const kernel = fresh("O2CB_ENABLED=true\n");
  for (const [line, message] of [
    ["configure --threshold 1", /is not changed: .*HEARTBEAT_THRESHOLD/],
    ["configure --idle-ms 1000", /is not changed: .*idle timeout/],
    ["configure --cluster my-cluster", /is not changed: .*BOOTCLUSTER/],
    ["configure --stack toolong", /is not changed: .*STACK/],
    ["configure --leave me", /--leave is for 'umount' or 'kernel'/],
    ["configure --cluster=", /a setting cannot be empty/],
    ["configure --dry-run", /--dry-run needs something to set/],
    ["configure lab", /'lab' is one argument too many/],
  ] as const) {
    const { status, stdout, stderr } = await o2cb(kernel, line);
    t.deepEqual([status, stdout], [1, []], line);
    t.regex(stderr[0] ?? "", message);
    t.is(await fileText(kernel, SETTINGS), "O2CB_ENABLED=true\n");
  }
  const { status, stderr } = await o2cb(kernel, "configure --threshold 5");
  t.is(status, 0);
  t.regex(stderr[0] ?? "", /less than the 7 that is safe/);
});

const wanted = (more: object = {}): string =>
  JSON.stringify({
    cluster: {
      name: "lab",
      mode: "local",
      nodes: ["alpha", "beta", "gamma"].map((name, number) => ({
        name,
        number,
        address: `10.0.0.${number + 1}`,
        port: 7777,
      })),
    },
    ...more,
  });

test("apply tells the difference and the steps, and a dry run the writes", async (t) => {
  const kernel = running();
  kernel.addFile("/tmp/want.json", wanted());
  const dry = await o2cb(kernel, "apply --dry-run /tmp/want.json");
  t.is(dry.status, 0, dry.stderr.join("\n"));
  t.true(dry.stdout.some((line) => /^kernel nodes\/gamma.*: \(none\) -> /.test(line)));
  t.true(dry.stdout.some((line) => line.startsWith("1. ")));
  t.true(dry.stdout.includes("this can be done while the cluster runs"));
  t.true(dry.stdout.includes("mkdir /sys/kernel/config/cluster/lab/node/gamma"));
  t.is(await fileText(kernel), TEXT);
  await o2cbJson(t, "o2cb-plan", kernel, "apply --dry-run /tmp/want.json");
  const wet = await o2cbJson(t, "o2cb-plan", kernel, "apply /tmp/want.json");
  t.false(wet["dryRun"] as boolean);
  t.regex(await fileText(kernel), /name = gamma/);
  t.deepEqual((await o2cb(kernel, "apply /tmp/want.json")).stdout, ["nothing to do"]);
});

test("apply refuses downtime unless it is allowed, and tells the plan all the same", async (t) => {
  const kernel = running();
  await kernel.cTool.mount(DISK, DIRECTORY);
  kernel.addFile("/tmp/want.json", wanted({ timeouts: { deadThreshold: 61 } }));
  const { status, stdout, stderr } = await o2cb(kernel, "apply /tmp/want.json");
  t.is(status, 1);
  t.true(stdout.includes("this needs the cluster to be offline on this host"));
  t.regex(stderr[0] ?? "", /cannot become what is wanted while it runs/);
  t.is(await fileText(kernel), TEXT);
  const { error } = JSON.parse((await o2cb(kernel, "apply --json /tmp/want.json")).stdout.join("")) as {
    error: { code: string };
  };
  t.is(error.code, "O2CB_REGION_IN_USE");
  await kernel.cTool.umount(DIRECTORY);
  t.is((await o2cb(kernel, "reap --force")).status, 0);
  const done = await o2cb(kernel, "apply --allow-downtime /tmp/want.json");
  t.is(done.status, 0, done.stderr.join("\n"));
});

test("apply says what is wrong with the file", async (t) => {
  const kernel = running();
  kernel.addFile("/tmp/bad.json", '{"cluster": {"name": "lab"}}');
  kernel.addFile("/tmp/broken.json", "{");
  for (const [line, message] of [
    ["apply /tmp/bad.json", /'\/cluster\/mode' of the desired state is missing/],
    ["apply /tmp/broken.json", /is not JSON/],
    ["apply /tmp/none.json", /there is no file '\/tmp\/none\.json'/],
    ["apply", /FILE is missing/],
  ] as const) {
    const { status, stdout, stderr } = await o2cb(kernel, line);
    t.deepEqual([status, stdout], [1, []], line);
    t.regex(stderr[0] ?? "", message);
  }
});
