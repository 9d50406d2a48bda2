// The audit over every state that the fake machine can be brought into: what it says, and that it only reads.
import test from "ava";
import { O2cbError } from "../../ts/errors.ts";
import { audit } from "../../ts/region/audit.ts";
import { planReap, reap } from "../../ts/region/reap.ts";
import {
  classicGlobal,
  classicLocal,
  DIRECTORY,
  DISK,
  nothingLoaded,
  oldDriver12,
  UUID,
  walkFaults,
  type FakeKernel,
  type Machine,
} from "../helpers/fake-native.ts";
import { regionStates } from "../helpers/region-states.ts";
import { command, join, look, lookAt, mount, start } from "../helpers/region-work.ts";

/** Everything else of `Native` changes something, opens a device, or could. */
const READING = [
  "inspectPath",
  "readAttribute",
  "listDirectories",
  "listFiles",
  "readLink",
  "mounts",
  "mountNamespaces",
  "regionSemaphores",
];

for (const { title, setup, make, expected, superblock, holders, plan } of regionStates) {
  test(`${title}: the verdict, the plan, and nothing but reading`, async (t) => {
    const machine = setup();
    const { kernel } = machine;
    const end = await make(machine);
    const before = kernel.leftovers();
    const native = kernel.process();
    const seen = await audit(native, { regions: [UUID] });
    const called = new Set<string>(native.calls.map(({ name }) => name));
    t.deepEqual(
      [...called].filter((name) => !READING.includes(name)),
      [],
    );
    native.exit();
    t.deepEqual(kernel.leftovers(), before, "it changes nothing");
    const [region] = seen.regions;
    t.like(region, expected, region?.reason);
    t.is(seen.regions.length, 1);
    if (superblock !== undefined) t.is(region?.superblock.state, superblock);
    t.true((region?.superblock.evidence.length ?? 0) > 0);
    if (holders !== undefined)
      t.deepEqual(
        region?.holders.map(({ service, kind, references }) => `${service} ${kind} ${references}`).toSorted(),
        holders,
      );
    const { actions } = planReap(seen);
    if (plan === null) t.deepEqual(actions, []);
    else t.like(actions[0], { forced: 0, ...plan });
    if (typeof end === "function") await end();
  });
}

test("without names it tells of every region in configfs, and of those of notes", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  await command(kernel, (native) =>
    native.makeDirectory(`/sys/kernel/config/cluster/lab/heartbeat/${"A".repeat(32)}`),
  );
  const seen = await look(kernel);
  t.deepEqual(
    seen.regions.map(({ region, verdict }) => [region, verdict]),
    [
      [UUID, "in-use"],
      ["A".repeat(32), "half-made"],
    ],
  );
  t.like(seen, { cluster: "lab", mode: "local", stack: "o2cb", hbCtlPath: null, bootId: kernel.bootId });
  t.deepEqual([seen.notes, seen.damagedRecords], [[], []]);
});

test("a holder is named with where, since when and by which process, as recorded", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  const program = await join(kernel);
  const { holders, superblock, reason } = await lookAt(kernel);
  const [first, second] = holders;
  t.like(first, { service: "fsck.ocfs2", kind: "process", pid: program.pid, recorded: true });
  t.like(second, { service: "ocfs2", kind: "mount", directory: DIRECTORY, recorded: true });
  t.true(Number.isFinite(Date.parse(second?.since ?? "")));
  t.deepEqual(superblock.mounts, [{ directory: DIRECTORY, namespace: "self" }]);
  t.deepEqual(superblock.evidence.at(-1), { source: "mountinfo", says: `it is mounted on '${DIRECTORY}'` });
  t.regex(reason, /mounted on '\/vol'/);
});

test("a mount that only another namespace shows is told with that namespace", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  const inside = kernel.process({ namespace: kernel.unshare() });
  await kernel.cTool.umount(DIRECTORY);
  const { superblock } = await lookAt(kernel);
  t.deepEqual(superblock.mounts, [{ directory: DIRECTORY, namespace: `/proc/${inside.pid}/ns/mnt` }]);
});

