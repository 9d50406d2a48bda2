// The service as a whole: online, offline, start, stop, restart, drain; nothing is half done, nothing in use is touched.
import test from "ava";
import {
  ENABLED,
  failure,
  globalCluster,
  LOCAL,
  registration,
  WRITES,
  written,
} from "../helpers/clusters.ts";
import {
  classicGlobal,
  classicLocal,
  CLUSTER,
  DIRECTORY,
  DISK,
  nothingLoaded,
  oldDriver,
  UUID,
  volume,
  walkFaults,
  walkKills,
  type FakeKernel,
  type Machine,
  type SetupSettings,
} from "../helpers/fake-native.ts";
import { drain, offline, online, restart, start, stop } from "../../ts/cluster/service.ts";
import type { OnlineOptions } from "../../ts/cluster/online.ts";
import { startService } from "../../ts/hb-ctl/start.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";

const REGION = "A0000000000000000000000000000001";
const options: OnlineOptions = { sysconfig: ENABLED, clusters: [LOCAL], rescanMs: [] };
const globally: OnlineOptions = { ...options, clusters: [globalCluster(REGION)] };

function after(settings: SetupSettings): Machine {
  const machine = nothingLoaded({ configfs: null, ...settings });
  machine.kernel.hbCtlPath = "/sbin/ocfs2_hb_ctl";
  return machine;
}

const booted = (): Machine => after({});
const bootedGlobal = (): Machine => {
  const machine = after({ volume: { global: true } });
  const content = volume({ uuid: REGION, heartbeatDevice: true, global: true });
  machine.kernel.addDisk({ name: "nvme0n1", number: { major: 259, minor: 0 }, volume: content });
  return machine;
};
const bootedOld = (): Machine =>
  after({
    features: { ...oldDriver },
    revisionPath: "/proc/fs/ocfs2_nodemanager/interface_revision",
    volume: { stack: null },
  });

const machines: Record<string, [() => Machine, OnlineOptions]> = {
  "local heartbeat": [booted, options],
  "global heartbeat": [bootedGlobal, globally],
  "a driver of the 1.2 era": [bootedOld, options],
};

async function onlineMachine(setup: () => Machine, how: OnlineOptions): Promise<FakeKernel> {
  const { kernel } = setup();
  await online(kernel.process(), how);
  return kernel;
}

const mount = (kernel: FakeKernel, directory: string = DIRECTORY): Promise<unknown> =>
  mountVolume(kernel.process(), { device: DISK, directory });

for (const [name, [setup, how]] of Object.entries(machines)) {
  test(`${name}: from boot to a mounted volume, drained and stopped; each step twice`, async (t) => {
    const { kernel } = setup();
    await start(kernel.process(), how);
    t.like(registration(kernel), { name: CLUSTER, nodes: [{ local: true }, { local: false }] });
    const again = kernel.process();
    t.deepEqual((await start(again, how)).writes, []);
    // Where there is no debugfs it is tried each time.
    t.deepEqual(
      written(again).filter((call) => !call.startsWith("mount ")),
      [],
    );
    await mount(kernel);
    const error = await failure(offline(kernel.process()));
    t.is(error.code, "O2CB_REGION_IN_USE");
    t.regex(error.message, /'\/vol'/);
    t.deepEqual((await drain(kernel.process())).unmounted.length, 1);
    t.is(registration(kernel), null);
    const second = await drain(kernel.process());
    t.deepEqual([second.unmounted, second.writes], [[], []]);
    await stop(kernel.process());
    t.false([...kernel.modules].some((module) => module.startsWith("ocfs2")));
    t.deepEqual((await stop(kernel.process())).writes, []);
    t.deepEqual(kernel.disasters, []);
  });

  test(`${name}: whatever fails in online, it is rolled back or the next one completes it`, async (t) => {
    await walkFaults((native) => online(native, how), {
      setup,
      errnos: [name.startsWith("local") ? "ENOENT" : "EIO"],
      check: async ({ kernel, outcome, title }) => {
        if (outcome.status === "failed") t.is(registration(kernel), null, title);
        await online(kernel.process(), how);
        t.like(registration(kernel), { nodes: [{ local: true }, { local: false }] }, title);
        await mount(kernel);
        await drain(kernel.process());
        t.deepEqual([registration(kernel), kernel.leftovers()], [null, []], title);
      },
    });
  });

  test(`${name}: whatever fails in offline, the next one completes it`, async (t) => {
    await walkFaults((native) => offline(native), {
      setup: async () => ({ kernel: await onlineMachine(setup, how) }),
      errnos: [name.startsWith("local") ? "EBUSY" : "EIO"],
      check: async ({ kernel, title }) => {
        await offline(kernel.process());
        t.deepEqual([registration(kernel), kernel.leftovers()], [null, []], title);
      },
    });
  });

  test(`${name}: killed anywhere in a restart, the next start and stop complete`, async (t) => {
    await walkKills((native) => restart(native, how), {
      setup: async () => ({ kernel: await onlineMachine(setup, how) }),
      only: (call) => WRITES.includes(call.name) || call.name.startsWith("RegionLock"),
      check: async ({ kernel, title }) => {
        await start(kernel.process(), how);
        t.like(registration(kernel), { nodes: [{ local: true }, { local: false }] }, title);
        await stop(kernel.process());
        t.deepEqual([registration(kernel), kernel.leftovers(), kernel.disasters], [null, [], []], title);
      },
    });
  });
}

