// applyState over the fake kernel: files and kernel as they were wanted, nothing twice, and downtime only where it is allowed. What
// comes of failures and deaths is walk-apply.spec.ts.
import test from "ava";
import { applyState } from "../../ts/cluster/apply.ts";
import type { O2cbError } from "../../ts/errors.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";
import {
  ALPHA,
  apply,
  BETA,
  CONF,
  file,
  GAMMA,
  global,
  isAsWanted,
  kinds,
  local,
  node,
  SETTINGS,
  state,
  TEXT,
  want,
  withFiles,
} from "../helpers/apply.ts";
import { classicLocal, DIRECTORY, nothingLoaded, volume } from "../helpers/fake-native.ts";
import { command, mount } from "../helpers/region-work.ts";

async function refused(promise: Promise<unknown>): Promise<O2cbError> {
  return promise.then(
    () => {
      throw new Error("it was not refused");
    },
    (error: unknown) => error as O2cbError,
  );
}

// -- files alone

test("a host without a cluster gets its files, and nothing is loaded", async (t) => {
  const { kernel } = nothingLoaded();
  const desired = want(
    { nodes: [ALPHA, BETA, GAMMA] },
    { enabled: true, stack: "o2cb", leave: "kernel", timeouts: { deadSeconds: 120 } },
  );
  const result = await apply(kernel, desired);
  t.deepEqual(kinds(result), ["write-configuration", "write-settings"]);
  t.deepEqual([...kernel.modules], []);
  t.regex(await file(kernel, SETTINGS), /O2CB_ENABLED=true\n.*O2CB_HEARTBEAT_THRESHOLD=61/s);
  await isAsWanted(t, kernel, desired);
});

test("a host that is to be online gets all from files to cluster, as the dry run lists it, and once", async (t) => {
  const { kernel } = nothingLoaded();
  // As a module comes; nothing tells before it is loaded.
  kernel.hbCtlPath = "/sbin/ocfs2_hb_ctl";
  const desired = want({}, { online: true, timeouts: { deadThreshold: 61, fenceMethod: "panic" } });
  const planned = await apply(kernel, desired, { dryRun: true });
  t.is(kernel.modules.size, 0);
  const result = await apply(kernel, desired);
  t.deepEqual(kinds(result), ["write-configuration", "write-settings", "online"]);
  // The note goes where one is seen, so a dry run does not list that.
  t.deepEqual(result.writes.slice(0, -1), planned.writes);
  t.like(result.writes.at(-1), { action: "remove file", path: "/run/ocfs2-group/apply.json" });
  t.true((await state(kernel))?.nodes.some(({ local }) => local));
  await isAsWanted(t, kernel, desired);
});

test("comments, order and unknown keys of the files stay", async (t) => {
  const { kernel } = local();
  const desired = want(
    { nodes: [ALPHA, { ...BETA, port: 7778 }, GAMMA] },
    { timeouts: { reconnectMs: 3000 } },
  );
  await apply(kernel, desired);
  t.is(
    await file(kernel, CONF),
    `${TEXT.replace("MODE", "local")
      .replace("node_count = 2", "node_count = 3")
      .replace("number = 1\n\tip_port = 7777", "number = 1\n\tip_port = 7778")}node:
	cluster = lab
	number = 2
	ip_port = 7777
	ip_address = 10.0.0.3
	name = gamma

`,
  );
  t.is(
    await file(kernel, SETTINGS),
    "# written by hand\nO2CB_ENABLED=true\nO2CB_BOOTCLUSTER=lab\nO2CB_RECONNECT_DELAY_MS=3000\n",
  );
  await isAsWanted(t, kernel, desired);
});

test("two nodes change their numbers", async (t) => {
  const { kernel } = local();
  const desired = want({ nodes: [node("alpha", 1), node("beta", 0)] });
  await apply(kernel, desired);
  await isAsWanted(t, kernel, desired);
});

test("a file that cannot be loaded is left alone", async (t) => {
  const { kernel } = local();
  kernel.addFile(CONF, "cluster:\nname = lab\n");
  const error = await refused(apply(kernel, want()));
  t.is(error.code, "O2CB_CONFIGURATION_ERROR");
  t.regex(error.message, /line 2, column 1/);
  t.is(await file(kernel, CONF), "cluster:\nname = lab\n");
});

