// A join waits until the kernel sees who beats in the region: slow nodes, dead ones, unknown ones.
import test from "ava";
import type { HeartbeatSlot } from "../../ts/native-types.ts";
import { beginGroupJoin } from "../../ts/membership.ts";
import { seePeers, type PeersRequest } from "../../ts/region/peers.ts";
import type { Step } from "../../ts/steps.ts";
import { openVolume } from "../../ts/volume.ts";
import { classicLocal, DISK, startByHand, type Machine, type SetupSettings } from "../helpers/fake-native.ts";

const GEOMETRY = { startBlock: 2184n, blockBytes: 512, blocks: 255 };
const DEAD_MS = 62_000;
/** node 1 of the cluster, and one that is not in it */
const [PEER, STRANGER] = [1, 7];

interface Scene extends Machine {
  steps: Step[];
  now: number;
  /** what happens at each pause, by its number */
  at: Map<number, () => void>;
  beat(slot: number, more?: Partial<HeartbeatSlot>): void;
  see(more?: Partial<PeersRequest>): Promise<void>;
}

/** This node's region beats; time passes in pauses only. */
function scene(settings: SetupSettings = {}): Scene {
  const machine = classicLocal(settings);
  startByHand(machine.kernel, machine.disk);
  const native = machine.kernel.process();
  const it: Scene = {
    ...machine,
    steps: [],
    now: 1_800_000_000_000,
    at: new Map(),
    beat: (slot, more = {}) =>
      machine.disk.writeSlot(GEOMETRY, {
        slot,
        valid: true,
        node: slot,
        sequence: BigInt(Math.floor(it.now / 1000)),
        generation: 5n,
        deadMs: DEAD_MS,
        ...more,
      }),
    see: async (more = {}) => {
      let pauses = 0;
      await seePeers({
        native,
        device: DISK,
        region: machine.uuid,
        geometry: GEOMETRY,
        node: { name: "alpha", number: 0 },
        cluster: {
          name: "lab",
          mode: "local",
          heartbeatDirectory: machine.regionDirectory.replace(/\/\w+$/, ""),
        },
        before: null,
        onStep: (step) => it.steps.push(step),
        clock: {
          now: () => it.now,
          pause: async (milliseconds) => {
            it.now += milliseconds;
            pauses += 1;
            it.at.get(pauses)?.();
          },
        },
        ...more,
      });
    },
  };
  return it;
}

const waited = (nodes: number[]): object => ({ step: "wait-nodes", nodes });

test("nobody else beats: nothing is waited for", async (t) => {
  const it = scene();
  it.beat(0);
  it.beat(PEER, { generation: 0n });
  it.beat(STRANGER, { valid: false });
  await it.see();
  t.deepEqual(it.steps, []);
});

test("a node that the kernel sees is waited for by nobody", async (t) => {
  const it = scene();
  it.kernel.network.livePeers.add(PEER);
  it.beat(PEER);
  await it.see();
  t.deepEqual(it.steps, []);
});

test("a slow node is waited for until the kernel sees it, and told once", async (t) => {
  const it = scene();
  it.beat(PEER);
  it.at.set(10, () => it.beat(PEER));
  it.at.set(14, () => it.kernel.network.livePeers.add(PEER));
  const began = it.now;
  await it.see();
  t.is(it.now - began, 14 * 500);
  t.like(it.steps, [waited([PEER])]);
  t.is(it.steps.length, 1);
});

test("a node that died long ago is not waited for, one that died just now until its dead time has passed", async (t) => {
  const it = scene();
  it.beat(PEER, { sequence: BigInt(Math.floor(it.now / 1000) - 63) });
  await it.see();
  t.deepEqual(it.steps, []);

  it.beat(PEER, { sequence: BigInt(Math.floor(it.now / 1000) - 20) });
  const began = it.now;
  await it.see();
  const took = it.now - began;
  t.true(took > DEAD_MS - 20_000 && took <= DEAD_MS - 18_000, `${took} ms`);
});

test("a clock that runs ahead: silence is counted here", async (t) => {
  const it = scene();
  it.beat(PEER, { sequence: BigInt(Math.floor(it.now / 1000) + 7200), deadMs: 10_000 });
  const began = it.now;
  await it.see();
  t.true(it.now - began > 10_000 && it.now - began <= 11_000);
});

