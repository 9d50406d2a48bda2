// Timeouts: an order that the kernel accepts at each step, what it ignores or refuses, drivers that have other places for them.
import test from "ava";
import { ALPHA, failure, LOCAL, written } from "../helpers/clusters.ts";
import {
  classicGlobal,
  classicLocal,
  nothingLoaded,
  oldDriver12,
  registerCluster as registerByHand,
  type FakeKernel,
} from "../helpers/fake-native.ts";
import type { DesiredTimeouts } from "../../ts/cluster/desired-state.ts";
import { registerCluster } from "../../ts/cluster/register.ts";
import { readClusterState } from "../../ts/cluster/registered.ts";
import { readTimeouts, setTimeouts, type TimeoutsResult } from "../../ts/cluster/timeouts.ts";
import { KernelWrites, type WriteOptions } from "../../ts/cluster/writes.ts";

const DIRECTORY = "/sys/kernel/config/cluster/lab";

async function set(
  kernel: FakeKernel,
  wanted: DesiredTimeouts,
  options: WriteOptions & { whatIsPossible?: boolean } = {},
): Promise<TimeoutsResult & { writes: string[] }> {
  const native = kernel.process();
  const state = await readClusterState(native);
  if (state === null) throw new Error("no cluster is registered");
  const result = await setTimeouts(new KernelWrites(native, options), state, wanted, options);
  return { ...result, writes: written(native) };
}

test("any two pairs of idle and keepalive: each step is accepted, and the second time nothing is written", async (t) => {
  const values = [1, 2, 2000, 2001, 30_000, 60_000, 0xffff_fffe];
  const pairs = values.flatMap((idleMs) =>
    values.filter((keepaliveMs) => keepaliveMs < idleMs).map((keepaliveMs) => ({ idleMs, keepaliveMs })),
  );
  const { kernel } = classicLocal();
  for (const from of pairs) {
    for (const to of pairs) {
      await set(kernel, from);
      await set(kernel, to);
      t.like(await readTimeouts(kernel.process(), DIRECTORY), to, JSON.stringify([from, to]));
      const again = await set(kernel, to);
      t.deepEqual([again.writes, again.changed], [[], []]);
    }
  }
});

test("everything at once, and what is read", async (t) => {
  const { kernel } = classicLocal();
  const wanted = {
    deadThreshold: 16,
    idleMs: 60_000,
    keepaliveMs: 40_000,
    reconnectMs: 3000,
    fenceMethod: "panic",
  } as const;
  const dry = await set(kernel, wanted, { dryRun: true });
  t.deepEqual(dry.writes, []);
  const result = await set(kernel, wanted);
  t.deepEqual(result.changed, ["deadThreshold", "idleMs", "keepaliveMs", "reconnectMs", "fenceMethod"]);
  t.deepEqual(dry.changed, result.changed);
  t.deepEqual(result.writes.at(-1), `writeAttribute ${DIRECTORY}/fence_method panic\n`);
  t.deepEqual(await readTimeouts(kernel.process(), DIRECTORY), { ...wanted, deadSeconds: 30 });
});

test("values that can never be are refused before anything is written", async (t) => {
  const bad: DesiredTimeouts[] = [
    { deadThreshold: 2 },
    { deadThreshold: 7.5 },
    { idleMs: 0 },
    { reconnectMs: 0xffff_ffff },
    { idleMs: 2000, keepaliveMs: 2000, deadThreshold: 40 },
    { keepaliveMs: 30_000, deadThreshold: 40 },
    { idleMs: 2000, deadThreshold: 40 },
    { fenceMethod: "reboot" as never },
  ];
  for (const wanted of bad) {
    const { kernel } = classicLocal();
    const error = await failure(set(kernel, wanted));
    t.is(error.code, "O2CB_CONFIGURATION_ERROR", JSON.stringify(wanted));
    t.like(await readTimeouts(kernel.process(), DIRECTORY), { deadThreshold: 31, idleMs: 30_000 });
  }
});

