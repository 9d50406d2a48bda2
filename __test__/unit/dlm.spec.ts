// Joining a domain and locking a volume over the fake machine: races, refusals and who is named, what others see meanwhile.
import test from "ava";
import { joinDlmfs } from "../../ts/dlm/dlmfs-transport.ts";
import { initializeDlm, openLockSpace, type Dlm } from "../../ts/dlm/initialize.ts";
import { inodeLockName, lockDownCluster, releaseCluster, superLockName } from "../../ts/dlm/lock-down.ts";
import { LockSpace } from "../../ts/dlm/lock-space.ts";
import { placeOf } from "../../ts/dlm/names.ts";
import { openTransport } from "../../ts/dlm/open-transport.ts";
import { withVolumeLocked } from "../../ts/dlm/with-volume-locked.ts";
import type { O2cbError } from "../../ts/errors.ts";
import type { Step } from "../../ts/steps.ts";
import { openVolume } from "../../ts/volume.ts";
import { classicGlobal, classicLocal, DISK, UUID, type FakeNative } from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";

const SUPER = "S000000000000000000000200000000";
const machine = () => classicLocal({ dlmfs: "/dlm" });
const join = async (native: FakeNative, onStep?: (step: Step) => void): Promise<Dlm> =>
  initializeDlm(native, await openVolume(native, DISK), { service: "test", onStep });

test("the names of locks are the original's", (t) => {
  t.is(superLockName(), SUPER);
  t.is(inodeLockName(0x1234n, 0xbeef), "M000000000000000000123400 00beef".replace(" ", ""));
  t.is(superLockName().length, 31);
  t.is(inodeLockName(2n ** 63n, 0xffff_ffff).length, 31);
});

test("a lock's place is the same for all, and in range", (t) => {
  t.is(placeOf("x"), placeOf("x"));
  t.not(placeOf("x"), placeOf("y"));
  for (let number = 0; number < 1000; number += 1) t.true(placeOf(`lock${number}`) < 1n << 62n);
});

test("a domain is joined and left in the original's order", async (t) => {
  const { kernel } = machine();
  const native = kernel.process();
  const steps: string[] = [];
  const dlm = await join(native, ({ step }) => steps.push(step));
  t.is(dlm.domain, UUID);
  t.regex([...(kernel.domains.get(UUID)?.files?.keys() ?? [])].join(), /^\.[0-9a-f]{16}$/);
  await dlm.shutdown();
  await dlm.shutdown();
  const order = ["reference", "join-domain", "complete", "leave-domain", "leave", "stop-heartbeat"];
  t.deepEqual(
    steps.filter((step) => order.includes(step)),
    order,
  );
  native.exit();
  t.deepEqual(kernel.leftovers(), []);
});

test("without dlmfs it says what to do, and nothing is left", async (t) => {
  const { kernel } = classicLocal();
  const error = await refused(t, join(kernel.process()), null, "O2CB_DLM_UNAVAILABLE");
  t.regex(error.remedy ?? "", /o2cb load/);
  t.deepEqual(kernel.leftovers(), []);
});

test("what mkdir says is explained", async (t) => {
  for (const [errno, reason] of [
    ["EINVAL", /does not heartbeat/],
    ["ENOTCONN", /cannot be reached/],
    ["EPROTO", /protocol/],
  ] as const) {
    const { kernel } = machine();
    const native = kernel.process();
    native.failCall(
      { name: "makeDirectory", where: ([path]) => String(path).startsWith("/dlm/") },
      { errno },
    );
    const error = await refused(t, join(native), errno, "O2CB_DLM_FAILED");
    t.regex(error.message, reason);
    native.exit();
    t.deepEqual(kernel.leftovers(), [], errno);
  }
});

test("a directory that is there is joined; one that vanishes under a join is made again; not for ever", async (t) => {
  const { kernel } = machine();
  await kernel.cTool.hbCtlStart(UUID);
  const native = kernel.process();
  const where = { name: "openDlmLock" as const };
  native
    .failCall({ ...where, nth: 1 }, { errno: "ENOENT" })
    .failCall({ ...where, nth: 2 }, { errno: "ENOENT" });
  const transport = await joinDlmfs(native, "D");
  t.is(native.calls.filter(({ name }) => name === "makeDirectory").length, 3);
  const second = kernel.process();
  const other = await joinDlmfs(second, "D");
  await transport.leave();
  t.true(kernel.domains.has("D"), "the other one is in it");
  await other.leave();
  t.false(kernel.domains.has("D"));
  const third = kernel.process();
  for (let nth = 1; nth <= 20; nth += 1) third.failCall({ ...where, nth }, { errno: "ENOENT" });
  await refused(t, joinDlmfs(third, "D"), "ENOENT", "O2CB_DLM_FAILED");
});