test("the service that is not enabled does nothing at a start", async (t) => {
  const native = booted().kernel.process();
  const result = await start(native, { ...options, sysconfig: { ...ENABLED, enabled: false } });
  t.deepEqual([result, native.calls], [{ isEnabled: false, online: null, writes: [] }, []]);
});

test("which cluster: the one named, the one of the settings, the only one; else a refusal before anything", async (t) => {
  const { kernel } = booted();
  const native = kernel.process();
  const unnamed = { ...ENABLED, bootCluster: null };
  const two = [LOCAL, { ...LOCAL, name: "other" }];
  for (const how of [
    { ...options, name: "none" },
    { ...options, clusters: [] },
    { ...options, sysconfig: unnamed, clusters: two },
  ]) {
    t.is((await failure(online(native, how))).code, "O2CB_CONFIGURATION_ERROR");
  }
  t.deepEqual(native.calls, []);
  await online(native, { ...options, sysconfig: unnamed });
  await offline(native);
  await online(native, { ...options, clusters: two, name: "other" });
  t.like(registration(kernel), { name: "other" });
  const error = await failure(online(native, options));
  t.is(error.code, "O2CB_CLUSTER_EXISTS");
});

test("a dry run of online and of offline lists what they do, in order, and changes nothing", async (t) => {
  for (const [setup, how] of [
    [booted, options],
    [bootedGlobal, globally],
  ] as const) {
    const { kernel } = setup();
    const native = kernel.process();
    const planned = await online(native, { ...how, dryRun: true });
    t.deepEqual([written(native), registration(kernel)], [[], null]);
    const done = await online(native, how);
    t.deepEqual(planned.writes, done.writes);
    const before = kernel.leftovers();
    const end = await offline(native, { dryRun: true });
    t.deepEqual(kernel.leftovers(), before);
    t.deepEqual((await offline(native)).writes, end.writes);
  }
});

test("online with another stack: the label is set; one that is in use is not taken away", async (t) => {
  const { kernel } = booted();
  kernel.loadModule("ocfs2_stackglue");
  kernel.stackLabel = "pcmk";
  await online(kernel.process(), options);
  t.is(kernel.stackLabel, "o2cb");
  const user = booted().kernel;
  user.stackLabel = "pcmk";
  user.domains.set("X", { users: 1 });
  const error = await failure(online(user.process(), options));
  t.is(error.code, "O2CB_INVALID_STACK_NAME");
  t.regex(error.message, /cannot become 'o2cb': it is 'pcmk', and it is in use by the DLM domain 'X'/);
});

test("a heartbeat that cannot start takes the registration back, but not one that was there", async (t) => {
  const { kernel } = bootedGlobal();
  const native = kernel.process();
  native.failCall("startHeartbeat", { errno: "EIO" });
  t.is((await failure(online(native, globally))).code, "O2CB_HEARTBEAT_FAILED");
  t.is(registration(kernel), null);
  const there = classicGlobal({ stopped: true });
  t.is((await failure(online(there.kernel.process(), globally))).code, "O2CB_UNKNOWN_REGION");
  t.like(registration(there.kernel), { name: CLUSTER });
});

test("offline clears what is left over, and names who holds what is not", async (t) => {
  const left = classicLocal();
  const dying = left.kernel.process();
  dying.failCall({ name: "mount" }, { kill: "before" });
  await Promise.race([
    mountVolume(dying, { device: DISK, directory: DIRECTORY }),
    new Promise<void>((resolve) => dying.task.atExit("files", () => resolve())),
  ]);
  await left.kernel.idle();
  t.is(left.kernel.regions().length, 1);
  t.deepEqual((await offline(left.kernel.process())).reaped, [UUID]);
  t.is(registration(left.kernel), null);

  const held = classicLocal();
  await startService(held.kernel.process(), { device: DISK, uuid: null, service: "backup" });
  const error = await failure(offline(held.kernel.process()));
  t.is(error.code, "O2CB_REGION_IN_USE");
  t.regex(error.message, new RegExp(`${UUID}.*backup`));
  t.is(held.kernel.regions().length, 1);

  const foreign = classicLocal();
  const process = foreign.kernel.process();
  await startService(process, { device: DISK, uuid: null, service: "backup" });
  for (const file of await process.listFiles("/run/ocfs2-group/joins"))
    await process.removeFile(`/run/ocfs2-group/joins/${file}`);
  t.regex((await failure(offline(foreign.kernel.process()))).message, /a C tool may hold it/);
  t.is(
    (await failure(offline(foreign.kernel.process(), { name: "other" }))).code,
    "O2CB_INVALID_CLUSTER_NAME",
  );
});