test("a clock that is late: a block that changed during the start beats", async (t) => {
  const it = scene();
  const late = BigInt(Math.floor(it.now / 1000) - 3600);
  it.beat(PEER, { sequence: late });
  const before = it.disk.readSlots(GEOMETRY);
  it.beat(PEER, { sequence: late + 2n });
  it.at.set(3, () => it.kernel.network.livePeers.add(PEER));
  await it.see({ before });
  t.like(it.steps, [waited([PEER])]);
});

test("a node that leaves meanwhile is waited for no longer", async (t) => {
  const it = scene();
  it.beat(PEER);
  it.at.set(4, () => it.beat(PEER, { generation: 0n }));
  const began = it.now;
  await it.see();
  t.is(it.now - began, 2000);
});

test("a node that beats and is not configured here is refused; a silent one is none", async (t) => {
  const it = scene();
  it.beat(STRANGER);
  it.at.set(2, () => {
    it.now += 2000;
    it.beat(STRANGER);
  });
  const error = await t.throwsAsync(it.see(), { code: "O2CB_CONFIGURATION_ERROR" });
  t.regex(error?.message ?? "", /node 7 beats on '\/dev\/sdb'.*cluster 'lab'/);

  const silent = scene();
  silent.beat(STRANGER, { deadMs: 4000 });
  await t.notThrowsAsync(silent.see());
});

test("a node that beats on and on and is never seen is an error", async (t) => {
  const it = scene();
  it.beat(PEER);
  for (let pauses = 4; pauses < 400; pauses += 4) it.at.set(pauses, () => it.beat(PEER));
  const error = await t.throwsAsync(it.see(), { code: "O2CB_TIMEOUT" });
  t.regex(error?.message ?? "", /node 1 beats on '\/dev\/sdb'.*120 s/);
});

test("without debugfs three changes tell that the kernel has seen two; a region that ran already is left alone", async (t) => {
  const noDebugfs = { features: { debugfs: false } } as const;
  const it = scene(noDebugfs);
  it.beat(PEER);
  const before = it.disk.readSlots(GEOMETRY);
  for (const pauses of [4, 8, 12]) it.at.set(pauses, () => it.beat(PEER));
  const began = it.now;
  await it.see({ before });
  t.is(it.now - began, 12 * 500);

  const ran = scene(noDebugfs);
  ran.beat(PEER);
  await ran.see();
  t.deepEqual(ran.steps, []);
});

test("the wait is given up", async (t) => {
  const it = scene();
  it.beat(PEER);
  const giveUp = new AbortController();
  it.at.set(2, () => giveUp.abort(new Error("enough")));
  await t.throwsAsync(it.see({ signal: giveUp.signal }), { code: "O2CB_ABORTED" });
});

test("a join comes to its reference only when the kernel sees the others; where it does not, nothing is left", async (t) => {
  const machine = classicLocal();
  const native = machine.kernel.process();
  const volume = await openVolume(native, DISK);
  const now = BigInt(Math.floor(Date.now() / 1000));
  const slot = { slot: PEER, valid: true, node: PEER, sequence: now, generation: 5n, deadMs: DEAD_MS };
  machine.disk.writeSlot(GEOMETRY, slot);
  const steps: string[] = [];
  const join = await beginGroupJoin(native, {
    volume,
    service: "test",
    onStep: ({ step }) => {
      steps.push(step);
      if (step === "wait-nodes") machine.kernel.network.livePeers.add(PEER);
    },
  });
  t.deepEqual(steps.slice(-3), ["heartbeat", "wait-nodes", "reference"]);
  await join.complete(1);
  machine.kernel.network.livePeers.clear();
  t.deepEqual(machine.kernel.leftovers(), []);

  const giveUp = new AbortController();
  const given = beginGroupJoin(native, {
    volume,
    service: "test",
    signal: giveUp.signal,
    onStep: ({ step }) => {
      if (step === "wait-nodes") giveUp.abort();
    },
  });
  await t.throwsAsync(given, { code: "O2CB_ABORTED" });
  t.deepEqual(machine.kernel.leftovers(), []);
});
