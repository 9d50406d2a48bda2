// Waiting for events on the fake machine (inotify(7), commands fact 4).
import test from "ava";
import type { EventWatch, WatchEvent } from "../../ts/native-types.ts";
import { classicLocal, DISK, type FakeKernel, type FakeNative, UUID } from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";

const DEVICE = { major: 8, minor: 16 };
const HEARTBEAT = "/sys/kernel/config/cluster/lab/heartbeat";

async function watching(kernel: FakeKernel): Promise<{ native: FakeNative; watch: EventWatch }> {
  const native = kernel.process();
  return { native, watch: await native.watchEvents() };
}

/** What is there now, without the mount table; empty where nothing is. */
async function present(watch: EventWatch): Promise<WatchEvent[]> {
  const controller = new AbortController();
  const events = watch.next({ signal: controller.signal }).catch(() => []);
  // One turn of the event loop, and nothing has come.
  setImmediate(() => controller.abort());
  return (await events).filter(({ kind }) => kind !== "mounts");
}

async function mounted(): Promise<ReturnType<typeof classicLocal>> {
  const machine = classicLocal({ leave: "kernel" });
  await machine.kernel.cTool.mount(DISK, "/vol");
  return machine;
}

test("a death is told once, when the shutdown begins: before sysfs, the domain, the call-out and the claim", async (t) => {
  const { kernel, disk, regionDirectory } = await mounted();
  const { native, watch } = await watching(kernel);
  const id = await watch.addMount("/vol", DEVICE);
  t.not(id, null);
  const shutdown = kernel.holdShutdown();
  const unmounted = kernel.cTool.umount("/vol");
  await shutdown.reached;
  t.deepEqual(await watch.next(), [{ kind: "mounts" }, { kind: "unmounted", id }]);
  t.is((await native.inspectPath("/sys/fs/ocfs2/sdb", null)).kind, "directory");
  t.deepEqual(await native.listDirectories("/sys/kernel/debug/o2dlm"), [UUID]);
  await refused(t, native.removeDirectory(regionDirectory), "EBUSY");
  t.deepEqual([kernel.callOuts.length, disk.claim?.by], [0, "superblock of sdb"]);
  shutdown.finish();
  await unmounted;
  t.is(kernel.callOuts.length, 1);
  t.deepEqual(await present(watch), []);
});

test("only the last mount's end is a death; the same superblock is one watch, another device none", async (t) => {
  const { kernel } = await mounted();
  const { native, watch } = await watching(kernel);
  await kernel.cTool.mount(DISK, "/vol2");
  const id = await watch.addMount("/vol", DEVICE);
  t.is(await watch.addMount("/vol2", DEVICE), id);
  t.is(await watch.addMount("/etc", DEVICE), null);
  await refused(t, watch.addMount("/none", DEVICE), "ENOENT");
  await refused(t, watch.addMount("/etc/hostname", DEVICE), "ENOTDIR");
  await kernel.cTool.umount("/vol");
  t.deepEqual(await present(watch), []);
  const user = kernel.process();
  const file = user.openFile("/vol2");
  await kernel.cTool.umount("/vol2", true);
  t.deepEqual(await present(watch), []);
  await file.close();
  t.deepEqual(await present(watch), [{ kind: "unmounted", id }]);
  await kernel.cTool.mount(DISK, "/vol");
  t.not(await watch.addMount("/vol", DEVICE), id);
  // It keeps nothing busy.
  await native.unmount({ target: "/vol", flags: 0, namespace: null });
});

test("a mount of another namespace can be watched through its root", async (t) => {
  const { kernel } = await mounted();
  const inside = kernel.process({ namespace: kernel.unshare() });
  await kernel.cTool.umount("/vol");
  const { watch } = await watching(kernel);
  t.is(await watch.addMount("/vol", DEVICE), null);
  const id = await watch.addMount(`/proc/${inside.pid}/root/vol`, DEVICE);
  inside.kill();
  t.deepEqual(await watch.next(), [{ kind: "unmounted", id }]);
});

test("directories of configfs tell of what is made and removed, and of their own end", async (t) => {
  const { kernel, regionDirectory } = classicLocal();
  const { native, watch } = await watching(kernel);
  const id = await watch.addDirectory(HEARTBEAT);
  t.is(await watch.addDirectory(HEARTBEAT), id);
  await refused(t, watch.addDirectory("/etc/hostname"), "ENOTDIR");
  await native.makeDirectory(regionDirectory);
  const changed = { kind: "changed", id, name: UUID } as const;
  t.deepEqual(await watch.next(), [changed]);
  const region = await watch.addDirectory(regionDirectory);
  await native.writeAttribute(`${regionDirectory}/blocks`, "255");
  t.deepEqual(await present(watch), []);
  await native.removeDirectory(regionDirectory);
  t.deepEqual(await watch.next(), [{ kind: "gone", id: region }, changed]);
  await kernel.cTool.hbCtlStart(UUID);
  t.deepEqual(await watch.next(), [changed], "the C tools' doings are seen too");
  await kernel.cTool.hbCtlStop(UUID);
  t.deepEqual(await watch.next(), [changed]);
});

