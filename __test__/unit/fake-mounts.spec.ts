// The fake machine's superblocks and mounts (kernel-abi 7, commands 0 and 2.5, umount2(2)).
import test from "ava";
import type { MountRequest } from "../../ts/native-types.ts";
import {
  classicGlobal,
  classicLocal,
  DISK,
  type FakeNative,
  type Machine,
  oldDriver12,
  startByHand,
  UUID,
  volume,
} from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";

const SECOND = "/vol2";
const DETACH = 2;

function request(changes: Partial<MountRequest> = {}): MountRequest {
  return {
    source: DISK,
    target: "/vol",
    type: "ocfs2",
    flags: 0,
    options: ["heartbeat=local"],
    api: "mount",
    namespace: null,
    ...changes,
  };
}

/** A machine whose region beats, as somebody else left it; that counts as clean. */
function beating(machine: Machine = classicLocal()): Machine & { native: FakeNative } {
  startByHand(machine.kernel, machine.disk);
  machine.kernel.markClean();
  return { ...machine, native: machine.kernel.process() };
}

const umount = (
  native: FakeNative,
  target: string,
  flags = 0,
  namespace: string | null = null,
): Promise<void> => native.unmount({ target, flags, namespace });

test("a mount makes a superblock that pins its region; its end unpins it", async (t) => {
  const { kernel, native, regionDirectory } = beating();
  await native.mount(request());
  t.deepEqual(kernel.leftovers(), [
    `region ${UUID} (beats on sdb, pinned)`,
    "mount of /dev/sdb on /vol",
    "superblock of sdb (1 users)",
    `gone: region ${UUID} (beats on sdb)`,
  ]);
  await refused(t, native.removeDirectory(regionDirectory), "EBUSY");
  const entry = (await native.mounts(null)).find(({ type }) => type === "ocfs2");
  t.like(entry, { device: { major: 8, minor: 16 }, root: "/", target: "/vol", source: DISK });
  t.true(entry?.superOptions.split(",").includes("heartbeat=local"));
  t.like(await native.inspectPath("/vol", null), {
    isMountRoot: true,
    device: { major: 8, minor: 16 },
    filesystemMagic: 0x7461636f,
  });
  t.is((await native.inspectPath("/sys/fs/ocfs2/sdb", null)).kind, "directory");
  t.deepEqual(await native.listDirectories("/sys/kernel/debug/o2dlm"), [UUID]);
  await umount(native, "/vol");
  t.deepEqual(kernel.leftovers(), []);
  await refused(t, native.inspectPath("/sys/fs/ocfs2/sdb", null), "ENOENT");
});

for (const [name, changes, errno] of [
  ["no heartbeat option", { options: [] }, "EINVAL"],
  ["two heartbeat modes", { options: ["heartbeat=local", "heartbeat=none"] }, "EINVAL"],
  ["an unknown option", { options: ["heartbeat=local", "nofail"] }, "EINVAL"],
  ["_netdev", { options: ["heartbeat=local", "_netdev"] }, "EINVAL"],
  ["cluster_stack=o2cb", { options: ["heartbeat=local", "cluster_stack=o2cb"] }, "EINVAL"],
  ["heartbeat=none on a clustered volume", { options: ["heartbeat=none"], flags: 1 }, "EINVAL"],
  ["the mode that the volume is not formatted for", { options: ["heartbeat=global"] }, "EINVAL"],
  ["a missing device", { source: "/dev/none" }, "ENOENT"],
  ["a file as device", { source: "/etc/hostname" }, "ENOTBLK"],
  ["a missing directory", { target: "/none" }, "ENOENT"],
  ["a file as directory", { target: "/etc/hostname" }, "ENOTDIR"],
  ["a file as directory, through fsopen", { target: "/etc/hostname", api: "fsopen" }, "EINVAL"],
  ["another type", { type: "ext4" }, "ENODEV"],
] as const) {
  test(`refused: ${name}`, async (t) => {
    const { kernel, native } = beating();
    await refused(t, native.mount(request(changes)), errno, "O2CB_MOUNT_FAILED");
    t.deepEqual(kernel.leftovers(), []);
  });
}

