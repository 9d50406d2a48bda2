// Global heartbeat: started on the devices that carry the regions, side by side; what it undoes, and what it will not stop.
import test from "ava";
import { failure, globalCluster, LOCAL, written } from "../helpers/clusters.ts";
import {
  classicGlobal,
  classicLocal,
  CLUSTER,
  DIRECTORY,
  DISK,
  volume,
  walkFaults,
  walkKills,
  type BlockDevice,
  type FakeKernel,
  type Machine,
} from "../helpers/fake-native.ts";
import { startHeartbeat, stopHeartbeat } from "../../ts/cluster/heartbeat.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";

const none = { rescanMs: [] };
const ONE = "A0000000000000000000000000000001";
const TWO = "A0000000000000000000000000000002";

/** Two heartbeat devices more, none of them started: one behind a name that the C tool does not look at. */
function stopped(): Machine {
  const machine = classicGlobal({ stopped: true });
  disk(machine.kernel, "nvme0n1", 0, ONE);
  disk(machine.kernel, "cciss!c0d0", 1, TWO);
  return machine;
}

function disk(kernel: FakeKernel, name: string, minor: number, uuid: string): BlockDevice {
  const content = volume({ uuid, heartbeatDevice: true, global: true });
  return kernel.addDisk({ name, number: { major: 259, minor }, volume: content });
}

const references = (kernel: FakeKernel, uuid: string): number | undefined => {
  const [, found] = [...kernel.semaphoreSets()].find(([, set]) => set.label === uuid) ?? [];
  return found?.values[1];
};

const beating = (kernel: FakeKernel): string[] =>
  kernel
    .regions()
    .filter(({ live }) => live)
    .map(({ name }) => name)
    .toSorted();

test("every region starts with one persistent reference, and nothing happens the second time", async (t) => {
  const { kernel } = stopped();
  const native = kernel.process();
  const result = await startHeartbeat(native, globalCluster(ONE, TWO.toLowerCase()), none);
  t.deepEqual(
    result.started.toSorted((a, b) => (a.region < b.region ? -1 : 1)),
    [
      { region: ONE, device: "/dev/nvme0n1" },
      { region: TWO, device: "/dev/cciss/c0d0" },
    ],
  );
  native.exit();
  t.deepEqual(beating(kernel), [ONE, TWO]);
  t.deepEqual([references(kernel, ONE), references(kernel, TWO)], [1, 1]);
  const again = kernel.process();
  const second = await startHeartbeat(again, globalCluster(ONE, TWO), none);
  t.deepEqual([second.started, second.running.toSorted(), written(again)], [[], [ONE, TWO], []]);
  t.is(references(kernel, ONE), 1);
});

test("they start at the same time", async (t) => {
  const { kernel } = stopped();
  const holds = [kernel.holdHeartbeat(), kernel.holdHeartbeat()];
  const work = startHeartbeat(kernel.process(), globalCluster(ONE, TWO), none);
  for (const hold of holds) await hold.reached;
  for (const hold of holds) hold.finish();
  t.is((await work).started.length, 2);
});

test("a dry run lists the writes of a start and of a stop, and starts nothing", async (t) => {
  const { kernel } = stopped();
  const native = kernel.process();
  const result = await startHeartbeat(native, globalCluster(ONE), { ...none, dryRun: true });
  t.deepEqual(
    result.writes.map(({ action }) => action),
    ["mkdir", "write", "write", "write", "start heartbeat"],
  );
  t.deepEqual([written(native), kernel.leftovers()], [[], []]);
  await startHeartbeat(native, globalCluster(ONE), none);
  const before = kernel.leftovers();
  t.like(await stopHeartbeat(native, CLUSTER, { dryRun: true }), { stopped: [ONE] });
  t.deepEqual(kernel.leftovers(), before);
});

test("what is not configured any more is stopped, and kept where something relies on it", async (t) => {
  const { kernel } = classicGlobal();
  disk(kernel, "nvme0n1", 0, ONE);
  const old = kernel.regions()[0]?.name ?? "";
  const result = await startHeartbeat(kernel.process(), globalCluster(ONE), none);
  t.deepEqual([result.stopped, result.kept, beating(kernel)], [[old], [], [ONE]]);
  const pinned = classicGlobal();
  disk(pinned.kernel, "nvme0n1", 0, ONE);
  pinned.kernel.joinDomain("SOME");
  const kept = await startHeartbeat(pinned.kernel.process(), globalCluster(ONE), none);
  t.like(kept, { stopped: [], kept: [{ region: pinned.kernel.regions()[0]?.name ?? "" }] });
  t.is(references(pinned.kernel, kept.kept[0]?.region ?? ""), 1);
});

test("on a failure only what this call has started is stopped", async (t) => {
  const { kernel } = classicGlobal();
  const running = kernel.regions()[0]?.name ?? "";
  disk(kernel, "nvme0n1", 0, ONE);
  disk(kernel, "nvme1n1", 1, TWO);
  kernel.markClean();
  const native = kernel.process();
  native.failCall(
    { name: "startHeartbeat", where: ([path]) => String(path).endsWith(TWO) },
    { errno: "EIO" },
  );
  const error = await failure(startHeartbeat(native, globalCluster(running, ONE, TWO), none));
  t.is(error.code, "O2CB_HEARTBEAT_FAILED");
  t.deepEqual(beating(kernel), [running]);
  t.deepEqual(
    kernel.leftovers().filter((what) => !what.includes(TWO)),
    [],
  );
});

