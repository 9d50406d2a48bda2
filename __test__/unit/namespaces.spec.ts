// Processes that are not where the host counts: they are refused, nothing is counted anywhere, and what they see is not believed.
import test from "ava";
import { stopService } from "../../ts/hb-ctl/stop.ts";
import { startService } from "../../ts/hb-ctl/start.ts";
import { beginGroupJoin } from "../../ts/membership.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";
import { requireHostNamespaces } from "../../ts/namespaces.ts";
import { audit } from "../../ts/region/audit.ts";
import { planReap, reap } from "../../ts/region/reap.ts";
import { leaveMount } from "../../ts/stack/leave-mount.ts";
import { openVolume } from "../../ts/volume.ts";
import {
  classicGlobal,
  classicLocal,
  DIRECTORY,
  DISK,
  INITIAL_IPC,
  INITIAL_PID,
  oldDriver12,
  UUID,
  type FakeKernel,
  type FakeNative,
} from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";
import { clean, command, join, look, mount, references, start } from "../helpers/region-work.ts";

const elsewhere: Record<string, [(kernel: FakeKernel) => FakeNative, RegExp]> = {
  "an IPC namespace of its own": [(kernel) => kernel.process({ ipc: INITIAL_IPC + 500 }), /IPC namespace/],
  "a PID namespace of its own": [
    (kernel) => kernel.process({ pidNamespace: INITIAL_PID + 500 }),
    /PID namespace/,
  ],
  "a /run of its own": [
    (kernel) => kernel.process({ namespace: kernel.unshare({ ownRun: true }) }),
    /\/run of its own/,
  ],
};

for (const [where, [enter, reason]] of Object.entries(elsewhere)) {
  test(`${where}: every join is refused, and nothing is made or counted`, async (t) => {
    const { kernel } = classicLocal();
    const native = enter(kernel);
    const volume = await openVolume(native, DISK);
    const request = { device: DISK, uuid: null };
    for (const call of [
      () => beginGroupJoin(native, { volume, service: "agent" }),
      () => mountVolume(native, { device: DISK, directory: DIRECTORY }),
      () => startService(native, { ...request, service: "agent" }),
    ]) {
      const error = await refused(t, call(), null, "O2CB_NAMESPACE");
      t.regex(error.message, reason);
      t.regex(error.remedy ?? "", /nsenter/);
    }
    t.deepEqual(kernel.leftovers(), []);
    t.deepEqual(kernel.semaphoreSets(), []);
  });

  test(`${where}: every leave is refused, and what the host holds stays`, async (t) => {
    const { kernel, regionDirectory } = classicLocal();
    await mount(kernel);
    await start(kernel, "agent");
    const native = enter(kernel);
    const before = kernel.leftovers();
    const request = { device: null, uuid: UUID, service: "agent" };
    for (const caller of ["program", "kernel"] as const)
      await refused(t, stopService(native, { ...request, caller }), null, "O2CB_NAMESPACE");
    const leave = {
      region: UUID,
      directory: regionDirectory,
      device: DISK,
      deviceNumber: null,
      kernelLeaves: false,
      patienceMs: 0,
    };
    await refused(t, leaveMount(native, leave, {}), null, "O2CB_NAMESPACE");
    t.deepEqual(kernel.leftovers(), before);
  });

  test(`${where}: an unmount unmounts, tells that it has not left, and the host's reap leaves`, async (t) => {
    const { kernel } = classicLocal();
    await mount(kernel);
    const native = enter(kernel);
    // A mount namespace of its own has a mount of its own: then it is the last one.
    if (native.task.namespace !== kernel.namespace) await kernel.cTool.umount(DIRECTORY);
    const { outcome, leaveError } = await unmountVolume(native, { target: DIRECTORY });
    t.deepEqual([outcome, leaveError?.code], ["leave-failed", "O2CB_NAMESPACE"]);
    t.is(references(kernel), 1);
    const notes = await native.listFiles("/run/ocfs2-group/joins").catch(() => []);
    t.is(notes.length, where.includes("/run") ? 0 : 1, "none where nobody looks");
    native.exit();
    t.like((await clean(kernel)).done[0], { drop: 1, stop: true });
    t.deepEqual(kernel.leftovers(), []);
  });

  test(`${where}: an audit tells where it was made, and a reap is refused`, async (t) => {
    const { kernel } = classicLocal();
    await start(kernel, "agent");
    await join(kernel);
    const before = kernel.leftovers();
    const native = enter(kernel);
    const seen = await audit(native, { regions: [UUID] });
    t.regex(seen.notes.join(), reason);
    if (where.includes("IPC")) {
      t.like(seen.regions[0], { references: null, verdict: "unknown" });
      t.deepEqual(planReap(seen, { force: true }).actions, []);
    }
    const action = {
      region: UUID,
      drop: 0,
      forced: 2,
      stop: true,
      removeSet: true,
      domains: [],
      records: [],
      reason: "",
    };
    for (const plan of [planReap(seen, { force: true }), { time: "", kept: [], actions: [action] }])
      if (plan.actions.length > 0)
        await refused(t, reap(native, plan, { patienceMs: 0 }), null, "O2CB_NAMESPACE");
    t.deepEqual(kernel.leftovers(), before);
  });
}

test("a mount namespace that shares /run is the host's own place", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process({ namespace: kernel.unshare() });
  await mountVolume(native, { device: DISK, directory: DIRECTORY });
  t.is(references(kernel), 1);
  t.like((await look(kernel)).regions[0], { verdict: "in-use", references: 1, unexplained: 0 });
  t.is((await unmountVolume(native, { target: DIRECTORY })).outcome, "left");
  native.exit();
  t.deepEqual(kernel.leftovers(), []);
});

test("where /proc has no links to namespaces nothing is refused", async (t) => {
  for (const { kernel } of [oldDriver12(), classicLocal({ features: { namespaceLinks: false } })]) {
    await start(kernel, "agent");
    t.is(references(kernel), 1);
  }
});

test("a link or a directory that cannot be read refuses nobody", async (t) => {
  const { kernel } = classicLocal();
  for (const fault of ["readLink", "inspectPath"] as const) {
    const native = kernel.process();
    for (const nth of [1, 2]) native.failCall({ name: fault, nth }, { errno: "EACCES" });
    await t.notThrowsAsync(requireHostNamespaces(native, "test"));
  }
});

test("a region of a global cluster is joined from anywhere: nothing is counted", async (t) => {
  const { kernel } = classicGlobal();
  const native = kernel.process({ ipc: INITIAL_IPC + 500 });
  const request = { device: DISK, uuid: null, service: "agent" };
  t.like(await startService(native, request), { mode: "global" });
  t.deepEqual(kernel.leftovers(), []);
  await t.notThrowsAsync(command(kernel, (host) => requireHostNamespaces(host, "test")));
});