test("a mount needs a node, and a heartbeat in any region", async (t) => {
  const { kernel, disk } = classicLocal();
  const native = kernel.process();
  const error = await refused(t, native.mount(request()), "EINVAL");
  t.regex(error.kernelMessages.join(), /heartbeat has not been started/);
  const other = kernel.addDisk({ name: "sdc", number: { major: 8, minor: 32 }, volume: volume() });
  startByHand(kernel, other);
  await native.mount(request());
  t.is(
    kernel.region(other.volume?.uuid ?? "")?.pins.size,
    0,
    "the wrong region is enough, and is not pinned",
  );
  t.is(disk.claim?.by, "superblock of sdb");
  const bare = classicLocal({ unregistered: true });
  const unconfigured = await refused(t, bare.kernel.process().mount(request()), "EINVAL");
  t.regex(unconfigured.kernelMessages.join(), /not been configured/);
});

test("a second mount shares the superblock unseen; the region goes with the last", async (t) => {
  const { kernel, native } = beating();
  await native.mount(request());
  await native.mount(request({ target: SECOND, options: ["complete nonsense"] }));
  t.is([...kernel.superblocks][0]?.users, 2);
  await refused(t, native.mount(request({ target: "/vol3", flags: 1 })), "EBUSY");
  await umount(native, "/vol");
  t.is(kernel.superblocks.size, 1);
  await umount(native, SECOND);
  t.deepEqual(kernel.leftovers(), []);
});

test("one mount point twice: mount(2) refuses, fsopen stacks", async (t) => {
  const { kernel, native } = beating();
  await native.mount(request());
  await refused(t, native.mount(request()), "EBUSY");
  await native.mount(request({ api: "fsopen" }));
  t.is((await native.mounts(null)).filter(({ target }) => target === "/vol").length, 2);
  await umount(native, "/vol");
  t.is(kernel.superblocks.size, 1);
  await umount(native, "/vol");
  t.deepEqual(kernel.leftovers(), []);
});

test("binds, directories inside and busy mounts", async (t) => {
  const { kernel, native } = beating();
  await native.mount(request());
  await native.makeDirectory("/vol/sub");
  kernel.bind("/vol/sub", SECOND);
  t.like((await native.mounts(null)).at(-1), { root: "/sub", target: SECOND, type: "ocfs2" });
  await refused(t, umount(native, "/vol/sub"), "EINVAL", "O2CB_NOT_MOUNTED");
  await refused(t, umount(native, "/none"), "ENOENT", "O2CB_UNMOUNT_FAILED");
  const file = native.openFile("/vol");
  await refused(t, umount(native, "/vol"), "EBUSY", "O2CB_UNMOUNT_FAILED");
  await file.close();
  await umount(native, "/vol");
  t.is(kernel.superblocks.size, 1, "the bind keeps it");
  await umount(native, SECOND);
  t.deepEqual(kernel.leftovers(), []);
});

test("a lazy unmount leaves the superblock to its last user", async (t) => {
  const { kernel, native, disk } = beating();
  await native.mount(request());
  const user = kernel.process();
  user.openFile("/vol");
  await umount(native, "/vol", DETACH);
  t.false((await native.mounts(null)).some(({ type }) => type === "ocfs2"));
  t.is(await native.claimDevice(DISK), null);
  user.kill();
  await kernel.idle();
  t.is(disk.claim, null);
  t.deepEqual(kernel.leftovers(), []);
});

test("a mount below keeps a mount, unless both are detached", async (t) => {
  const { kernel, native } = beating();
  await native.mount(request());
  await native.makeDirectory("/vol/sub");
  await native.mount(request({ target: "/vol/sub" }));
  await refused(t, umount(native, "/vol"), "EBUSY");
  await umount(native, "/vol", DETACH);
  t.deepEqual(kernel.leftovers(), []);
});

