// The reap: what was planned goes, and nothing else does, whatever has happened since the plan was made.
import test, { type ExecutionContext } from "ava";
import type { ReapAction, ReapPlan, ReapResult } from "../../ts/region/audit-types.ts";
import { planReap, reap, type ReapOptions } from "../../ts/region/reap.ts";
import { newRecord, writeRecord } from "../../ts/region/record.ts";
import {
  classicGlobal,
  classicLocal,
  DIRECTORY,
  DISK,
  oldDriver12,
  startByHand,
  UUID,
  volume,
  type FakeKernel,
  type Machine,
} from "../helpers/fake-native.ts";
import { regionStates } from "../helpers/region-states.ts";
import {
  clean,
  command,
  join,
  leaveByOurProgram,
  look,
  lookAt,
  mount,
  references,
  start,
  stop,
} from "../helpers/region-work.ts";

const plan = async (kernel: FakeKernel, force = false): Promise<ReapPlan> =>
  planReap(await look(kernel, { regions: [UUID], probe: true }), { force });

const carryOut = (kernel: FakeKernel, planned: ReapPlan, options: ReapOptions = {}): Promise<ReapResult> =>
  command(kernel, (native) => reap(native, planned, { patienceMs: 0, ...options }));

const forged = (more: Partial<ReapAction> = {}): ReapPlan => ({
  time: "",
  kept: [],
  actions: [
    {
      region: UUID,
      drop: 1,
      forced: 0,
      stop: true,
      removeSet: true,
      domains: [],
      records: [],
      reason: "forged",
      ...more,
    },
  ],
});

/** Mounted, and unmounted by a program. */
async function vanished(machine: Machine = classicLocal({ dlmfs: "/dlm" })): Promise<Machine> {
  await mount(machine.kernel);
  await machine.kernel.cTool.umount(DIRECTORY);
  return machine;
}

/** Skipped with the reason, and nothing has changed. */
async function skips(
  t: ExecutionContext,
  kernel: FakeKernel,
  planned: ReapPlan,
  reason: RegExp,
): Promise<void> {
  const before = kernel.leftovers();
  const { done, skipped } = await carryOut(kernel, planned);
  t.deepEqual(done, []);
  t.is(skipped[0]?.region, UUID);
  t.regex(skipped[0]?.reason ?? "", reason);
  t.deepEqual(kernel.leftovers(), before);
}

for (const { title, setup, make, plan: expected } of regionStates) {
  test(`${title}: the plan is carried out, and a second look finds nothing to do`, async (t) => {
    const machine = setup();
    const { kernel } = machine;
    const end = await make(machine);
    const before = kernel.leftovers();
    const count = references(kernel);
    const planned = planReap(await look(kernel, { regions: [UUID] }));
    const { done, skipped } = await carryOut(kernel, planned);
    t.deepEqual([done, skipped], [planned.actions, []]);
    if (expected === null) t.deepEqual(kernel.leftovers(), before);
    else if (expected.stop) t.deepEqual([references(kernel), kernel.region(UUID)], [null, undefined]);
    else if (expected.removeSet) t.is(references(kernel), null);
    else t.is(references(kernel), count === null ? null : count - expected.drop);
    // The note of a region that was stopped is over only now.
    await clean(kernel, { regions: [UUID] });
    const { actions } = planReap(await look(kernel, { regions: [UUID] }));
    t.deepEqual(actions, []);
    t.deepEqual(kernel.disasters, []);
    if (typeof end === "function") await end();
  });
}

const changes: Record<string, [(machine: Machine) => Promise<unknown>, RegExp]> = {
  "a mount came": [({ kernel }) => mount(kernel), /it is mounted on '\/vol'/],
  "the C tool mounted it": [({ kernel }) => kernel.cTool.mount(DISK, DIRECTORY), /it is mounted on/],
  "a tool joined": [({ kernel }) => join(kernel), /changed.*fsck.ocfs2 .* holds it/],
  "an agent was started": [({ kernel }) => start(kernel, "agent"), /changed.*agent/],
  "the C tool took a reference": [({ kernel }) => kernel.cTool.hbCtlStart(UUID), /changed.*C tool/],
  "a program's domain came": [
    ({ kernel }) => command(kernel, (native) => native.makeDirectory(`/dlm/${UUID}`)),
    /changed.*a DLM domain relies on it/,
  ],
  "the region was removed and made again": [
    async ({ kernel }) => {
      await kernel.cTool.hbCtlStop(UUID);
      await kernel.cTool.hbCtlStart(UUID);
    },
    /changed.*C tool/,
  ],
  "something claims the device": [
    ({ kernel }) => kernel.process().claimDevice(DISK),
    /not proven to be gone: something claims the device/,
  ],
};

for (const [what, [happen, reason]] of Object.entries(changes)) {
  test(`since the plan ${what}: it is skipped`, async (t) => {
    const machine = await vanished();
    const { kernel } = machine;
    const planned = await plan(kernel);
    t.like(planned.actions[0], { drop: 1, stop: true });
    await happen(machine);
    await skips(t, kernel, planned, reason);
  });
}

