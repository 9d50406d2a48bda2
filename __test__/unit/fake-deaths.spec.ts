// How a superblock of the fake machine dies without umount.ocfs2, what keeps it alive, and what keeps its region (commands 2.4,
// kernel-abi 1.7 and 5).
import test from "ava";
import { classicLocal, deaths, DISK, oldDriver12, UUID } from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";

const DEVICE = { major: 8, minor: 16 };

for (const { title, die } of deaths) {
  test(`death by ${title}: told once, called out once, everything of the superblock is gone`, async (t) => {
    const { kernel, disk } = classicLocal();
    await kernel.cTool.hbCtlStart(UUID);
    kernel.markClean();
    kernel.hbCtlPath = "/sbin/recorder";
    kernel.installProgram("/sbin/recorder", () => 0);
    await kernel.cTool.mount(DISK, "/vol");
    // A C mount takes a reference of its own.
    await kernel.cTool.hbCtlStop(UUID);
    const native = kernel.process();
    const watch = await native.watchEvents();
    const id = await watch.addMount("/vol", DEVICE);
    await die(kernel, "/vol");
    t.deepEqual(
      (await watch.next()).filter(({ kind }) => kind !== "mounts"),
      [{ kind: "unmounted", id }],
    );
    t.is(kernel.callOuts.length, 1);
    t.is(disk.claim, null);
    native.exit();
    t.deepEqual(kernel.leftovers(), []);
  });
}

test("a namespace without a path ends with its last process, one with a path does not", async (t) => {
  const { kernel } = classicLocal();
  await kernel.cTool.mount(DISK, "/vol");
  const namespace = kernel.unshare();
  const [one, other] = [kernel.process({ namespace }), kernel.process({ namespace })];
  const named = kernel.addNamespace("/run/netns/x");
  await kernel.cTool.umount("/vol");
  one.kill();
  await kernel.idle();
  t.is([...kernel.superblocks][0]?.users, 2);
  other.kill();
  kernel.process({ namespace: named }).kill();
  await kernel.idle();
  t.is([...kernel.superblocks][0]?.users, 1);
  const late = kernel.process({ namespace: named });
  await kernel.endNamespace("/run/netns/x");
  t.false(late.alive);
  t.is(kernel.superblocks.size, 0);
});

test("a disk that vanishes leaves its mount, its region and its name in /sys/fs/ocfs2", async (t) => {
  const { kernel, disk, regionDirectory } = classicLocal();
  const alias = kernel.addDisk({ name: "cciss!c0d0", number: { major: 104, minor: 0 } }, "/dev/mapper/x");
  await kernel.cTool.mount(DISK, "/vol");
  const native = kernel.process();
  t.is(await native.readAttribute("/sys/class/block/sdb/dev"), "8:16\n");
  kernel.removeDisk(disk);
  for (const path of [
    DISK,
    "/dev/block/8:16",
    "/sys/dev/block/8:16",
    "/sys/class/block/sdb/dev",
    "/sys/block/sdb",
  ])
    await refused(t, native.inspectPath(path, null), "ENOENT");
  await refused(t, native.claimDevice(DISK), "ENOENT", "O2CB_BAD_DEVICE");
  t.is(await native.readAttribute(`${regionDirectory}/dev`), "sdb\n");
  t.is((await native.inspectPath("/sys/fs/ocfs2/sdb", null)).kind, "directory");
  t.true((await native.mounts(null)).some(({ target, type }) => target === "/vol" && type === "ocfs2"));
  await kernel.cTool.umount("/vol");
  t.is(kernel.superblocks.size, 0);
  await native.removeDirectory(regionDirectory);
  kernel.removeDisk(alias);
  for (const path of ["/dev/cciss/c0d0", "/dev/mapper/x"])
    await refused(t, native.inspectPath(path, null), "ENOENT");
});

