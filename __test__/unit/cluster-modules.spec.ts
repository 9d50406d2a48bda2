// Loading and unloading a stack: modules, file systems, hb_ctl_path; each part as it should be already is success.
import test from "ava";
import { ENABLED, failure, written } from "../helpers/clusters.ts";
import {
  classicLocal,
  CLUSTER,
  DIRECTORY,
  DISK,
  nothingLoaded,
  oldDriver,
  oldDriver12,
  walkFaults,
  type FakeKernel,
  type Machine,
} from "../helpers/fake-native.ts";
import { load, unload } from "../../ts/cluster/service.ts";
import { clusterStatus, onlineStatus } from "../../ts/cluster/status.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";

const HELPER = "/sbin/ocfs2_hb_ctl";
const KERNEL_LEAVES = { ...ENABLED, leave: "kernel" } as const;
const SAVED = "/run/ocfs2-group/hb_ctl_path";

/** As after boot: nothing loaded, the kernel's own hb_ctl_path. */
function booted(settings: Parameters<typeof nothingLoaded>[0] = {}): Machine {
  const machine = nothingLoaded({ configfs: null, ...settings });
  machine.kernel.hbCtlPath = HELPER;
  return machine;
}

const old = (): Machine =>
  booted({
    features: { ...oldDriver },
    revisionPath: "/proc/fs/ocfs2_nodemanager/interface_revision",
  });

const mountsOf = (kernel: FakeKernel): string[] =>
  kernel.namespace.mounts
    .filter(({ fileSystem }) => ["configfs", "ocfs2_dlmfs", "debugfs"].includes(fileSystem.type))
    .map(({ target, fileSystem }) => `${fileSystem.type} ${target}`)
    .toSorted();

const LOADED = ["configfs /sys/kernel/config", "debugfs /sys/kernel/debug", "ocfs2_dlmfs /dlm"];

test("load: everything is there after it, and nothing is done the second time", async (t) => {
  const { kernel } = booted();
  const native = kernel.process();
  await load(native, { sysconfig: ENABLED });
  t.deepEqual(mountsOf(kernel), LOADED);
  t.true(kernel.hasModule("ocfs2_stack_o2cb"));
  t.is(kernel.hbCtlPath, "/bin/true");
  t.is(await native.readAttribute(SAVED), `${HELPER}\n/bin/true\n`);
  const again = kernel.process();
  t.deepEqual((await load(again, { sysconfig: ENABLED })).writes, []);
  t.deepEqual(written(again), []);
});

test("a dry run of a load lists it and does nothing", async (t) => {
  const { kernel } = booted();
  const native = kernel.process();
  const { writes } = await load(native, { sysconfig: ENABLED, dryRun: true });
  t.deepEqual([written(native), [...kernel.modules]], [[], []]);
  t.deepEqual(
    writes.map(({ action, path, value }) => `${action} ${path} ${value ?? ""}`.trim()),
    [
      "run /sbin/modprobe -q configfs",
      "mount /sys/kernel/config configfs",
      "run /sbin/modprobe -q ocfs2_stackglue",
      "run /sbin/modprobe -q ocfs2_stack_o2cb",
      "run /sbin/modprobe -q ocfs2_dlmfs",
      "mkdir /dlm",
      "mount /dlm ocfs2_dlmfs",
      `replace file ${SAVED} ${HELPER}\n/bin/true\n`,
      "write /proc/sys/fs/ocfs2/nm/hb_ctl_path /bin/true\n",
    ].map((line) => line.trim()),
  );
});

test("unload: hb_ctl_path, dlmfs, modules and configfs as they were, and nothing the second time", async (t) => {
  const { kernel } = booted();
  await load(kernel.process(), { sysconfig: ENABLED });
  const native = kernel.process();
  const result = await unload(native);
  t.deepEqual([mountsOf(kernel), result.kept], [["debugfs /sys/kernel/debug"], []]);
  t.is(kernel.hbCtlPath, HELPER);
  t.true(written(native).includes(`writeAttribute /proc/sys/fs/ocfs2/nm/hb_ctl_path ${HELPER}\n`));
  t.false([...kernel.modules].some((name) => name.startsWith("ocfs2")));
  await t.throwsAsync(native.readAttribute(SAVED));
  t.deepEqual((await unload(kernel.process())).writes, []);
  await load(kernel.process(), { sysconfig: ENABLED });
  t.deepEqual(mountsOf(kernel), LOADED);
});