test("the dead threshold while regions exist: refused with their names, or told", async (t) => {
  const { kernel } = classicGlobal();
  const [region] = kernel.regions();
  const wanted = { deadThreshold: 61, reconnectMs: 4000 };
  const error = await failure(set(kernel, wanted));
  t.is(error.code, "O2CB_REGION_IN_USE");
  t.regex(error.message, new RegExp(region?.name ?? "?"));
  t.is((await readTimeouts(kernel.process(), DIRECTORY)).reconnectMs, 2000);
  const result = await set(kernel, wanted, { whatIsPossible: true });
  t.deepEqual(result.changed, ["reconnectMs"]);
  t.like(result.refused, [{ name: "deadThreshold", wanted: "61", current: "31" }]);
});

test("idle and keepalive stand still while a peer is connected, reconnect does not", async (t) => {
  const { kernel } = classicLocal();
  kernel.network.connectedPeers.add(1).add(3);
  const error = await failure(set(kernel, { idleMs: 40_000 }));
  t.is(error.code, "O2CB_REGION_IN_USE");
  t.regex(error.message, /1, 3/);
  await set(kernel, { idleMs: 30_000, reconnectMs: 2500 });
  t.is((await readTimeouts(kernel.process(), DIRECTORY)).reconnectMs, 2500);
});

test("a write that the kernel ignores in silence is an error", async (t) => {
  for (const [name, value] of Object.entries({
    deadThreshold: 20,
    idleMs: 9000,
    reconnectMs: 9000,
    fenceMethod: "panic",
  })) {
    const { kernel } = classicLocal();
    kernel.ignoresWrite = (path) => path.startsWith(DIRECTORY);
    const error = await failure(set(kernel, { [name]: value }));
    t.is(error.code, "O2CB_INTERNAL_FAILURE", name);
    t.regex(error.message, /the kernel took the write and kept/);
  }
});

test("a driver of the 1.2 era: the threshold below /proc, the rest left out", async (t) => {
  const { kernel } = oldDriver12();
  const result = await set(kernel, { deadThreshold: 16, idleMs: 60_000, reconnectMs: 2000 });
  t.deepEqual([result.changed, result.missing], [["deadThreshold"], ["idleMs", "reconnectMs"]]);
  t.deepEqual(result.writes, ["writeAttribute /proc/fs/ocfs2_nodemanager/hb_dead_threshold 16\n"]);
  t.is(kernel.heartbeat.deadThreshold, 16);
  t.deepEqual((await set(kernel, { deadThreshold: 16 })).writes, []);
});

test("a registration sets what was inherited from an earlier cluster; a later one does what is possible", async (t) => {
  const { kernel } = classicLocal({ unregistered: true });
  kernel.heartbeat.deadThreshold = 9;
  const timeouts = { deadThreshold: 31, idleMs: 12_000 };
  const first = await registerCluster(kernel.process(), LOCAL, { timeouts });
  t.deepEqual(first.timeouts.changed, ["deadThreshold", "idleMs"]);
  kernel.network.connectedPeers.add(1);
  const second = await registerCluster(kernel.process(), LOCAL, {
    timeouts: { idleMs: 20_000, reconnectMs: 2600 },
  });
  t.deepEqual(second.timeouts.changed, ["reconnectMs"]);
  t.like(second.timeouts.refused, [{ name: "idleMs" }]);
});

test("a new registration whose timeouts cannot be set is undone", async (t) => {
  const { kernel } = classicLocal({ unregistered: true });
  kernel.ignoresWrite = (path) => path.endsWith("dead_threshold");
  const error = await failure(
    registerCluster(kernel.process(), { ...LOCAL, nodes: [ALPHA] }, { timeouts: { deadThreshold: 61 } }),
  );
  t.is(error.code, "O2CB_INTERNAL_FAILURE");
  t.is(kernel.clusters.size, 0);
  const loaded = nothingLoaded().kernel;
  registerByHand(loaded);
  t.is((await failure(registerCluster(loaded.process(), LOCAL))).code, "O2CB_MODULE_NOT_LOADED");
});
