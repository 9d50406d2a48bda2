// The fake machine's semaphore sets: mutex, references, undo, removal (group-api 3.6: the table of observed semantics).
import test from "ava";
import type { RegionLock } from "../../ts/native-types.ts";
import { classicLocal, type FakeNative, UUID } from "../helpers/fake-native.ts";
import { regionKey } from "../helpers/fake/semaphores.ts";
import { refused } from "../helpers/refused.ts";

async function lock(native: FakeNative, timeoutMs = 1000): Promise<RegionLock> {
  const held = await native.lockRegion(UUID, true, timeoutMs);
  if (held === null) throw new Error("no set although it was to be made");
  return held;
}

/** The count as anybody sees it. */
async function references(native: FakeNative): Promise<number | null> {
  return (await native.regionSemaphores(UUID))?.references ?? null;
}

test("the keys are those of the C tools", (t) => {
  t.is(regionKey("123456789"), -873187034);
  t.is(regionKey("77D95EF51C0149D2823674FCC162CF8B"), 594583031);
  t.is(regionKey("77d95ef51c0149d2823674fcc162cf8b"), 972856691);
});

test("looking makes nothing; locking with create does", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  t.is(await native.regionSemaphores(UUID), null);
  t.is(await native.lockRegion(UUID, false, 10), null);
  t.deepEqual(kernel.leftovers(), []);
  const held = await lock(native);
  t.deepEqual(await native.regionSemaphores(UUID), { references: 0, mutexHeld: true, lastPid: native.pid });
  held.release();
  held.release();
  t.deepEqual(kernel.leftovers(), [`semaphore set of ${UUID} (references 0)`]);
  await refused(t, () => held.references(), null, "O2CB_NO_SEM");
});

test("the second process waits until the first releases, or dies", async (t) => {
  const { kernel } = classicLocal();
  const [a, b, c] = [kernel.process(), kernel.process(), kernel.process()];
  const order: string[] = [];
  const first = await lock(a);
  const second = lock(b, 60_000).then((held) => (order.push("b"), held));
  const third = lock(c, 60_000).then((held) => (order.push("c"), held));
  await kernel.idle();
  t.deepEqual(order, []);
  first.release();
  await second;
  t.deepEqual(order, ["b"]);
  b.kill();
  (await third).release();
  t.deepEqual(order, ["b", "c"]);
});

test("a wait ends after its time, with the holder", async (t) => {
  const { kernel } = classicLocal();
  kernel.clock.useManual();
  const [a, b] = [kernel.process(), kernel.process()];
  const held = await lock(a);
  const waiting = b.lockRegion(UUID, true, 1000);
  await kernel.idle();
  kernel.clock.advance(999);
  t.is(await Promise.race([waiting.catch(() => "over"), a.readAttribute("/etc/hostname")]), "alpha\n");
  kernel.clock.advance(1);
  const error = await refused(t, waiting, "EAGAIN", "O2CB_TIMEOUT");
  t.is(error.holder, a.pid);
  held.release();
  (await lock(b)).release();
});

test("a wait can be given up, and a killed waiter gets nothing", async (t) => {
  const { kernel } = classicLocal();
  const [a, b, c] = [kernel.process(), kernel.process(), kernel.process()];
  const held = await lock(a);
  const controller = new AbortController();
  const waiting = b.lockRegion(UUID, true, 60_000, { signal: controller.signal });
  void c.lockRegion(UUID, true, 60_000);
  await kernel.idle();
  controller.abort();
  await refused(t, waiting, "EINTR", "O2CB_ABORTED");
  c.kill();
  held.release();
  t.false((await a.regionSemaphores(UUID))?.mutexHeld);
});

test("who sleeps on a set that is removed makes a new one", async (t) => {
  const { kernel } = classicLocal();
  const [a, b] = [kernel.process(), kernel.process()];
  const held = await lock(a);
  const before = kernel.semaphores().find(regionKey(UUID));
  const waiting = lock(b, 60_000);
  await kernel.idle();
  held.destroy();
  await refused(t, () => held.take(false), null, "O2CB_NO_SEM");
  const second = await waiting;
  t.not(kernel.semaphores().find(regionKey(UUID)), before);
  t.is(second.references(), 0);
  second.destroy();
  t.deepEqual(kernel.leftovers(), []);
});