// -- what runs

test("a node is added under a mounted volume, and peers that are there", async (t) => {
  const { kernel } = local();
  await mount(kernel);
  kernel.network.livePeers.add(1);
  kernel.network.connectedPeers.add(1);
  const desired = want({ nodes: [ALPHA, BETA, GAMMA] });
  t.deepEqual(kinds(await apply(kernel, desired)), ["write-configuration", "add-node"]);
  t.true(kernel.isMounted(kernel.regions()[0]?.name ?? ""));
  await isAsWanted(t, kernel, desired);
});

test("what does not stand still is set while everything runs", async (t) => {
  const { kernel } = local();
  await mount(kernel);
  const desired = want({}, { timeouts: { reconnectMs: 4000, fenceMethod: "panic" }, leave: "kernel" });
  t.deepEqual(kinds(await apply(kernel, desired)), [
    "write-settings",
    "set-timeout",
    "set-timeout",
    "set-leave",
  ]);
  t.is(kernel.hbCtlPath, "/sbin/ocfs2_hb_ctl");
  await isAsWanted(t, kernel, desired);
});

test("a dead threshold under a mounted volume needs downtime, and the volume unmounted", async (t) => {
  const { kernel } = local();
  await mount(kernel);
  const before = await file(kernel, SETTINGS);
  const desired = want({}, { timeouts: { deadThreshold: 61 } });
  const online = await refused(apply(kernel, desired));
  t.is(online.code, "O2CB_REGION_IN_USE");
  t.regex(
    online.message,
    /set the dead threshold to 61 \(the kernel ignores it while there are heartbeat regions\)/,
  );
  t.regex(online.remedy ?? "", /allow downtime/);
  const held = await refused(apply(kernel, desired, { allowDowntime: true }));
  t.regex(held.message, /in use by the mount of \/dev\/sdb on '\/vol'/);
  t.is(await file(kernel, SETTINGS), before);
  t.truthy(await state(kernel));

  await command(kernel, (native) => unmountVolume(native, { target: DIRECTORY }), "umount.ocfs2");
  t.false((await apply(kernel, desired)).plan.needsDowntime);
  await isAsWanted(t, kernel, desired);
});

test("from local to global heartbeat, where nothing beats", async (t) => {
  const { kernel } = local();
  const device = volume({ heartbeatDevice: true });
  kernel.addDisk({ name: "sdr", number: { major: 65, minor: 16 }, volume: device });
  const desired = want({ mode: "global", heartbeats: [device.uuid] });
  t.deepEqual(kinds(await apply(kernel, desired)), ["write-configuration", "set-mode", "start-heartbeat"]);
  t.true(kernel.region(device.uuid)?.live);
  await isAsWanted(t, kernel, desired);
});

test("a region of global heartbeat comes, and another goes", async (t) => {
  const { kernel, quorum, further } = global();
  const both = want({ mode: "global", heartbeats: [quorum, further] });
  t.deepEqual(kinds(await apply(kernel, both)), ["write-configuration", "start-heartbeat"]);
  await isAsWanted(t, kernel, both);
  const other = want({ mode: "global", heartbeats: [further] });
  t.deepEqual(kinds(await apply(kernel, other)), ["write-configuration", "stop-heartbeat"]);
  await isAsWanted(t, kernel, other);
});

test("global heartbeat with a longer dead time: offline and online again, with what no file has", async (t) => {
  const { kernel, quorum } = global();
  const [cluster] = kernel.clusters.values();
  if (cluster !== undefined) cluster.fenceMethod = "panic";
  const desired = want({ mode: "global", heartbeats: [quorum] }, { timeouts: { deadThreshold: 61 } });
  await refused(apply(kernel, desired));
  const plans: number[] = [];
  const result = await apply(kernel, desired, {
    allowDowntime: true,
    onPlan: ({ steps }) => plans.push(steps.length),
  });
  t.deepEqual(kinds(result), ["write-settings", "offline", "set-timeout", "online"]);
  t.deepEqual(plans, [4]);
  t.true(kernel.region(quorum)?.live);
  t.is((await state(kernel))?.timeouts.fenceMethod, "panic");
  await isAsWanted(t, kernel, desired);
});