test("another namespace keeps the superblock until it ends", async (t) => {
  const { kernel, native } = beating();
  await native.mount(request());
  const namespace = kernel.addNamespace("/run/inside");
  await umount(native, "/vol");
  t.deepEqual(
    (await native.mounts("/run/inside")).filter(({ type }) => type === "ocfs2").map(({ target }) => target),
    ["/vol"],
  );
  t.true((await native.inspectPath("/vol", "/run/inside")).isMountRoot);
  t.false((await native.inspectPath("/vol", null)).isMountRoot);
  await native.mount(request({ target: SECOND, namespace: "/run/inside" }));
  t.true(kernel.process({ namespace }).task.namespace === namespace);
  await umount(native, "/vol", 0, "/run/inside");
  t.is(kernel.superblocks.size, 1);
  await kernel.endNamespace("/run/inside");
  t.deepEqual(kernel.leftovers(), []);
  await refused(t, native.mounts("/etc/hostname"), "EINVAL", "O2CB_BAD_MOUNT_OPTION");
});

test("a claim and a mount exclude each other", async (t) => {
  const { kernel, native } = beating();
  const claim = await native.claimDevice(DISK);
  t.is(await kernel.process().claimDevice(DISK), null);
  await refused(t, native.mount(request()), "EBUSY");
  claim?.release();
  claim?.release();
  await native.mount(request());
  t.is(await native.claimDevice(DISK), null);
  await umount(native, "/vol");
  const dying = kernel.process();
  await dying.claimDevice(DISK);
  t.true(kernel.leftovers()[0]?.startsWith("claim of sdb by process "));
  dying.kill();
  t.deepEqual(kernel.leftovers(), []);
  await refused(t, native.claimDevice("/etc/hostname"), null, "O2CB_BAD_DEVICE");
});

test("a dismount on its way: gone from sysfs, still claimed; a new mount waits for its end", async (t) => {
  const { kernel, native } = beating();
  await native.mount(request());
  const hold = kernel.holdDismount();
  const unmounted = umount(native, "/vol");
  await hold.reached;
  await refused(t, native.inspectPath("/sys/fs/ocfs2/sdb", null), "ENOENT");
  t.is(await native.claimDevice(DISK), null);
  const remounted = kernel.process().mount(request({ target: SECOND }));
  await kernel.idle();
  t.is(kernel.superblocks.size, 1);
  hold.finish();
  await Promise.all([unmounted, remounted]);
  t.deepEqual(
    [...kernel.superblocks].map(({ dying }) => dying),
    [false],
  );
});

test("the call-out runs once per superblock: unpinned, still claimed, not for failures and not for no-ops", async (t) => {
  const { kernel, native, disk } = beating(classicLocal({ leave: "kernel" }));
  const seen: unknown[] = [];
  kernel.callOutHook = async (program, args) => {
    seen.push([program, ...args, kernel.region(UUID)?.pins.size, disk.claim?.by]);
    return 0;
  };
  await native.mount(request());
  await native.mount(request({ target: SECOND }));
  await refused(t, native.mount(request({ target: "/none" })), "ENOENT");
  await umount(native, "/vol");
  t.deepEqual(seen, []);
  await umount(native, SECOND);
  t.deepEqual(seen, [["/sbin/ocfs2_hb_ctl", "-K", "-u", UUID, 0, "superblock of sdb"]]);
  for (const quiet of ["", "/bin/true"]) {
    kernel.hbCtlPath = quiet;
    await native.mount(request());
    await umount(native, "/vol");
  }
  t.is(seen.length, 1);
  kernel.callOutHook = null;
  kernel.hbCtlPath = "/sbin/missing";
  await native.mount(request());
  await umount(native, "/vol");
  t.is(kernel.callOuts.at(-1)?.status, "missing");
});

test("without a hook the program at hb_ctl_path is the C tool: reference, region and set go", async (t) => {
  const { kernel, native } = beating(classicLocal({ leave: "kernel" }));
  await native.mount(request());
  await umount(native, "/vol");
  t.deepEqual(kernel.leftovers(), [
    `gone: region ${UUID} (beats on sdb)`,
    `gone: semaphore set of ${UUID} (references 1)`,
  ]);
});