test("who holds the mutex, or held it last, is named while it runs", async (t) => {
  const { kernel } = classicLocal();
  await start(kernel, "agent");
  const native = kernel.process({ name: "tunefs.ocfs2" });
  const lock = await native.lockRegion(UUID, false, 10);
  t.deepEqual((await lookAt(kernel)).lastUser, { pid: native.pid, name: "tunefs.ocfs2", holdsMutex: true });
  lock?.release();
  t.like((await lookAt(kernel)).lastUser, { holdsMutex: false });
  native.exit();
  t.is((await lookAt(kernel)).lastUser, null);
});

test("the heartbeat of a global cluster is nobody's leftover, also with force", async (t) => {
  const { kernel } = classicGlobal();
  const seen = await look(kernel);
  t.deepEqual(
    seen.regions.map(({ verdict, references, mode }) => [verdict, references, mode]),
    [["in-use", 1, "global"]],
  );
  t.deepEqual(planReap(seen, { force: true }).actions, []);
});

test("references that may not be read are a note, the verdict is unknown, and nothing is planned", async (t) => {
  const { kernel } = classicLocal();
  (await join(kernel)).kill();
  const native = kernel.process().failCall("regionSemaphores", { errno: "EACCES" });
  const seen = await audit(native);
  t.like(seen.regions[0], { references: null, verdict: "unknown", stale: 0, unexplained: 0 });
  t.regex(seen.notes.join(), /root/);
  t.deepEqual(planReap(seen, { force: true }).actions, []);
});

test("notes that cannot be read are a note, and what they explained is unexplained", async (t) => {
  const { kernel } = classicLocal();
  await start(kernel, "agent");
  const native = kernel.process();
  for (const nth of [1, 2]) native.failCall({ name: "listFiles", nth }, { errno: "EACCES" });
  const seen = await audit(native);
  t.regex(seen.notes.join(), /\/run\/ocfs2-group\/joins cannot be read \(EACCES\)/);
  t.like(seen.regions[0], { verdict: "unexplained-references", unexplained: 1, stale: 0 });
});

test("a damaged note is told by its path and its fault, and explains nothing", async (t) => {
  const { kernel } = classicLocal();
  const path = `/run/ocfs2-group/joins/${UUID}.agent.0.json`;
  kernel.addFile(path, '{"format":1,"id":');
  const { damagedRecords, regions } = await look(kernel);
  t.deepEqual(damagedRecords, [{ source: path, says: "it is not JSON: its writer did not finish" }]);
  t.deepEqual(regions, []);
});

/** Superblocks that live, each seen by other means. */
const living: Record<string, () => Promise<Living>> = {
  "mounted by us": async () => prepared(classicLocal(), (kernel) => mount(kernel)),
  "mounted by the C tool": async () =>
    prepared(classicLocal(), (kernel) => kernel.cTool.mount(DISK, DIRECTORY)),
  "lazily unmounted with an open file": async () => prepared(classicLocal(), detach),
  "the same without debugfs": async () => prepared(classicLocal({ features: { debugfs: false } }), detach),
  "the same without a directory in sysfs": async () =>
    prepared(classicLocal({ features: { deviceSysfs: false } }), detach),
  "mounted on an old driver": async () => prepared(oldDriver12(), (kernel) => mount(kernel)),
  "lazily unmounted on an old driver": async () => prepared(oldDriver12(), detach),
  "mounted, but not counted": async () =>
    prepared(classicLocal(), async (kernel) => {
      await mount(kernel);
      await kernel.cTool.hbCtlStop(UUID).catch(() => {});
    }),
  "on its way out": async () =>
    prepared(classicLocal(), async (kernel) => {
      await mount(kernel);
      const hold = kernel.holdDismount();
      void kernel.cTool.umount(DIRECTORY);
      await hold.reached;
    }),
};

interface Living {
  kernel: FakeKernel;
  held: string[];
}

async function prepared(
  { kernel }: Machine,
  make: (kernel: FakeKernel) => Promise<unknown>,
): Promise<Living> {
  await make(kernel);
  await start(kernel, "agent");
  return { kernel, held: kernel.leftovers() };
}