test("since the plan all of it went: nothing is made, and it is told", async (t) => {
  for (const state of ["vanished", "half-made"]) {
    const { kernel, regionDirectory } = classicLocal();
    if (state === "vanished") await vanished({ kernel } as Machine);
    else await command(kernel, (native) => native.makeDirectory(regionDirectory));
    const planned = await plan(kernel);
    if (state === "vanished") await stop(kernel, null, { caller: "kernel" });
    else await command(kernel, (native) => native.removeDirectory(regionDirectory));
    t.deepEqual(kernel.leftovers(), []);
    await skips(t, kernel, planned, /changed.*nothing of it is on this node/);
  }
});

const mountedMachines: Record<string, () => Promise<Machine>> = {
  "a driver of today": async () => mounted(classicLocal()),
  "an old driver": async () => mounted(oldDriver12()),
  "a kernel without debugfs": async () => mounted(classicLocal({ features: { debugfs: false } })),
  "an old driver, lazily unmounted with an open file": async () => {
    const machine = await mounted(oldDriver12());
    machine.kernel.process({ name: "editor" }).openFile(DIRECTORY);
    await machine.kernel.cTool.umount(DIRECTORY, true);
    return machine;
  },
};

async function mounted(machine: Machine): Promise<Machine> {
  await mount(machine.kernel);
  return machine;
}

for (const [what, setup] of Object.entries(mountedMachines)) {
  test(`${what}: a volume that is mounted is never touched, with force and with a forged plan`, async (t) => {
    const { kernel } = await setup();
    const held = kernel.leftovers();
    for (const force of [false, true])
      t.deepEqual((await clean(kernel, { force, regions: [UUID] })).done, []);
    for (const more of [{}, { drop: 0, forced: 1 }, { drop: 0, removeSet: false }, { stop: false }])
      t.is((await carryOut(kernel, forged(more))).skipped.length, 1);
    const ids = held.filter((one) => one.startsWith("record ")).map((one) => one.slice("record ".length));
    t.is(ids.length, 1);
    const onlyNotes = { drop: 0, stop: false, removeSet: false, domains: [], records: ids };
    t.is((await carryOut(kernel, forged(onlyNotes))).skipped.length, 1);
    t.deepEqual(kernel.leftovers(), held);
  });
}

test("left by the kernel's program just before the mutex is taken: no set is made for nothing", async (t) => {
  const { kernel } = await vanished();
  const planned = await plan(kernel);
  const native = kernel.process({ name: "reaper" });
  const lockRegion = native.lockRegion.bind(native);
  native.lockRegion = async (...args) => {
    await stop(kernel, null, { caller: "kernel" });
    return lockRegion(...args);
  };
  const { done, skipped } = await reap(native, planned, { patienceMs: 0 });
  native.exit();
  t.deepEqual([done.length, skipped.length], [0, 1]);
  t.deepEqual(kernel.leftovers(), []);
});

test("what a C tool may hold goes only with force", async (t) => {
  const { kernel } = await vanished();
  await kernel.cTool.hbCtlStart(UUID);
  const kept = await clean(kernel);
  t.like(kept.done[0], { drop: 1, forced: 0, stop: false });
  t.is(references(kernel), 1);
  t.like((await clean(kernel)).kept[0], { verdict: "unexplained-references", region: UUID });
  t.like((await clean(kernel, { force: true })).done[0], { drop: 0, forced: 1, stop: true });
  t.deepEqual(kernel.leftovers(), []);
});

test("an agent's reference does not go, with force neither", async (t) => {
  const { kernel } = await vanished();
  await start(kernel, "agent");
  t.like((await clean(kernel, { force: true })).done[0], { drop: 1, forced: 0, stop: false });
  t.deepEqual((await clean(kernel, { force: true })).done, []);
  t.like(await lookAt(kernel), { references: 1, verdict: "in-use" });
  await stop(kernel, "agent");
  t.deepEqual(kernel.leftovers(), []);
});

test("a device that is gone is left for, and a mount on one that is gone is not", async (t) => {
  const { kernel, disk } = await vanished();
  kernel.removeDisk(disk);
  t.is((await clean(kernel)).done.length, 1);
  const gone = kernel.leftovers().filter((one) => !one.startsWith("gone:"));
  t.deepEqual(gone, []);
  for (const setup of [classicLocal, oldDriver12]) {
    const other = await mounted(setup());
    other.kernel.removeDisk(other.disk);
    t.deepEqual((await clean(other.kernel, { force: true })).done, []);
    t.deepEqual([references(other.kernel), other.kernel.disasters], [1, []]);
  }
});

test("an old driver without debugfs: the claim decides", async (t) => {
  const { kernel } = await vanished(oldDriver12());
  const claim = await kernel.process().claimDevice(DISK);
  t.like(await clean(kernel), { done: [], skipped: [] });
  await skips(t, kernel, forged(), /not proven to be gone: something claims the device/);
  claim?.release();
  t.like((await clean(kernel)).done[0], { drop: 1, stop: true });
  t.deepEqual(kernel.leftovers(), []);
});