test("a reference with undo goes with its process, one without stays", async (t) => {
  const { kernel } = classicLocal();
  const [a, b] = [kernel.process(), kernel.process()];
  const held = await lock(a);
  t.is(held.take(true), 1);
  t.is(held.take(false), 2);
  held.release();
  a.kill();
  t.is(await references(b), 1);
  const again = await lock(b);
  t.deepEqual(again.drop(false), { dropped: true, references: 0 });
  t.deepEqual(again.drop(false), { dropped: false, references: 0 });
  again.release();
});

test("handing over makes an undone reference stay", async (t) => {
  const { kernel } = classicLocal();
  const [a, b] = [kernel.process(), kernel.process()];
  const held = await lock(a);
  held.take(true);
  held.handOver();
  t.is(held.references(), 1);
  held.release();
  a.exit();
  t.is(await references(b), 1);
});

test("kinds mixed by one process or by two corrupt the count as the kernel would", async (t) => {
  const { kernel } = classicLocal();
  const [a, b, c] = [kernel.process(), kernel.process(), kernel.process()];
  const mixed = await lock(a);
  mixed.take(false);
  mixed.drop(true);
  mixed.release();
  a.exit();
  t.is(await references(c), 1, "taken persistent, dropped with undo: the count goes up at exit");
  const cleaner = await lock(c);
  cleaner.drop(false);
  cleaner.release();
  await b.lockRegion(UUID, true, 1000).then((held) => (held?.take(true), held?.release()));
  const held = await lock(kernel.process());
  held.take(false);
  held.drop(false);
  held.drop(false);
  held.release();
  b.kill();
  t.is(await references(kernel.process()), 0, "never below 0");
});

test("undo is void once the set is gone", async (t) => {
  const { kernel } = classicLocal();
  const [a, b] = [kernel.process(), kernel.process()];
  const held = await lock(a);
  held.take(true);
  held.destroy();
  const fresh = await lock(b);
  fresh.take(false);
  a.kill();
  t.is(fresh.references(), 1);
});

test("a count ends at 32767", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  const held = await lock(native);
  const set = kernel.semaphores().find(regionKey(UUID));
  if (set !== undefined) set.values[1] = 32_767;
  await refused(t, () => held.take(false), "ERANGE");
  t.is(held.references(), 32_767);
});

test("a squatted key, a name that cannot be", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  kernel.semaphores().get(regionKey(UUID), true, "squatter", 1);
  await refused(t, native.lockRegion(UUID, true, 10), "EINVAL", "O2CB_BAD_SEM");
  await refused(t, native.lockRegion("", true, 10), null, "O2CB_INVALID_REGION_NAME");
  await refused(t, native.lockRegion("A".repeat(33), true, 10), null, "O2CB_INVALID_REGION_NAME");
});

test("another IPC namespace has other sets", async (t) => {
  const { kernel } = classicLocal();
  const inside = kernel.process({ ipc: 4_026_532_999 });
  (await lock(inside)).take(false);
  t.is(await kernel.process().regionSemaphores(UUID), null);
  t.not(await inside.readLink("/proc/self/ns/ipc"), await inside.readLink("/proc/1/ns/ipc"));
});

test("a file lock: one holder, waiters in turn, gone with its process", async (t) => {
  const { kernel } = classicLocal();
  kernel.clock.useManual();
  const [a, b, c] = [kernel.process(), kernel.process(), kernel.process()];
  const path = "/run/ocfs2-group/x.lock";
  const held = await a.lockFile(path, 1000);
  const late = b.lockFile(path, 1000);
  await kernel.idle();
  kernel.clock.advance(1000);
  await refused(t, late, "EAGAIN", "O2CB_TIMEOUT");
  const waiting = c.lockFile(path, 1000);
  await kernel.idle();
  a.kill();
  held.release();
  await waiting;
  t.deepEqual(kernel.leftovers(), [`lock of ${path} by process ${c.pid}`]);
  t.is((await b.inspectPath(path, null)).kind, "file");
  await refused(t, b.lockFile("/nowhere/ocfs2-group/x.lock", 10), "ENOENT");
});
