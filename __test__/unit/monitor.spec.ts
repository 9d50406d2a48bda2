// The monitor over the fake machine: however a superblock dies, its reference goes, and nothing else does.
import test from "ava";
import {
  classicLocal,
  deaths,
  DIRECTORY,
  DISK,
  nothingLoaded,
  registerCluster,
  startByHand,
  UUID,
  volume,
  type FakeKernel,
} from "../helpers/fake-native.ts";
import { RunningMonitor } from "../helpers/monitor.ts";
import { tidier } from "../../ts/cli/tidy.ts";
import { beginGroupJoin } from "../../ts/membership.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";
import { writeRecord, newRecord, readRecords, heartbeatThread } from "../../ts/region/record.ts";
import { openVolume } from "../../ts/volume.ts";

const SECOND = "/vol2";

async function mount(kernel: FakeKernel, directory: string = DIRECTORY): Promise<void> {
  const native = kernel.process({ name: "mount.ocfs2" });
  await mountVolume(native, { device: DISK, directory });
  native.exit();
}

const references = (kernel: FakeKernel): number => {
  const set = kernel.semaphoreSets().find(([, { label }]) => label === UUID);
  return set?.[1].values[1] ?? 0;
};

for (const { title, die } of deaths) {
  test(`${title}: the region is left`, async (t) => {
    const { kernel } = classicLocal();
    const running = await RunningMonitor.start(kernel);
    await mount(kernel);
    await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
    await die(kernel, DIRECTORY);
    await running.until(() => running.of("region-gone").length > 0, "the region is gone");
    await running.rest();
    t.deepEqual(running.words, ["region", "superblock", "superblock-gone", "left", "region-gone"]);
    t.like(running.of("left")[0], { region: UUID, references: 0, stopped: true });
    await running.stop();
    t.deepEqual(kernel.leftovers(), []);
  });
}