test("programs with dlmfs open are named, never ended, unless that is asked for", async (t) => {
  const { kernel } = classicGlobal({ dlmfs: "/dlm" });
  const program = kernel.process({ name: "lockd" });
  await program.makeDirectory("/dlm/LOCKS");
  program.openFile("/dlm/LOCKS");
  const native = kernel.process();
  const error = await failure(offline(native));
  t.regex(error.message, /'LOCKS' \(\/dlm\/LOCKS\)/);
  t.regex(error.message, new RegExp(`process ${program.pid} \\(lockd\\), which has '/dlm/LOCKS' open`));
  t.true(program.alive);
  t.deepEqual(written(native), []);
  const dry = await offline(native, { kill: true, dryRun: true });
  t.true(program.alive);
  const result = await offline(native, { kill: true });
  t.deepEqual(dry.writes, result.writes);
  t.like(result.killed, [{ pid: program.pid, name: "lockd" }]);
  t.false(program.alive);
  t.true(native.alive);
  t.is(registration(kernel), null);
});

test("drain: every mount point of every volume, in every namespace, those on top first", async (t) => {
  const { kernel } = classicLocal();
  kernel.addDisk({ name: "sdc", number: { major: 8, minor: 32 }, volume: volume() });
  await mount(kernel);
  await mount(kernel, "/vol2");
  const inner = kernel.process();
  await inner.makeDirectory(`${DIRECTORY}/inner`);
  await mountVolume(kernel.process(), { device: "/dev/sdc", directory: `${DIRECTORY}/inner` });
  const namespace = kernel.namespace.copy("container", 4_026_532_999);
  kernel.process({ namespace });
  const planned = await drain(kernel.process(), { dryRun: true });
  const result = await drain(kernel.process());
  t.is(planned.unmounted.length, 6);
  t.is(result.unmounted.length, 6);
  t.deepEqual([registration(kernel), kernel.disasters], [null, []]);
  t.false(
    [...kernel.namespace.mounts, ...namespace.mounts].some(({ fileSystem }) => fileSystem.type === "ocfs2"),
  );
});

test("drain: a volume on which another one lies is tried again when that is gone", async (t) => {
  const { kernel } = classicLocal();
  kernel.addDisk({ name: "sdc", number: { major: 8, minor: 32 }, volume: volume() });
  await mount(kernel);
  const user = kernel.process();
  await user.makeDirectory(`${DIRECTORY}/inner`);
  for (const directory of [`${DIRECTORY}/inner`, "/vol2", "/vol3"])
    await mountVolume(user, { device: "/dev/sdc", directory });
  const native = kernel.process();
  t.is((await drain(native)).unmounted.length, 4);
  t.true(native.calls.filter(({ name }) => name === "unmount").length > 4, "one was busy at first");
  t.is(registration(kernel), null);
});

test("drain: a busy mount is named, the others go, and the cluster stays online", async (t) => {
  const { kernel } = classicLocal();
  kernel.addDisk({ name: "sdc", number: { major: 8, minor: 32 }, volume: volume() });
  await mount(kernel);
  await mountVolume(kernel.process(), { device: "/dev/sdc", directory: "/vol2" });
  const user = kernel.process();
  const file = user.openFile(DIRECTORY);
  const error = await failure(drain(kernel.process()));
  t.is(error.code, "O2CB_UNMOUNT_FAILED");
  t.regex(error.message, /'\/vol'/);
  t.notRegex(error.message, /\/vol2/);
  t.like(registration(kernel), { regions: [UUID] });
  await file.close();
  await drain(kernel.process());
  t.is(registration(kernel), null);
});

test("drain where the kernel leaves through the C tool", async (t) => {
  const { kernel } = classicLocal({ leave: "kernel" });
  await mount(kernel);
  t.like(await drain(kernel.process()), { unmounted: [{ outcome: "kernel-leaves" }] });
  t.is(registration(kernel), null);
  t.is(kernel.callOuts.length, 1);
});

test("one command at a time: a second online waits for the first", async (t) => {
  const { kernel } = bootedGlobal();
  const hold = kernel.holdHeartbeat();
  const first = online(kernel.process(), globally);
  await hold.reached;
  const other = kernel.process();
  const second = offline(other);
  for (let turn = 0; turn < 20; turn += 1) await kernel.idle();
  t.is(other.calls.at(-1)?.name, "lockFile");
  hold.finish();
  await first;
  await second;
  t.is(registration(kernel), null);
});