test("names of domains are looked at", async (t) => {
  const native = machine().kernel.process();
  for (const domain of ["", "a/b", "a\0", ".", "..", "x".repeat(64)])
    await refused(t, joinDlmfs(native, domain), null, "O2CB_INVALID_DOMAIN_NAME");
  await refused(t, openTransport(native, "pcmk", "D"), null, "O2CB_DLM_UNAVAILABLE");
});

test("a domain of a program's own needs a heartbeat, and starts none", async (t) => {
  const { kernel } = machine();
  const native = kernel.process();
  await refused(t, openLockSpace(native, { domain: "MINE" }), "EINVAL", "O2CB_DLM_FAILED");
  await kernel.cTool.hbCtlStart(UUID);
  const space = await openLockSpace(native, { domain: "MINE" });
  t.is(kernel.region(UUID)?.pins.size, 0);
  await (await space.lock("x")).unlock();
  await space.leave();
  await refused(
    t,
    openLockSpace(native, { domain: "MINE", signal: AbortSignal.abort() }),
    "EINTR",
    "O2CB_ABORTED",
  );
  t.deepEqual([...kernel.domains.keys()], []);
});

test("several domains at a time in one process", async (t) => {
  const { kernel } = machine();
  const native = kernel.process();
  const first = await join(native);
  const second = await join(native);
  const space = await openLockSpace(native, { domain: "MINE" });
  const held = await first.lock("x");
  t.is(await second.tryLock("x"), null, "two of one volume are two users");
  t.not(await space.tryLock("x"), null);
  await held.unlock();
  await Promise.all([first.shutdown(), second.shutdown(), space.leave()]);
  native.exit();
  t.deepEqual(kernel.leftovers(), []);
});

test("the group is left even where the domain cannot be, and the error tells of both", async (t) => {
  const { kernel } = machine();
  const native = kernel.process();
  const dlm = await join(native);
  native.failCall({ name: "removeDirectory", where: ([path]) => path === `/dlm/${UUID}` }, { errno: "EIO" });
  const error = await refused(t, dlm.shutdown(), "EIO");
  t.regex(error.message, /group of '.*' could not be left either: .*pinned/);
  t.is((error.rollbackError as O2cbError).code, "O2CB_REGION_IN_USE");
  await dlm.shutdown();
  native.exit();
  t.deepEqual(kernel.leftovers(), []);
});

test("global heartbeat: the domain is joined, no region is touched", async (t) => {
  const { kernel } = classicGlobal({ dlmfs: "/dlm" });
  const native = kernel.process();
  const dlm = await join(native);
  await (await dlm.lock("x")).unlock();
  await dlm.shutdown();
  t.deepEqual(kernel.leftovers(), []);
});

test("without a /run that can be written it works, and says what is missing", async (t) => {
  const { kernel } = machine();
  await kernel.cTool.hbCtlStart(UUID);
  kernel.runFails = "EROFS";
  const steps: Step[] = [];
  const space = new LockSpace(await joinDlmfs(kernel.process(), "D", { onStep: (step) => steps.push(step) }));
  await (await space.lock("x")).unlock();
  await (await space.lock("y")).unlock();
  t.deepEqual(
    steps.filter(({ step }) => step === "exclusion-unavailable"),
    [{ step: "exclusion-unavailable", domain: "D", path: "/run/ocfs2-group/dlm/D.locks", reason: "EROFS" }],
  );
  await space.leave();
});