test("unload refuses while a cluster is registered or a domain is joined; modules in use stay", async (t) => {
  const { kernel } = classicLocal({ dlmfs: "/dlm" });
  const error = await failure(unload(kernel.process()));
  t.is(error.code, "O2CB_CLUSTER_EXISTS");
  t.regex(error.message, new RegExp(CLUSTER));
  const other = booted();
  await load(other.kernel.process(), { sysconfig: ENABLED });
  other.kernel.domains.set("LOCKS", { users: 1 });
  t.regex((await failure(unload(other.kernel.process()))).message, /LOCKS/);
  other.kernel.domains.clear();
  const busy = other.kernel.process();
  busy.failCall("unmount", { errno: "EBUSY" });
  t.is((await failure(unload(busy))).code, "O2CB_UNMOUNT_FAILED");
  const local = booted({ volume: { local: true } });
  await load(local.kernel.process(), { sysconfig: ENABLED });
  await mountVolume(local.kernel.process(), { device: DISK, directory: DIRECTORY });
  const result = await unload(local.kernel.process());
  t.true(result.kept.includes("ocfs2"));
  t.false(result.kept.includes("ocfs2_dlmfs"));
});

test("the kernel leaves where that is asked for and possible; the first program is the one to put back", async (t) => {
  const { kernel } = booted();
  kernel.hbCtlPath = "/opt/original";
  await load(kernel.process(), { sysconfig: ENABLED });
  await load(kernel.process(), { sysconfig: KERNEL_LEAVES });
  t.is(kernel.hbCtlPath, HELPER);
  await load(kernel.process(), { sysconfig: ENABLED });
  t.is(kernel.hbCtlPath, "/bin/true");
  t.is(await kernel.process().readAttribute(SAVED), "/opt/original\n/bin/true\n");
  const native = kernel.process();
  await unload(native);
  t.true(written(native).includes("writeAttribute /proc/sys/fs/ocfs2/nm/hb_ctl_path /opt/original\n"));
  const without = booted();
  without.kernel.root.take(HELPER);
  const warnings: string[] = [];
  await load(without.kernel.process(), {
    sysconfig: KERNEL_LEAVES,
    onStep: (step) => void (step.step === "warning" && warnings.push(step.message)),
  });
  t.is(without.kernel.hbCtlPath, "/bin/true");
  t.regex(warnings.join(), /there is no '\/sbin\/ocfs2_hb_ctl'/);
});

test("a program that somebody else has set meanwhile is left, as is a /run that cannot be written", async (t) => {
  const { kernel } = booted();
  await load(kernel.process(), { sysconfig: ENABLED });
  kernel.hbCtlPath = "/opt/other";
  const native = kernel.process();
  await unload(native);
  t.false(written(native).some((call) => call.startsWith("writeAttribute /proc/sys")));
  const full = booted();
  full.kernel.runFails = "EROFS";
  await load(full.kernel.process(), { sysconfig: ENABLED });
  t.is(full.kernel.hbCtlPath, "/bin/true");
});

test("a hb_ctl_path that the kernel does not take is an error", async (t) => {
  const { kernel } = booted();
  kernel.ignoresWrite = (path) => path.endsWith("hb_ctl_path");
  t.is((await failure(load(kernel.process(), { sysconfig: ENABLED }))).code, "O2CB_INTERNAL_FAILURE");
});