test("a cluster's end is the end of its directories", async (t) => {
  const { kernel } = classicLocal({ unregistered: true });
  const { native, watch } = await watching(kernel);
  const cluster = "/sys/kernel/config/cluster";
  const top = await watch.addDirectory(cluster);
  await native.makeDirectory(`${cluster}/lab`);
  const heartbeat = await watch.addDirectory(`${cluster}/lab/heartbeat`);
  await native.removeDirectory(`${cluster}/lab`);
  t.deepEqual(await watch.next(), [
    { kind: "changed", id: top, name: "lab" },
    { kind: "gone", id: heartbeat },
  ]);
});

test("files below /run: made, replaced, removed; an event that waits is not repeated", async (t) => {
  const { kernel } = classicLocal();
  const { native, watch } = await watching(kernel);
  await native.makeDirectory("/run/ocfs2-group");
  const id = await watch.addDirectory("/run/ocfs2-group");
  const names = async (): Promise<unknown[]> =>
    (await watch.next()).map((event) => (event.kind === "changed" && event.id === id ? event.name : event));
  await native.replaceFile("/run/ocfs2-group/x.json", "1", 0o600);
  await native.replaceFile("/run/ocfs2-group/x.json", "2", 0o600);
  t.deepEqual(
    (await names()).filter((name) => !String(name).startsWith(".")),
    ["x.json"],
  );
  await native.removeFile("/run/ocfs2-group/x.json");
  t.deepEqual(await names(), ["x.json"]);
  await native.removeDirectory("/run/ocfs2-group");
  t.deepEqual(await watch.next(), [{ kind: "gone", id }]);
});

test("changes of this namespace's mount table, told once however many; not those of another", async (t) => {
  const { kernel } = await mounted();
  const inside = kernel.unshare();
  const { watch } = await watching(kernel);
  const other = await kernel.process({ namespace: inside }).watchEvents();
  const next = watch.next();
  await kernel.cTool.mount(DISK, "/vol2");
  t.deepEqual(await next, [{ kind: "mounts" }]);
  await kernel.cTool.umount("/vol2");
  await kernel.cTool.umount("/vol");
  t.deepEqual(await watch.next(), [{ kind: "mounts" }]);
  for (const quiet of [watch, other]) {
    const nothing = new AbortController();
    const waiting = quiet.next({ signal: nothing.signal });
    await kernel.idle();
    nothing.abort();
    await refused(t, waiting, "EINTR", "O2CB_ABORTED");
  }
});

test("an aborted, failed or doubled wait loses no event", async (t) => {
  const { kernel } = classicLocal();
  const { native, watch } = await watching(kernel);
  const id = await watch.addDirectory("/run");
  const controller = new AbortController();
  const waiting = watch.next({ signal: controller.signal });
  await kernel.idle();
  await refused(t, watch.next(), null, "O2CB_INTERNAL_FAILURE");
  controller.abort();
  await refused(t, waiting, "EINTR", "O2CB_ABORTED");
  await native.makeDirectory("/run/a");
  await refused(t, watch.next({ signal: AbortSignal.abort() }), "EINTR", "O2CB_ABORTED");
  native.failCall("EventWatch.next", { errno: "ENOMEM" });
  await refused(t, watch.next(), "ENOMEM", "O2CB_NO_MEMORY");
  t.deepEqual(await watch.next(), [{ kind: "changed", id, name: "a" }]);
});

test("what the queue cannot hold is lost, and that is told", async (t) => {
  const { kernel } = classicLocal();
  kernel.maxQueuedEvents = 1;
  const { native, watch } = await watching(kernel);
  const id = await watch.addDirectory("/run");
  for (const name of ["a", "b", "c"]) await native.makeDirectory(`/run/${name}`);
  t.deepEqual(await watch.next(), [{ kind: "changed", id, name: "a" }, { kind: "lost" }]);
  await native.makeDirectory("/run/d");
  t.deepEqual(await watch.next(), [{ kind: "changed", id, name: "d" }]);
});

test("removed watches tell nothing; a released one ends its wait; a dead process leaves none", async (t) => {
  const { kernel } = classicLocal();
  const { native, watch } = await watching(kernel);
  const id = await watch.addDirectory("/run");
  await native.makeDirectory("/run/a");
  watch.remove(id);
  watch.remove(id);
  watch.remove(77);
  await native.makeDirectory("/run/b");
  t.deepEqual(await present(watch), []);
  const waiting = watch.next();
  await kernel.idle();
  watch.release();
  watch.release();
  await refused(t, waiting, null, "O2CB_ABORTED");
  await refused(t, watch.next(), null, "O2CB_ABORTED");
  await refused(t, watch.addDirectory("/run"), null, "O2CB_ABORTED");
  await native.watchEvents();
  t.is(kernel.watches.size, 1);
  native.kill();
  t.is(kernel.watches.size, 0);
  t.throws(() => kernel.process().failCall("EventWatch.remove", { errno: "EIO" }), { instanceOf: TypeError });
});
