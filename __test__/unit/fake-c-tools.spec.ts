// The C tools on the fake machine, with the defects that are known of them (group-api 3.3-3.10, commands 1.3).
import test from "ava";
import { classicGlobal, classicLocal, DISK, UUID } from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";

test("start and stop count, the last stop leaves nothing", async (t) => {
  const { kernel } = classicLocal();
  await kernel.cTool.hbCtlStart(UUID);
  await kernel.cTool.hbCtlStart(UUID);
  t.is(await kernel.cTool.hbCtlInfo(UUID), 2);
  await kernel.cTool.hbCtlStop(UUID);
  t.deepEqual(kernel.leftovers(), [
    `region ${UUID} (beats on sdb)`,
    `semaphore set of ${UUID} (references 1)`,
  ]);
  await kernel.cTool.hbCtlStop(UUID);
  t.deepEqual(kernel.leftovers(), []);
});

test("a query makes a set, and so does a failed stop", async (t) => {
  const { kernel } = classicLocal();
  t.is(await kernel.cTool.hbCtlInfo(UUID), 0);
  t.deepEqual(kernel.leftovers(), [`semaphore set of ${UUID} (references 0)`]);
  await refused(t, kernel.cTool.hbCtlStop(UUID), null, "O2CB_SERVICE_UNAVAILABLE");
  t.deepEqual(kernel.leftovers(), [`semaphore set of ${UUID} (references 0)`]);
});

test("a second mount leaks a reference, whoever leaves", async (t) => {
  const { kernel } = classicLocal({ leave: "kernel" });
  await kernel.cTool.mount(DISK, "/vol");
  await kernel.cTool.mount(DISK, "/vol2");
  t.is(await kernel.cTool.hbCtlInfo(UUID), 2);
  await kernel.cTool.umount("/vol");
  await kernel.cTool.umount("/vol2");
  t.deepEqual(kernel.leftovers(), [
    `region ${UUID} (beats on sdb)`,
    `semaphore set of ${UUID} (references 1)`,
  ]);
});

test("one mount, one umount: the kernel's call-out leaves", async (t) => {
  const { kernel } = classicLocal({ leave: "kernel" });
  await kernel.cTool.mount(DISK, "/vol", "rw,noatime".replace(",noatime", ""));
  await kernel.cTool.umount("/vol");
  t.deepEqual(kernel.leftovers(), []);
  const alone = classicLocal();
  await alone.kernel.cTool.mount(DISK, "/vol");
  await alone.kernel.cTool.umount("/vol");
  t.is(alone.kernel.leftovers().length, 2, "nobody leaves with /bin/true");
});

test("a failed mount leaves again", async (t) => {
  const { kernel } = classicLocal();
  await refused(t, kernel.cTool.mount(DISK, "/none"), "ENOENT");
  await refused(t, kernel.cTool.mount(DISK, "/vol", "nofail"), "EINVAL");
  t.deepEqual(kernel.leftovers(), []);
});

test("a half-made region is adopted unseen", async (t) => {
  const { kernel, regionDirectory } = classicLocal();
  await kernel.process().makeDirectory(regionDirectory);
  await kernel.cTool.hbCtlStart(UUID);
  t.deepEqual(kernel.leftovers(), [`region ${UUID} (half made)`, `semaphore set of ${UUID} (references 1)`]);
});

test("a stop of a pinned region loses its reference", async (t) => {
  const { kernel } = classicLocal();
  await kernel.cTool.hbCtlStart(UUID);
  const leave = kernel.joinDomain(UUID);
  await refused(t, kernel.cTool.hbCtlStop(UUID), null, "O2CB_REGION_IN_USE");
  leave();
  t.deepEqual(kernel.leftovers(), [
    `region ${UUID} (beats on sdb)`,
    `semaphore set of ${UUID} (references 0)`,
  ]);
});

test("fsck: a reference and a domain that end with it", async (t) => {
  const { kernel } = classicLocal();
  const first = await kernel.cTool.fsck(UUID);
  t.deepEqual(kernel.leftovers(), [
    `region ${UUID} (beats on sdb, pinned)`,
    `semaphore set of ${UUID} (references 1)`,
    `domain ${UUID}`,
    `lock .0000000000000001 of ${UUID}, held 1 times`,
  ]);
  await first.finish();
  t.deepEqual(kernel.leftovers(), []);
  const second = await kernel.cTool.fsck(UUID);
  second.kill();
  t.deepEqual(kernel.leftovers(), [
    `region ${UUID} (beats on sdb)`,
    `semaphore set of ${UUID} (references 0)`,
  ]);
});

test("a tool waits for the mutex that another process holds", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  const lock = await native.lockRegion(UUID, true, 10);
  let started = false;
  const start = kernel.cTool.hbCtlStart(UUID).then(() => (started = true));
  await kernel.idle();
  t.false(started);
  lock?.destroy();
  await start;
  t.is(await kernel.cTool.hbCtlInfo(UUID), 1);
});

test("a leave by UUID needs a device that carries it; gates; global mode", async (t) => {
  const { kernel, disk } = classicLocal();
  await kernel.cTool.hbCtlStart(UUID);
  kernel.removeDisk(disk);
  await refused(t, kernel.cTool.hbCtlStop(UUID), null, "O2CB_UNKNOWN_REGION");
  await refused(
    t,
    classicLocal({ volume: { cluster: "other" } }).kernel.cTool.hbCtlStart(UUID),
    null,
    "O2CB_INVALID_CLUSTER_NAME",
  );
  await refused(
    t,
    classicLocal({ volume: { global: true } }).kernel.cTool.hbCtlStart(UUID),
    null,
    "O2CB_INVALID_HEARTBEAT_MODE",
  );
  const global = classicGlobal();
  await global.kernel.cTool.mount(DISK, "/vol");
  await global.kernel.cTool.umount("/vol");
  t.deepEqual(global.kernel.leftovers(), []);
});