test("no device, another cluster's device, no region, no cluster, local mode", async (t) => {
  const { kernel } = stopped();
  const start = (cluster = globalCluster(ONE)) => failure(startHeartbeat(kernel.process(), cluster, none));
  t.is((await start(globalCluster(ONE.replace("A", "B")))).code, "O2CB_UNKNOWN_REGION");
  t.is((await start(globalCluster())).code, "O2CB_CONFIGURATION_ERROR");
  t.is((await start(globalCluster("rubbish"))).code, "O2CB_INVALID_REGION_NAME");
  t.is((await start({ ...globalCluster(ONE), name: "other" })).code, "O2CB_INVALID_CLUSTER_NAME");
  kernel.addDisk({
    name: "sdx",
    number: { major: 8, minor: 99 },
    volume: volume({ uuid: ONE.replace("A", "C"), cluster: "other", global: true }),
  });
  t.is((await start(globalCluster(ONE.replace("A", "C")))).code, "O2CB_INVALID_CLUSTER_NAME");
  t.deepEqual(beating(kernel), []);
  const local = classicLocal().kernel;
  t.is(
    (await failure(startHeartbeat(local.process(), globalCluster(ONE), none))).code,
    "O2CB_INVALID_HEARTBEAT_MODE",
  );
  const steps: string[] = [];
  const native = local.process();
  const result = await startHeartbeat(native, LOCAL, { onStep: ({ step }) => steps.push(step) });
  t.like(result, { mode: "local", started: [], writes: [] });
  t.deepEqual([steps, native.calls], [["skip"], []]);
  const bare = classicGlobal({ unregistered: true }).kernel;
  t.is(
    (await failure(startHeartbeat(bare.process(), globalCluster(ONE), none))).code,
    "O2CB_SERVICE_UNAVAILABLE",
  );
});

test("a disk that comes late is waited for, until the caller gives up", async (t) => {
  const { kernel } = classicGlobal({ stopped: true });
  const native = kernel.process();
  let looks = 0;
  native.beforeCall = ({ name, args }) => {
    if (name !== "listFiles" || args[0] !== "/sys/class/block") return;
    looks += 1;
    if (looks === 2) disk(kernel, "nvme0n1", 0, ONE);
  };
  const result = await startHeartbeat(native, globalCluster(ONE), { rescanMs: [1, 1] });
  t.deepEqual([result.started.length, looks], [1, 2]);
  const controller = new AbortController();
  const waiting = kernel.process();
  waiting.beforeCall = ({ name }) => void (name === "listFiles" && setImmediate(() => controller.abort()));
  const options = { rescanMs: [1e9], signal: controller.signal };
  const error = await failure(startHeartbeat(waiting, globalCluster(TWO), options));
  t.is(error.code, "O2CB_ABORTED");
});

test("stop: all regions, nothing where none is, never under a mount or a domain", async (t) => {
  const { kernel } = stopped();
  await startHeartbeat(kernel.process(), globalCluster(ONE, TWO), none);
  await mountVolume(kernel.process(), { device: DISK, directory: DIRECTORY });
  const error = await failure(stopHeartbeat(kernel.process(), CLUSTER));
  t.is(error.code, "O2CB_REGION_IN_USE");
  t.regex(error.message, /mount of \/dev\/sdb on '\/vol'/);
  t.deepEqual(beating(kernel), [ONE, TWO]);
  const domain = classicGlobal().kernel;
  domain.joinDomain("LOCKS");
  t.regex((await failure(stopHeartbeat(domain.process(), CLUSTER))).message, /DLM domain 'LOCKS'/);
  const idle = stopped().kernel;
  await startHeartbeat(idle.process(), globalCluster(ONE, TWO), none);
  t.deepEqual((await stopHeartbeat(idle.process(), CLUSTER)).stopped.toSorted(), [ONE, TWO]);
  t.deepEqual(idle.leftovers(), []);
  t.deepEqual((await stopHeartbeat(idle.process(), CLUSTER)).stopped, []);
  t.like(await stopHeartbeat(classicLocal().kernel.process(), CLUSTER), { mode: "local", stopped: [] });
});

test("whatever fails in a start, it is rolled back or the next one completes it, and it can be stopped", async (t) => {
  const check = async ({ kernel, title }: { kernel: FakeKernel; title: string }): Promise<void> => {
    const next = kernel.process();
    await startHeartbeat(next, globalCluster(ONE, TWO), none);
    next.exit();
    t.deepEqual(beating(kernel), [ONE, TWO], title);
    t.deepEqual([references(kernel, ONE), references(kernel, TWO)], [1, 1], title);
    await stopHeartbeat(kernel.process(), CLUSTER);
    t.deepEqual(kernel.leftovers(), [], title);
  };
  await walkFaults((native) => startHeartbeat(native, globalCluster(ONE, TWO), none), {
    setup: stopped,
    errnos: ["EIO", "ENOENT"],
    check,
  });
  await walkKills((native) => startHeartbeat(native, globalCluster(ONE, TWO), none), {
    setup: stopped,
    check,
  });
});