test("a directory in dlmfs is a domain: pins the region of its name, is in debugfs, ends with rmdir", async (t) => {
  const { kernel, regionDirectory } = classicLocal({ dlmfs: "/dlm" });
  const native = kernel.process();
  const program = kernel.process({ name: "fsck.ocfs2" });
  await refused(t, program.makeDirectory("/dlm/early"), "EINVAL");
  await kernel.cTool.hbCtlStart(UUID);
  t.like(await native.inspectPath("/dlm", null), { filesystemMagic: 0x76a9f425, isMountRoot: true });
  t.is((await native.mounts(null)).at(-1)?.type, "ocfs2_dlmfs");
  const watch = await native.watchEvents();
  const id = await watch.addDirectory("/dlm");
  await program.makeDirectory(`/dlm/${UUID}`);
  await program.makeDirectory("/dlm/other");
  t.deepEqual(await native.listDirectories("/dlm"), [UUID, "other"]);
  t.deepEqual(await native.listDirectories("/sys/kernel/debug/o2dlm"), [UUID, "other"]);
  t.deepEqual(await watch.next(), [
    { kind: "changed", id, name: UUID },
    { kind: "changed", id, name: "other" },
  ]);
  await refused(t, program.makeDirectory("/dlm/other"), "EEXIST");
  await refused(t, program.makeDirectory("/dlm/other/deeper"), "EPERM");
  await refused(t, program.makeDirectory(`/dlm/${"x".repeat(64)}`), "EINVAL");
  t.is(await native.readAttribute(`/sys/kernel/debug/o2hb/${UUID}/pinned`), "1\n");
  await refused(t, native.removeDirectory(regionDirectory), "EBUSY");
  // It outlives its program.
  program.kill();
  t.true(kernel.leftovers().includes(`domain ${UUID}`));
  await native.removeDirectory(`/dlm/${UUID}`);
  t.is(await native.readAttribute(`/sys/kernel/debug/o2hb/${UUID}/pinned`), "0\n");
  await kernel.cTool.hbCtlStop(UUID);
  await native.unmount({ target: "/dlm", flags: 0, namespace: null });
  native.exit();
  t.deepEqual(kernel.leftovers(), []);
});

test("a mount and a domain of one name pin the region until both are gone", async (t) => {
  const { kernel } = classicLocal({ dlmfs: "/dlm" });
  await kernel.cTool.mount(DISK, "/vol");
  const native = kernel.process();
  await native.makeDirectory(`/dlm/${UUID}`);
  await kernel.cTool.umount("/vol");
  t.is(kernel.region(UUID)?.pins.size, 1);
  const fsck = await kernel.cTool.fsck(UUID);
  await refused(t, native.removeDirectory(`/dlm/${UUID}`), "ENOTEMPTY");
  t.is(kernel.region(UUID)?.pins.size, 1, "the other program is in the domain still");
  fsck.kill();
  await native.removeDirectory(`/dlm/${UUID}`);
  t.is(kernel.region(UUID)?.pins.size, 0);
});

test("an old driver has no mode, no pin and tells nothing of it", async (t) => {
  const old = oldDriver12();
  const heartbeat = old.regionDirectory.slice(0, old.regionDirectory.lastIndexOf("/"));
  const native = old.kernel.process();
  await old.kernel.cTool.hbCtlStart(UUID);
  await refused(t, native.readAttribute(`${heartbeat}/mode`), "ENOENT");
  await refused(t, native.readAttribute(`${old.regionDirectory}/pid`), "ENOENT");
  old.kernel.joinDomain(UUID);
  await native.removeDirectory(old.regionDirectory);
  // In between: debugfs, and no pins yet.
  const middle = classicLocal({ features: { pinning: false, heartbeatMode: false } });
  await middle.kernel.cTool.hbCtlStart(UUID);
  const reader = middle.kernel.process();
  t.is(await reader.readAttribute(`/sys/kernel/debug/o2hb/${UUID}/livenodes`), "0 \n");
  await refused(t, reader.readAttribute(`/sys/kernel/debug/o2hb/${UUID}/pinned`), "ENOENT");
  await refused(t, reader.readAttribute("/sys/kernel/config/cluster/lab/heartbeat/mode"), "ENOENT");
});