test("a region that a domain pins keeps its last reference, and loses the others", async (t) => {
  const { kernel } = await vanished();
  const domain = kernel.openDomain(UUID);
  const { done, skipped } = await clean(kernel);
  t.deepEqual(done, []);
  t.regex(skipped[0]?.reason ?? "", /holds a lock in its DLM domain '\/dlm\//);
  t.like(await lookAt(kernel), { references: 1, stale: 1, verdict: "in-use" });
  await start(kernel, "agent");
  t.like((await clean(kernel)).done[0], { drop: 1, stop: false });
  t.is(references(kernel), 1);
  await skips(t, kernel, forged(), /changed/);
  domain.leave();
});

test("the domain of a program that was killed is left with its region", async (t) => {
  const { kernel } = await vanished();
  kernel.openDomain(UUID).die();
  t.like((await clean(kernel)).done[0], { drop: 1, stop: true, domains: [`/dlm/${UUID}`] });
  t.deepEqual(kernel.leftovers(), []);
});

test("a foreign program leaves for the kernel: the note goes, an agent's reference stays", async (t) => {
  const { kernel } = classicLocal({ leave: "kernel" });
  await mount(kernel);
  await kernel.cTool.hbCtlStart(UUID);
  await kernel.cTool.umount(DIRECTORY);
  t.like((await clean(kernel)).done[0], { drop: 0, stop: false });
  t.is(references(kernel), 1);
  t.deepEqual((await look(kernel)).regions[0]?.staleRecords, []);
});

test("our own program leaves for the kernel, and where it could not a reap does", async (t) => {
  const { kernel } = classicLocal();
  leaveByOurProgram(kernel);
  await mount(kernel);
  await kernel.cTool.umount(DIRECTORY);
  t.deepEqual(kernel.leftovers(), []);
  await mount(kernel);
  kernel.callOutHook = () => 137;
  await kernel.cTool.umount(DIRECTORY);
  t.is(references(kernel), 1);
  t.like((await clean(kernel)).done[0], { drop: 1, stop: true });
  t.deepEqual(kernel.leftovers(), []);
});

test("half-written notes of writers that ended go, those of one that writes stay", async (t) => {
  const { kernel } = classicLocal();
  const writer = kernel.process();
  for (const pid of [99_999, writer.pid])
    kernel.addFile(`/run/ocfs2-group/joins/.${UUID}.ocfs2.0.json.${pid}.0.tmp`, "{");
  await clean(kernel);
  t.deepEqual(kernel.leftovers(), [`half-written file .${UUID}.ocfs2.0.json.${writer.pid}.0.tmp`]);
});

test("the heartbeat of a global cluster is kept, with a forged plan too", async (t) => {
  const { kernel } = classicGlobal();
  const [{ name = "" } = {}] = kernel.regions();
  t.deepEqual((await clean(kernel, { force: true })).done, []);
  for (const more of [{}, { drop: 0, forced: 1 }])
    t.is((await carryOut(kernel, forged({ region: name, ...more }))).skipped.length, 1);
  t.deepEqual(kernel.leftovers(), []);
});

test("several at once: the one whose mutex is held times out, the others are done", async (t) => {
  const { kernel } = await vanished();
  const disks = [1, 2].map((at) =>
    kernel.addDisk({ name: `sd${"ef"[at - 1]}`, number: { major: 8, minor: 64 + at }, volume: volume() }),
  );
  const names = disks.map((disk) => startByHand(kernel, disk).name);
  for (const name of names)
    await command(kernel, async (native) => {
      const lock = await native.lockRegion(name, false, 10);
      lock?.drop(false);
      lock?.release();
    });
  const planned = planReap(await look(kernel));
  t.is(planned.actions.length, 3);
  const holder = kernel.process();
  await holder.lockRegion(UUID, false, 10);
  const { done, skipped } = await carryOut(kernel, planned, { lockLimitMs: 1000 });
  t.deepEqual(
    done.map(({ region }) => region),
    names.toSorted(),
  );
  t.like(skipped, [{ region: UUID, code: "O2CB_TIMEOUT" }]);
  t.is(references(kernel), 1);
  holder.exit();
  t.like((await carryOut(kernel, planned)).done, [{ region: UUID }]);
  t.deepEqual(kernel.leftovers(), []);
});

test("a note of another region's life is forgotten, the present one's stays", async (t) => {
  const { kernel } = await mounted(classicLocal());
  await command(kernel, async (native) => {
    const thread = { pid: 9, startTime: "1" };
    const fields = { region: UUID, service: "agent", persistent: true, thread };
    await writeRecord(native, await newRecord(native, fields));
  });
  t.like((await clean(kernel)).done[0], { drop: 0, stop: false });
  t.is((await look(kernel)).regions[0]?.holders.length, 1);
  t.is(kernel.leftovers().filter((one) => one.startsWith("record ")).length, 1);
});