test("a module that is not there is named; a driver of the 1.2 era has others, and a user stack too", async (t) => {
  const bare = booted({ availableModules: ["configfs", "ocfs2_stackglue"] });
  const error = await failure(load(bare.kernel.process(), { sysconfig: ENABLED }));
  t.is(error.code, "O2CB_MODULE_NOT_LOADED");
  t.regex(error.message, /ocfs2_stack_o2cb/);
  const none = booted({ availableModules: [] });
  t.is((await failure(load(none.kernel.process(), { sysconfig: ENABLED }))).code, "O2CB_MODULE_NOT_LOADED");
  const { kernel } = old();
  await load(kernel.process(), { sysconfig: ENABLED });
  t.true(kernel.hasModule("ocfs2_dlm"));
  t.is(kernel.hbCtlPath, "/bin/true");
  t.deepEqual((await load(kernel.process(), { sysconfig: ENABLED })).writes, []);
  await unload(kernel.process());
  t.false([...kernel.modules].some((name) => name.startsWith("ocfs2")));
  const user = booted();
  await load(user.kernel.process(), { sysconfig: { ...ENABLED, stack: "pcmk" } });
  t.true(user.kernel.hasModule("ocfs2_stack_user"));
  // Where dlmfs is loaded, the C tools lock through it, which a user stack's DLM refuses.
  t.deepEqual(mountsOf(user.kernel), LOADED.slice(0, 2));
  t.false(user.kernel.hasModule("ocfs2_dlmfs"));
  t.is(user.kernel.stackLabel, "pcmk");
});

test("whatever fails in load or unload, doing it again completes it", async (t) => {
  for (const setup of [() => booted(), old]) {
    await walkFaults((native) => load(native, { sysconfig: ENABLED }), {
      setup,
      check: async ({ kernel, title }) => {
        await load(kernel.process(), { sysconfig: ENABLED });
        t.is(kernel.hbCtlPath, "/bin/true", title);
        t.true(mountsOf(kernel).includes("ocfs2_dlmfs /dlm"), title);
        await unload(kernel.process());
        t.is(kernel.hbCtlPath, HELPER, title);
      },
    });
    await walkFaults<unknown, void>((native) => unload(native), {
      setup,
      prelude: async (native) => void (await load(native, { sysconfig: ENABLED })),
      check: async ({ kernel, title }) => {
        await unload(kernel.process());
        t.is(kernel.hbCtlPath, HELPER, title);
        t.false(
          [...kernel.modules].some((name) => name.startsWith("ocfs2")),
          title,
        );
      },
    });
  }
});

test("status of a machine without anything, of an online one, of one of the 1.2 era", async (t) => {
  const bare = await clusterStatus(booted().kernel.process());
  t.like(bare, {
    stack: null,
    revision: null,
    configfs: null,
    cluster: null,
    isOnline: false,
    timeouts: null,
  });
  const { kernel } = classicLocal({ dlmfs: "/dlm" });
  kernel.network.livePeers.add(1);
  kernel.network.connectedPeers.add(1);
  await mountVolume(kernel.process(), { device: DISK, directory: DIRECTORY });
  const native = kernel.process();
  const seen = await clusterStatus(native);
  t.like(seen, { stack: "o2cb", revision: 5, configfs: "/sys/kernel/config", debugfs: "/sys/kernel/debug" });
  t.like(seen, { dlmfs: ["/dlm"], cluster: CLUSTER, isRegistered: true, isOnline: true, mode: "local" });
  t.like(seen.nodes, [
    { name: "alpha", isLocal: true, isLive: true, isConnected: null },
    { name: "beta", isLocal: false, isLive: true, isConnected: true },
  ]);
  t.like(seen.timeouts, { deadThreshold: 31, deadSeconds: 60, fenceMethod: "reset" });
  t.like(seen.regions, [{ verdict: "in-use" }]);
  t.deepEqual([seen.hbCtlPath, seen.domains.length, written(native)], ["/bin/true", 1, []]);
  const before = oldDriver12().kernel.process();
  t.like(await clusterStatus(before), {
    stack: "o2cb",
    configfs: "/config",
    debugfs: null,
    isOnline: true,
    timeouts: { deadThreshold: 31, idleMs: null },
  });
});

test("online-status: 0, 1 and 2", async (t) => {
  const { kernel } = classicLocal();
  t.like(await onlineStatus(kernel.process()), { status: 0, state: "online", cluster: CLUSTER });
  t.like(await onlineStatus(kernel.process(), "other"), { status: 1, state: "offline", cluster: "other" });
  t.like(await onlineStatus(booted().kernel.process()), { status: 1, cluster: null });
  const native = kernel.process();
  native.failCall("listDirectories", { errno: "EACCES" });
  t.like(await onlineStatus(native), { status: 2, state: "error" });
});
