// Waiting for regions and watching them, over the fake kernel: woken by its events, and looking again by itself only where
// nothing tells.
import { setImmediate } from "node:timers/promises";
import test from "ava";
import { isCode } from "../../ts/errors.ts";
import { waitForRegions, watchRegions, type RegionChange } from "../../ts/hb-ctl/query.ts";
import { stopService } from "../../ts/hb-ctl/stop.ts";
import { startService } from "../../ts/hb-ctl/start.ts";
import { audit } from "../../ts/region/audit.ts";
import {
  classicLocal,
  DISK,
  nothingLoaded,
  registerCluster,
  startByHand,
  UUID,
  volume,
  type FakeKernel,
  type FakeNative,
} from "../helpers/fake-native.ts";

process.setMaxListeners(0);

const OTHER = "0123456789ABCDEF0123456789ABCDEF";

/** Lets everything happen that can happen without time passing. */
async function rest(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await setImmediate();
}

/** A wait, and whether it is over. */
function waiting(
  native: FakeNative,
  until: "gone" | "active",
  regions: string[] = [UUID],
  timeoutMs: number | null = null,
) {
  const state = { isOver: false, promise: Promise.resolve() };
  const giveUp = new AbortController();
  state.promise = waitForRegions(native, { regions, until, timeoutMs, signal: giveUp.signal }).finally(() => {
    state.isOver = true;
  });
  state.promise.catch(() => {});
  return Object.assign(state, { giveUp: () => giveUp.abort(new Error("enough")) });
}

const mkdir = (kernel: FakeKernel, directory: string) =>
  kernel.process({ name: "mkdir" }).makeDirectory(directory);

test("what is so already is not waited for", async (t) => {
  const { kernel, disk } = classicLocal();
  const native = kernel.process();
  await waitForRegions(native, { regions: [UUID], until: "gone", timeoutMs: 0 });
  await waitForRegions(native, { regions: [], until: "gone", timeoutMs: 0 });
  startByHand(kernel, disk);
  await waitForRegions(native, { regions: [UUID], until: "active", timeoutMs: 0 });
  await waitForRegions(native, { regions: [OTHER], until: "gone", timeoutMs: 0 });
  t.pass();
});

test("gone: it ends with the region, and does nothing until then", async (t) => {
  const { kernel, uuid } = classicLocal();
  await startService(kernel.process(), { device: DISK, uuid: null, service: "agent" });
  const native = kernel.process();
  const named = waiting(native, "gone");
  const all = waiting(kernel.process(), "gone", []);
  await rest();
  const before = native.calls.length;
  await rest();
  t.is(native.calls.length, before, "at rest it looks at nothing");
  t.deepEqual([named.isOver, all.isOver], [false, false]);
  await stopService(kernel.process(), { device: null, uuid, service: "agent", caller: "program" });
  await Promise.all([named.promise, all.promise]);
  t.deepEqual(kernel.leftovers(), []);
});

test("gone of several waits for the last one", async (t) => {
  const { kernel, disk, regionDirectory } = classicLocal();
  startByHand(kernel, disk);
  await mkdir(kernel, regionDirectory.replace(UUID, OTHER));
  const both = waiting(kernel.process(), "gone", [UUID, OTHER]);
  await rest();
  await kernel.process().removeDirectory(regionDirectory);
  await rest();
  t.false(both.isOver);
  await kernel.process().removeDirectory(regionDirectory.replace(UUID, OTHER));
  await both.promise;
  t.pass();
});

test("active: a directory alone is not enough; it ends when the region has a disk", async (t) => {
  const { kernel, disk, regionDirectory } = classicLocal();
  const wait = waiting(kernel.process(), "active");
  await rest();
  await mkdir(kernel, regionDirectory);
  await rest();
  t.false(wait.isOver);
  Object.assign(kernel.region(UUID) ?? {}, { device: disk });
  await wait.promise;
  t.pass();
});

test("active of a region that is made by somebody else's start", async (t) => {
  const { kernel } = classicLocal();
  const wait = waiting(kernel.process(), "active");
  await rest();
  await startService(kernel.process(), { device: DISK, uuid: null, service: "agent" });
  await wait.promise;
  t.pass();
});