test("another cluster in place of one that runs nothing", async (t) => {
  const { kernel } = local();
  const desired = want({ name: "other" });
  t.deepEqual(kinds(await apply(kernel, desired)), [
    "write-configuration",
    "write-settings",
    "offline",
    "change-cluster",
    "online",
  ]);
  t.regex(await file(kernel, CONF), /name = lab\n.*name = other\n/s);
  await isAsWanted(t, kernel, desired);
});

test("another stack, which nothing uses", async (t) => {
  const { kernel } = withFiles(classicLocal({ unregistered: true }));
  kernel.stackLabel = "pcmk";
  const desired = want({}, { stack: "o2cb" });
  t.deepEqual(kinds(await apply(kernel, desired)), ["set-stack"]);
  t.is(kernel.stackLabel, "o2cb");
  await isAsWanted(t, kernel, desired);
});

test("what the kernel ignores is found out", async (t) => {
  const { kernel } = local();
  const native = kernel.process();
  const write = native.writeAttribute.bind(native);
  native.writeAttribute = async (path, value, options) => {
    if (!path.endsWith("reconnect_delay_ms")) await write(path, value, options);
  };
  const error = await refused(applyState(native, want({}, { timeouts: { reconnectMs: 4000 } })));
  t.is(error.code, "O2CB_INTERNAL_FAILURE");
});

// -- dry runs

test("a dry run lists every write, in order, and changes nothing", async (t) => {
  const { kernel } = local();
  const desired = want({ nodes: [ALPHA, BETA, GAMMA] }, { timeouts: { reconnectMs: 4000 } });
  const native = kernel.process();
  const { writes } = await applyState(native, desired, { dryRun: true });
  const changing = native.calls.filter(({ name }) =>
    /^(write|make|remove|replace|start|run|lock)/.test(name),
  );
  t.deepEqual(changing, []);
  native.exit();
  t.deepEqual(
    writes.map(({ action, path }) => `${action} ${path.replace("/sys/kernel/config", "CFS")}`),
    [
      `replace file ${CONF}`,
      `replace file ${SETTINGS}`,
      "replace file /run/ocfs2-group/apply.json",
      "write CFS/cluster/lab/reconnect_delay_ms",
      "mkdir CFS/cluster/lab/node/gamma",
      "write CFS/cluster/lab/node/gamma/ipv4_port",
      "write CFS/cluster/lab/node/gamma/ipv4_address",
      "write CFS/cluster/lab/node/gamma/num",
    ],
  );
  t.deepEqual(writes.map(({ action, path }) => `${action} ${path}`).slice(0, 2).length, 2);
  const done = await apply(kernel, desired);
  t.deepEqual(
    done.writes.filter(({ path }) => path !== "/run/ocfs2-group/apply.json"),
    writes.filter(({ path }) => path !== "/run/ocfs2-group/apply.json"),
  );
});

test("a dry run of what needs downtime lists it all, and tells who stands in the way", async (t) => {
  const { kernel, quorum } = global();
  await mount(kernel);
  const warnings: string[] = [];
  const desired = want({ mode: "global", heartbeats: [quorum] }, { timeouts: { deadThreshold: 61 } });
  const { plan, writes } = await apply(kernel, desired, {
    dryRun: true,
    onStep: (step) => void (step.step === "warning" && warnings.push(step.message)),
  });
  t.true(plan.needsDowntime);
  t.regex(warnings.join("\n"), /in use by the mount of \/dev\/sdb/);
  const list = writes.map(
    ({ action, path }) => `${action} ${path.replace("/sys/kernel/config/cluster", "C")}`,
  );
  const order = [
    `replace file ${SETTINGS}`,
    `rmdir C/lab/heartbeat/${quorum}`,
    "rmdir C/lab",
    "mkdir C/lab",
    "write C/lab/heartbeat/dead_threshold",
    "write C/lab/node/alpha/local",
    `start heartbeat C/lab/heartbeat/${quorum}`,
  ].map((one) => list.indexOf(one));
  t.false(order.includes(-1), list.join("\n"));
  t.deepEqual(
    order,
    order.toSorted((one, other) => one - other),
  );
});