test("a volume is locked down as the original does it, and others see it", async (t) => {
  const { kernel, content } = machine();
  const native = kernel.process();
  const dlm = await join(native);
  native.restartCount();
  await lockDownCluster(native, dlm);
  const opened = native.calls.filter(({ name }) => name === "openDlmLock").map(({ args }) => args);
  const { journals } = await native.inspectVolume(DISK);
  t.is(journals.length, content.maxSlots);
  t.deepEqual(
    opened,
    [SUPER, ...journals.map(({ block, generation }) => inodeLockName(block, generation))].map((name) => [
      `/dlm/${UUID}/${name}`,
      "EX",
      true,
    ]),
  );
  const held = [...(kernel.domains.get(UUID)?.files ?? [])].filter(([name]) => !name.startsWith("."));
  t.deepEqual(
    held.map(([name, { lock }]) => [name, lock.opens.size]),
    [[SUPER, 1]],
    "the journals' are given up, not kept",
  );
  await refused(t, lockDownCluster(native, dlm), null, "O2CB_LOCK_BUSY");
  const beside = kernel.process();
  const other = await join(beside);
  const error = await refused(t, lockDownCluster(beside, other), null, "O2CB_VOLUME_IN_USE");
  t.regex(error.message, /another program on this node/);
  await releaseCluster(dlm);
  await releaseCluster(dlm);
  await lockDownCluster(beside, other);
  await Promise.all([dlm.shutdown(), other.shutdown()]);
  for (const process of [native, beside]) process.exit();
  t.deepEqual(kernel.leftovers(), []);
});

test("mounted on another node is refused with its name; so is a program there, with what to do", async (t) => {
  const { kernel, disk } = machine();
  kernel.addFile(
    "/etc/ocfs2/cluster.conf",
    "cluster:\n\tnode_count = 2\n\tname = lab\n\nnode:\n\tip_port = 7777\n\tip_address = 10.0.0.1\n\tnumber = 0\n\tname = alpha\n\tcluster = lab\n\nnode:\n\tip_port = 7777\n\tip_address = 10.0.0.2\n\tnumber = 1\n\tname = beta\n\tcluster = lab\n\n",
  );
  const native = kernel.process();
  const locked = () => withVolumeLocked(native, { device: DISK, service: "test" }, async () => "done");
  const journal = inodeLockName(
    (await native.inspectVolume(DISK)).journals[1]?.block ?? 0n,
    (await native.inspectVolume(DISK)).journals[1]?.generation ?? 0,
  );
  kernel.dlmLocks.lock(UUID, journal).hold("beta", "EX");
  const unknown = await refused(t, locked(), null, "O2CB_VOLUME_IN_USE");
  t.regex(unknown.message, /in use/);
  disk.slotState.owners.set(0, 1);

  const mounted = await refused(t, locked(), null, "O2CB_VOLUME_IN_USE");
  t.regex(mounted.message, /beta/);
  native.exit();
  t.deepEqual(kernel.leftovers(), []);
});

test("what a killed program left cached elsewhere is freed where the caller asks for it", async (t) => {
  const { kernel } = machine();
  const native = kernel.process();
  const lock = kernel.dlmLocks.lock(UUID, SUPER);
  lock.hold("beta", "EX", false);
  const locked = (queueMs: number) =>
    withVolumeLocked(native, { device: DISK, service: "test", queueMs }, async () => "done");
  await refused(t, locked(0), null, "O2CB_VOLUME_IN_USE");
  t.is(await locked(5000), "done");
  lock.hold("beta", "EX");
  const error = await refused(t, locked(30), null, "O2CB_VOLUME_IN_USE");
  t.is(error.outcome, "in-kernel");
  lock.drop("beta");
  await error.settled;
  t.is(await locked(0), "done");
});

test("a volume for one node is claimed instead", async (t) => {
  const { kernel, disk } = classicLocal({ volume: { local: true } });
  const native = kernel.process();
  const seen = await withVolumeLocked(native, { device: DISK, service: "test" }, async ({ by, dlm }) => [
    by,
    dlm,
    disk.claim !== null,
  ]);
  t.deepEqual(seen, ["claim", null, true]);
  const claim = await kernel.process().claimDevice(DISK);
  await refused(
    t,
    withVolumeLocked(native, { device: DISK, service: "test" }, async () => 1),
    null,
    "O2CB_VOLUME_IN_USE",
  );
  claim?.release();
  t.deepEqual(kernel.leftovers(), []);
});

test("what the work throws comes through, and everything is given back", async (t) => {
  const { kernel } = machine();
  const native = kernel.process();
  const work = withVolumeLocked(native, { device: DISK, service: "test" }, () =>
    Promise.reject(new Error("work")),
  );
  await t.throwsAsync(work, { message: "work" });
  native.exit();
  t.deepEqual(kernel.leftovers(), []);
});