test("a cluster that is registered later is seen, also where its modules come later", async (t) => {
  for (const machine of [classicLocal({ unregistered: true }), nothingLoaded()]) {
    const { kernel, disk } = machine;
    const wait = waiting(kernel.process(), "active");
    await rest();
    kernel.loadModule("ocfs2_stack_o2cb");
    registerCluster(kernel);
    await rest();
    startByHand(kernel, disk);
    await wait.promise;
  }
  t.pass();
});

test("the time allowed: O2CB_TIMEOUT names the regions and releases the watch", async (t) => {
  const { kernel, disk } = classicLocal();
  startByHand(kernel, disk);
  for (const [until, regions, message] of [
    ["gone", [UUID], /^region 77D9\S+ still exists after 0\.02 s$/],
    ["active", [OTHER], /^region 0123\S+ does not beat yet/],
    ["gone", [], /^region 77D9/],
  ] as const) {
    const native = kernel.process();
    const error = await waitForRegions(native, { regions, until, timeoutMs: 20 }).catch(
      (one: unknown) => one,
    );
    t.true(isCode(error, "O2CB_TIMEOUT"), String(error));
    t.regex((error as Error).message, message);
    t.true(native.calls.some(({ name }) => /release/.test(name)));
  }
});

test("the caller can give up", async (t) => {
  const { kernel, disk } = classicLocal();
  startByHand(kernel, disk);
  const wait = waiting(kernel.process(), "gone");
  await rest();
  wait.giveUp();
  const error = await wait.promise.catch((one: unknown) => one);
  t.true(isCode(error, "O2CB_ABORTED"), String(error));
});

// -- watching

/** A watch whose changes are collected. */
function watching(kernel: FakeKernel, regions: string[] = [], everyMs = 5) {
  const changes: RegionChange[] = [];
  const end = new AbortController();
  let wake = (): void => {};
  const over = (async () => {
    try {
      for await (const change of watchRegions(kernel.process(), {
        regions,
        audit,
        everyMs,
        signal: end.signal,
      })) {
        changes.push(change);
        wake();
      }
      return null;
    } catch (error) {
      wake();
      return error;
    }
  })();
  return {
    changes,
    over,
    stop: () => end.abort(new Error("enough")),
    /** until the n-th change was told */
    async told(count: number): Promise<void> {
      while (changes.length < count)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    },
  };
}

test("a watch tells what is there, each change of verdict or count once, and the end", async (t) => {
  const { kernel, uuid, disk } = classicLocal();
  startByHand(kernel, disk);
  const watch = watching(kernel);
  await watch.told(1);
  t.like(watch.changes[0], { change: "present", region: uuid, references: 1 });
  // The count changes without an event.
  await startService(kernel.process(), { device: DISK, uuid: null, service: "agent" });
  await watch.told(2);
  t.like(watch.changes[1], { change: "changed", region: uuid, references: 2 });
  await stopService(kernel.process(), { device: null, uuid, service: "agent", caller: "program" });
  await watch.told(3);
  t.like(watch.changes[2], { change: "changed", references: 1 });
  await stopService(kernel.process(), { device: null, uuid, service: null, caller: "kernel" });
  await watch.told(4);
  t.deepEqual(watch.changes[3], { change: "disappeared", region: uuid });
  watch.stop();
  t.true(isCode(await watch.over, "O2CB_ABORTED"));
  t.is(watch.changes.length, 4);
});

test("a region that comes while nothing is there wakes the watch; others than those named are not told", async (t) => {
  const { kernel, regionDirectory } = classicLocal();
  const second = kernel.addDisk({
    name: "sdc",
    number: { major: 8, minor: 32 },
    volume: volume({ uuid: OTHER }),
  });
  // Longer than the test may take: only an event can wake it.
  const watch = watching(kernel, [OTHER], 1_000_000);
  await rest();
  await mkdir(kernel, regionDirectory);
  await rest();
  t.is(second.name, "sdc");
  await startService(kernel.process(), { device: "/dev/sdc", uuid: null, service: "agent" });
  await watch.told(1);
  t.like(watch.changes[0], { change: "appeared", region: OTHER });
  watch.stop();
  await watch.over;
  t.true(watch.changes.every(({ region }) => region === OTHER));
});