async function detach(kernel: FakeKernel): Promise<void> {
  await mount(kernel);
  kernel.process({ name: "editor" }).openFile(DIRECTORY);
  await kernel.cTool.umount(DIRECTORY, true);
}

for (const [title, setup] of Object.entries(living)) {
  test(`${title}: whatever read fails, nothing of it is taken for a leftover`, async (t) => {
    let held: string[] = [];
    const runs = await walkFaults((native) => audit(native, { regions: [UUID], probe: true }), {
      setup: async () => {
        const machine = await setup();
        ({ held } = machine);
        return machine;
      },
      check: async ({ kernel, native, outcome, errno, title: call }) => {
        native.exit();
        t.true(outcome.status === "ok" || outcome.status === "failed", call);
        if (outcome.status === "failed") t.true(outcome.error instanceof O2cbError, call);
        if (outcome.status !== "ok") return;
        const seen = outcome.value;
        // ENOENT is an answer: the plan may believe it, the reap looks again.
        if (errno !== "ENOENT") {
          const [region] = seen.regions;
          t.is(region?.stale, 0, call);
          t.not(region?.verdict, "orphan", call);
          t.deepEqual(
            planReap(seen).actions.filter(({ drop, stop, removeSet }) => drop > 0 || stop || removeSet),
            [],
            call,
          );
        }
        for (const force of [false, true]) {
          const plan = planReap(seen, { force });
          await command(kernel, (other) => reap(other, plan, { patienceMs: 0 }));
          t.deepEqual(kernel.leftovers(), held, `${call}, force ${force}`);
        }
      },
    });
    t.true(runs > 60, String(runs));
  });
}

test("while a note of the region cannot be read, no reference of it is taken for a leftover", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  await start(kernel, "agent");
  await kernel.cTool.umount(DIRECTORY);
  // The mount's reference is gone, its note is not: the one that is left is the agent's.
  await command(kernel, async (native) => {
    const lock = await native.lockRegion(UUID, false, 10);
    lock?.drop(false);
    lock?.release();
  });
  t.like(await lookAt(kernel), { stale: 0, unexplained: 0, references: 1 });
  const where = ([path]: readonly unknown[]): boolean => String(path).includes(`${UUID}.agent.`);
  const native = kernel.process().failCall({ name: "readAttribute", where }, { errno: "EIO" });
  const seen = await audit(native);
  t.is(seen.damagedRecords.length, 1);
  t.like(seen.regions[0], { stale: 0, unexplained: 1 });
});

for (const [what, machine] of [
  ["debugfs", () => classicLocal({ features: { debugfs: false } })],
  ["configfs", () => classicLocal({ configfs: null, unregistered: true })],
  ["any module", nothingLoaded],
  ["a registered cluster", () => classicLocal({ unregistered: true })],
  ["/proc/PID/ns", () => classicLocal({ features: { namespaceLinks: false } })],
] as const) {
  test(`without ${what} it answers`, async (t) => {
    const { kernel } = machine();
    const before = kernel.leftovers();
    const seen = await look(kernel, { regions: [UUID] });
    t.like(seen.regions[0], { verdict: "absent", references: 0 });
    t.deepEqual(kernel.leftovers(), before);
  });
}

test("without debugfs a volume that is mounted is, and one that is not is not known to be", async (t) => {
  const { kernel } = classicLocal({ features: { debugfs: false } });
  await mount(kernel);
  t.like(await lookAt(kernel), { verdict: "in-use", pinned: null });
  await kernel.cTool.umount(DIRECTORY);
  t.like(await lookAt(kernel), { verdict: "unknown", stale: 0 });
  t.like(await lookAt(kernel, { probe: true }), { verdict: "orphan", stale: 1 });
  const other = kernel.process();
  const claim = await other.claimDevice(DISK);
  t.like(await lookAt(kernel, { probe: true }), { verdict: "unknown", stale: 0 }, "something claims it");
  claim?.release();
});

test("an audit that is given up says so", async (t) => {
  const { kernel } = classicLocal();
  await t.throwsAsync(look(kernel, { signal: AbortSignal.abort() }), { code: "O2CB_ABORTED" });
});