test("local volumes and read-only devices live without a cluster", async (t) => {
  const local = classicLocal({ volume: { local: true }, unregistered: true, leave: "kernel" });
  const native = local.kernel.process();
  await refused(t, native.mount(request()), "EINVAL");
  await native.mount(request({ options: ["heartbeat=none"] }));
  await umount(native, "/vol");
  t.deepEqual(local.kernel.callOuts, []);
  const hard = classicLocal({ readOnly: true, unregistered: true });
  const reader = hard.kernel.process();
  await refused(t, reader.mount(request()), "EACCES");
  await refused(t, reader.mount(request({ flags: 1 })), "EROFS");
  await reader.mount(request({ flags: 1, options: ["heartbeat=none"] }));
  await refused(t, reader.mount(request({ flags: 32, options: ["heartbeat=none"] })), "EROFS");
});

test("a remount repeats the heartbeat mode, and nothing else of what is shown", async (t) => {
  const { kernel, native } = beating();
  await native.mount(request());
  const remount = (flags: number, options: string[]): Promise<void> =>
    native.mount(request({ flags: 32 | flags, options }));
  await refused(t, remount(1, ["heartbeat=none"]), "EINVAL");
  await refused(t, remount(1, ["heartbeat=local", "_netdev"]), "EINVAL");
  await remount(1, ["heartbeat=local", "commit=5"]);
  t.true([...kernel.superblocks][0]?.readOnly);
  t.true((await native.mounts(null)).at(-1)?.superOptions.startsWith("ro,_netdev,heartbeat=local,commit=5"));
  await refused(t, native.mount(request({ flags: 32, target: SECOND })), "EINVAL");
});

test("global mode pins what there is, up to three regions", async (t) => {
  const { kernel } = classicGlobal();
  const native = kernel.process();
  await native.mount(request({ options: ["heartbeat=global"] }));
  const [region] = kernel.regions();
  t.is(region?.pins.size, 1);
  await umount(native, "/vol");
  t.deepEqual(kernel.leftovers(), []);
  const stopped = classicGlobal({ stopped: true });
  await refused(t, stopped.kernel.process().mount(request({ options: ["heartbeat=global"] })), "EINVAL");
});

test("other stacks: the label decides, then nobody answers", async (t) => {
  const { kernel } = classicLocal({ volume: { stack: "pcmk" } });
  const native = kernel.process();
  await refused(t, native.mount(request()), "EINVAL");
  await refused(t, native.mount(request({ options: ["cluster_stack=pcmk"] })), "EBUSY");
  await native.writeAttribute("/sys/fs/ocfs2/cluster_stack", "pcmk");
  await refused(t, native.mount(request({ options: ["cluster_stack=pcmk"] })), "ENOTCONN");
});

test("old and new interfaces: no fsopen before 5.2, options judged one by one on 7.2", async (t) => {
  await refused(
    t,
    oldDriver12()
      .kernel.process()
      .mount(request({ api: "fsopen" })),
    "ENOSYS",
  );
  const { native } = beating(classicLocal({ features: { optionParser: "context" } }));
  const error = await refused(
    t,
    native.mount(request({ api: "fsopen", options: ["heartbeat=local", "nofail"] })),
    "EINVAL",
    "O2CB_BAD_MOUNT_OPTION",
  );
  t.regex(error.kernelMessages.join(), /nofail/);
});

test("a held mount ends by interruption, or not", async (t) => {
  const { kernel, native } = beating();
  const controller = new AbortController();
  const hold = kernel.holdMount();
  const mounted = native.mount(request(), { signal: controller.signal });
  await hold.reached;
  controller.abort();
  await refused(t, mounted, "EINTR", "O2CB_ABORTED");
  t.deepEqual(kernel.leftovers(), []);
  const stubborn = kernel.holdMount({ uninterruptible: true });
  const later = native.mount(request(), { signal: AbortSignal.timeout(1) });
  await stubborn.reached;
  stubborn.finish();
  await later;
  t.is(kernel.superblocks.size, 1);
});