test("a file that is open after a lazy unmount keeps the region; its close ends it", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  const user = kernel.process({ name: "editor" });
  user.openFile(DIRECTORY);
  await kernel.cTool.umount(DIRECTORY, true);
  await running.rest();
  t.deepEqual(running.words, ["region", "superblock"]);
  t.is(references(kernel), 1);
  user.kill();
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("of two mount points and a bind only the last ends it", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await mount(kernel, SECOND);
  kernel.bind(DIRECTORY, "/vol3");
  for (const directory of [DIRECTORY, SECOND]) {
    await kernel.cTool.umount(directory);
    await running.rest();
    t.is(references(kernel), 1, directory);
  }
  t.deepEqual(running.words, ["region", "superblock"]);
  await kernel.cTool.umount("/vol3");
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("a superblock that only another namespace shows is watched there", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  const inside = kernel.process({ name: "container", namespace: kernel.unshare() });
  await kernel.cTool.umount(DIRECTORY);
  const running = await RunningMonitor.start(kernel);
  t.like(running.of("ready")[0], { regions: 1, superblocks: 1 });
  await running.rest();
  inside.kill();
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("a dismount that takes its time is waited for", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  const hold = kernel.holdDismount();
  const unmounted = kernel.cTool.umount(DIRECTORY);
  await hold.reached;
  await running.until(() => running.of("superblock-gone").length > 0, "its death is told");
  await running.looks(5);
  t.is(references(kernel), 1, "while the device is claimed");
  t.truthy(kernel.region(UUID));
  hold.finish();
  await unmounted;
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("our own umount.ocfs2 leaves; the monitor only tells", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  const native = kernel.process();
  await unmountVolume(native, { target: DIRECTORY });
  native.exit();
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.rest();
  t.deepEqual(running.of("failed"), []);
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("what the C tool mounts is noted while it lives, and left when it dies", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await kernel.cTool.mount(DISK, DIRECTORY);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  await running.rest();
  const { records } = await readRecords(kernel.process(), UUID);
  t.like(records[0], { observed: true, references: 1, service: "ocfs2", directory: DIRECTORY });
  t.is(records.length, 1);
  await kernel.cTool.umount(DIRECTORY);
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("the C tool's second mount takes a second reference: both are left", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await kernel.cTool.mount(DISK, DIRECTORY);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  await running.rest();
  await kernel.cTool.mount(DISK, SECOND);
  t.is(references(kernel), 2);
  await running.rest();
  await kernel.cTool.umount(DIRECTORY);
  await kernel.cTool.umount(SECOND);
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  t.like(running.of("left")[0], { references: 0, stopped: true });
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("a bind mount is not taken for a second reference, nor a program's reference for a mount's", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await kernel.cTool.mount(DISK, DIRECTORY);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  await running.rest();
  kernel.bind(DIRECTORY, SECOND);
  await running.rest();
  await kernel.cTool.hbCtlStart(UUID);
  await kernel.cTool.umount(DIRECTORY);
  await running.rest();
  await kernel.cTool.umount(SECOND);
  await running.until(() => running.of("left").length > 0, "the mount's reference is left");
  await running.looks(3);
  t.is(references(kernel), 1);
  t.is(running.of("kept").at(-1)?.verdict, "unexplained-references");
  await running.stop();
  t.is(references(kernel), 1);
});

test("what agents and C tools hold is untouched, and told once", async (t) => {
  const { kernel, disk } = classicLocal();
  startByHand(kernel, disk);
  await kernel.cTool.hbCtlStart(UUID);
  const agent = kernel.process({ name: "agent" });
  const thread = await heartbeatThread(agent, String(kernel.region(UUID)?.pid ?? ""));
  await writeRecord(
    agent,
    await newRecord(agent, { region: UUID, thread, service: "agent", persistent: true }),
  );
  agent.exit();
  const running = await RunningMonitor.start(kernel);
  await running.looks(4);
  t.is(references(kernel), 2);
  t.deepEqual(
    running.of("kept").map(({ verdict }) => verdict),
    ["unexplained-references"],
  );
  t.deepEqual(running.of("left"), []);
  await running.stop();
});

test("a mounter that is killed at work leaves nothing", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  const native = kernel.process({ name: "mount.ocfs2" });
  native.failCall("mount", { kill: "before" });
  void mountVolume(native, { device: DISK, directory: DIRECTORY });
  await running.until(() => !native.alive, "it is killed");
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.rest();
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("a region that is being started by a C tool is left alone", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  const hold = kernel.holdHeartbeat();
  const mounted = kernel.cTool.mount(DISK, DIRECTORY);
  await hold.reached;
  await running.until(() => running.of("region").length > 0, "the region is seen");
  await running.looks(5);
  t.truthy(kernel.region(UUID));
  hold.finish();
  await mounted;
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  t.deepEqual(running.of("left"), []);
  await running.stop();
});

for (const double of [false, true]) {
  test(`the kernel leaves through the C tool${double ? ", which counted two mounts" : ""}: never a reference too many`, async (t) => {
    const { kernel } = classicLocal({ leave: "kernel" });
    const running = await RunningMonitor.start(kernel);
    await kernel.cTool.mount(DISK, DIRECTORY);
    await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
    await running.rest();
    if (double) await kernel.cTool.mount(DISK, SECOND);
    await running.rest();
    const hold = kernel.holdDismount();
    if (double) await kernel.cTool.umount(SECOND);
    const unmounted = kernel.cTool.umount(DIRECTORY);
    await hold.reached;
    await running.until(() => running.of("superblock-gone").length > 0, "its death is told");
    await running.looks(3);
    t.is(references(kernel), double ? 2 : 1, "the kernel's program has not run yet");
    hold.finish();
    await unmounted;
    await running.looks(3);
    t.is(kernel.callOuts.length, 1);
    t.is(kernel.callOuts[0]?.status, 0);
    t.is(references(kernel), double ? 1 : 0);
    t.is(kernel.region(UUID) === undefined, !double);
    await running.stop();
  });
}

test("the disk vanishes under a mount: nothing is dropped while the superblock lives", async (t) => {
  const { kernel, disk } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  disk.broken = true;
  kernel.disks.delete(disk);
  kernel.addDirectory("/wake");
  kernel.bind(DIRECTORY, SECOND);
  await running.rest();
  t.is(references(kernel), 1);
  await kernel.cTool.umount(SECOND);
  await kernel.cTool.umount(DIRECTORY);
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.stop();
  t.is(references(kernel), 0);
});

test("a new monitor takes over where a killed one stood", async (t) => {
  const { kernel } = classicLocal();
  const first = await RunningMonitor.start(kernel);
  await kernel.cTool.mount(DISK, DIRECTORY);
  await first.until(() => first.of("superblock").length > 0, "the superblock is watched");
  await first.rest();
  first.kill();
  await kernel.cTool.umount(DIRECTORY);
  t.is(references(kernel), 1);
  const second = await RunningMonitor.start(kernel);
  await second.until(() => second.of("region-gone").length > 0, "the region is gone");
  await second.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("a superblock that died while no monitor ran", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  await kernel.cTool.umount(DIRECTORY);
  const running = await RunningMonitor.start(kernel);
  t.like(running.of("ready")[0], { regions: 1, superblocks: 0 });
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("one that reaps on each host; any number of observers", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  const second = new RunningMonitor(kernel);
  await t.throwsAsync(
    second.until(() => false, "it ends"),
    { code: "O2CB_ALREADY_RUNNING" },
  );
  const observer = await RunningMonitor.start(kernel, { reap: false });
  await running.stop();
  await mount(kernel);
  await observer.until(() => observer.of("superblock").length > 0, "the superblock is watched");
  await kernel.cTool.umount(DIRECTORY);
  await observer.until(() => observer.of("superblock-gone").length > 0, "its death is told");
  await observer.rest();
  t.is(references(kernel), 1, "an observer drops nothing");
  await observer.stop();
});

test("a /run that cannot be written is said and gone without", async (t) => {
  const { kernel } = classicLocal();
  kernel.runFails = "EROFS";
  const warnings: string[] = [];
  const running = await RunningMonitor.start(kernel, {
    onStep: (step) => void (step.step === "warning" && warnings.push(step.code)),
  });
  t.is(warnings.length, 1);
  await running.stop();
});

test("another namespace of semaphores is refused", async (t) => {
  const { kernel } = classicLocal();
  const running = new RunningMonitor(kernel, { native: kernel.process({ ipc: 4_026_532_999 }) });
  await t.throwsAsync(
    running.until(() => false, "it ends"),
    { code: "O2CB_NAMESPACE" },
  );
});

test("modules that are loaded and a cluster that is registered later are found", async (t) => {
  const { kernel } = nothingLoaded();
  const running = await RunningMonitor.start(kernel);
  t.not(running.monitor.nextLook, null, "nothing tells of a module");
  for (const module of ["ocfs2", "ocfs2_stack_o2cb"]) kernel.loadModule(module);
  registerCluster(kernel);
  kernel.markClean();
  await running.until(() => running.monitor.isAtRest, "it needs to look for the modules no more");
  await kernel.cTool.hbCtlStart(UUID);
  await running.until(() => running.of("region").length > 0, "the region is told");
  await running.stop();
});

test("events that the kernel dropped are made up for", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  await running.rest();
  kernel.maxQueuedEvents = 0;
  await kernel.cTool.umount(DIRECTORY);
  await running.until(() => running.of("superblock-gone").length > 0, "its death is told");
  kernel.maxQueuedEvents = 16_384;
  await running.until(() => running.of("region-gone").length > 0 || references(kernel) === 0, "it is left");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("mounts of others wake it for one glance only", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await running.rest();
  const { looks } = running.monitor;
  const calls = running.native.calls.length;
  kernel.addDirectory("/elsewhere");
  kernel.addDirectory("/elsewhere2");
  kernel.bind("/elsewhere", "/elsewhere2");
  await running.until(() => running.native.calls.length > calls + 1, "it has glanced");
  await running.rest();
  t.is(running.monitor.looks, looks);
  await running.stop();
});

test("at rest it makes no call, and a consumer that stops releases everything", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  await running.rest();
  t.is(running.monitor.nextLook, null);
  await running.stop();
  t.is(kernel.watches.size, 0);
  t.false(kernel.leftovers().some((what) => what.startsWith("lock of")));
  const native = kernel.process();
  const { Monitor } = await import("../../ts/monitor/monitor.ts");
  for await (const event of new Monitor(native).run()) if (event.event === "ready") break;
  t.is(kernel.watches.size, 0);
  t.false(kernel.leftovers().some((what) => what.startsWith("lock of")));
});

test("a half-made region whose maker has ended goes after a while, a set without a region too", async (t) => {
  const { kernel, regionDirectory } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  const maker = kernel.process({ name: "maker" });
  await maker.makeDirectory(regionDirectory);
  await running.until(() => running.of("region").length > 0, "the region is seen");
  t.truthy(kernel.region(UUID), "not at once");
  t.deepEqual(running.of("left"), []);
  maker.kill();
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.rest();
  t.deepEqual(running.of("failed"), []);

  await kernel.cTool.hbCtlStart(UUID);
  await running.until(() => running.of("region").length > 1, "the region is seen");
  const lock = await kernel.process().lockRegion(UUID, false, 1000);
  lock?.drop(false);
  await kernel.process().removeDirectory(regionDirectory);
  lock?.release();
  await running.until(() => kernel.semaphoreSets().length === 0, "the set is gone");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("without debugfs only the claim tells, once a death was heard", async (t) => {
  const { kernel } = classicLocal({ features: { debugfs: false } });
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  await running.rest();
  t.false(
    running.native.calls.some(({ name }) => name === "claimDevice"),
    "not while it lives",
  );
  await kernel.cTool.umount(DIRECTORY);
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("a superblock that no mount shows is left when a look finds it dead", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  const user = kernel.process({ name: "editor" });
  user.openFile(DIRECTORY);
  await kernel.cTool.umount(DIRECTORY, true);
  const running = await RunningMonitor.start(kernel);
  await running.looks(3);
  t.is(references(kernel), 1);
  user.kill();
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("a watch that breaks is told once and made anew", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process({ name: "monitor" });
  native.failCall({ name: "EventWatch.next", nth: 2 }, { errno: "EIO" });
  const running = await RunningMonitor.start(kernel, { native });
  await mount(kernel);
  await running.until(() => running.of("failed").length > 0, "the failure is told");
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  await kernel.cTool.umount(DIRECTORY);
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  t.is(running.of("failed").length, 1);
  t.like(running.of("failed")[0], { region: null, code: "O2CB_IO" });
  await running.stop();
  t.is(kernel.watches.size, 0);
  t.deepEqual(kernel.leftovers(), []);
});

test("a mount that is under way keeps no other volume waiting", async (t) => {
  const { kernel, disk } = classicLocal();
  const other = kernel.addDisk({ name: "sdc", number: { major: 8, minor: 32 }, volume: volume() });
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await kernel.cTool.mount("/dev/sdc", SECOND);
  await running.until(() => running.of("superblock").length > 1, "both are watched");
  await running.rest();
  const blocker = kernel.process({ name: "mount.ocfs2" });
  const lock = await blocker.lockFile(`/run/ocfs2-group/${UUID}.lock`, 1000);
  await kernel.cTool.umount(DIRECTORY);
  await running.until(() => running.of("superblock-gone").length > 0, "its death is told");
  await kernel.cTool.umount(SECOND);
  await running.until(() => kernel.region(other.volume?.uuid ?? "") === undefined, "the other is left");
  t.truthy(kernel.region(disk.volume?.uuid ?? ""));
  lock.release();
  await running.until(() => kernel.regions().length === 0, "this one too");
  await running.stop();
  blocker.exit();
  t.deepEqual(kernel.leftovers(), []);
});

test("after events were dropped everything is watched anew", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  await mount(kernel);
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  await running.rest();
  running.native.restartCount();
  kernel.maxQueuedEvents = 0;
  await kernel.process().replaceFile("/run/ocfs2-group/joins/other", "", 0o600);
  await running.until(() => running.native.calls.length > 1, "it looks");
  kernel.maxQueuedEvents = 16_384;
  await running.rest();
  const names = running.native.calls.map(({ name }) => name);
  t.is(names.filter((name) => name === "EventWatch.addMount").length, 1);
  const paths = running.native.calls
    .filter(({ name }) => name === "EventWatch.addDirectory")
    .map(({ args }) => String(args[0]));
  t.true(paths.includes("/run/ocfs2-group/joins"));
  t.true(paths.some((path) => path.endsWith("/heartbeat")));
  t.deepEqual(running.words, ["region", "superblock"], "nothing is told twice");
  await running.stop();
});

test("a program that holds the region and is killed: its region goes, though nothing tells of it", async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  const program = kernel.process({ name: "fsck" });
  const join = await beginGroupJoin(program, {
    volume: await openVolume(program, DISK),
    service: "fsck",
  });
  await join.complete(0);
  await running.looks(4);
  t.is(references(kernel), 1);
  t.deepEqual(running.of("kept"), []);
  program.kill();
  await running.until(() => running.of("region-gone").length > 0, "the region is gone");
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});

test("it says when it comes to rest, each time, and never while there is something to do", async (t) => {
  const { kernel } = classicLocal();
  let rests = 0;
  const running = await RunningMonitor.start(kernel, { onRest: () => (rests += 1) });
  await running.rest();
  t.true(rests > 0);
  const before = rests;
  await mount(kernel);
  await running.until(() => running.of("superblock").length > 0, "the mount is seen");
  await running.rest();
  t.true(rests > before);
  const now = rests;
  await running.rest();
  t.is(rests, now, "rest is rest");
  await running.stop();
});

test("at the first rest code is given back, and at each garbage where that is worth it", (t) => {
  const done: string[] = [];
  let heapBytes = 4_000_000;
  const native = { releaseCode: () => done.push("code") };
  const tidying = { collect: () => void done.push("garbage"), heapBytes: () => heapBytes };
  const tidy = tidier(native, tidying);
  tidy();
  heapBytes += 200_000;
  tidy();
  t.deepEqual(done, ["garbage", "code"], "little has come since");
  heapBytes += 100_000;
  tidy();
  t.deepEqual(done.slice(2), ["garbage"]);
  const broken = {
    releaseCode(): number {
      throw new Error("no /proc");
    },
  };
  t.notThrows(tidier(broken, { ...tidying, collect: undefined }));
});
