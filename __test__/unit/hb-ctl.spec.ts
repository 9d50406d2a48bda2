// ocfs2_hb_ctl's -S, -K and -P as the library has them, alone and beside the C tools, by a person and by the kernel.
import test from "ava";
import { startService } from "../../ts/hb-ctl/start.ts";
import { setRegionPriority } from "../../ts/hb-ctl/priority.ts";
import { stopService } from "../../ts/hb-ctl/stop.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import {
  classicGlobal,
  classicLocal,
  DIRECTORY,
  DISK,
  nothingLoaded,
  oldDriver12,
  UUID,
  volume,
  type FakeKernel,
} from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";
import {
  clean,
  command,
  join,
  leaveByOurProgram,
  lookAt,
  mount,
  references,
  start,
  stop,
} from "../helpers/region-work.ts";

const eras = [
  ["a driver of today", classicLocal],
  ["an old driver", oldDriver12],
] as const;

for (const [era, setup] of eras) {
  for (const service of ["agent", "ocfs2"]) {
    test(`${era}: -S and -K of '${service}' are a pair`, async (t) => {
      const { kernel } = setup();
      t.deepEqual(await start(kernel, service), { region: UUID, references: 1, mode: "local" });
      t.is(references(kernel), 1);
      t.deepEqual(await stop(kernel, service), { region: UUID, references: 0, stopped: true, mode: "local" });
      t.deepEqual(kernel.leftovers(), []);
    });

    test(`${era}: -S and -K of '${service}' twice`, async (t) => {
      const { kernel } = setup();
      await start(kernel, service);
      t.like(await start(kernel, service), { references: 2 });
      t.like(await stop(kernel, service), { references: 1, stopped: false });
      t.truthy(kernel.region(UUID));
      t.like(await stop(kernel, service), { references: 0, stopped: true });
      t.deepEqual(kernel.leftovers(), []);
      t.like(await stop(kernel, service), { references: 0, stopped: false }, "nothing there is success");
      t.deepEqual(kernel.leftovers(), []);
    });

    test(`${era}: what the C tool starts as '${service}' we stop, and the other way round`, async (t) => {
      const { kernel } = setup();
      await kernel.cTool.hbCtlStart(UUID);
      t.like(await stop(kernel, service), { references: 0, stopped: true });
      t.deepEqual(kernel.leftovers(), []);
      await start(kernel, service);
      await kernel.cTool.hbCtlStop(UUID);
      t.is(references(kernel), null);
      t.falsy(kernel.region(UUID));
      await kernel.cTool.hbCtlStart(UUID);
      t.is(references(kernel), 1, "of another life: our note does not explain it");
      t.like(await clean(kernel), { skipped: [] });
      t.is(references(kernel), 1);
    });
  }

  test(`${era}: -S for a mount to come, the mount, and its end leave nothing`, async (t) => {
    const { kernel } = setup();
    await start(kernel, "ocfs2");
    const native = kernel.process();
    await native.mount({
      source: DISK,
      target: DIRECTORY,
      type: "ocfs2",
      flags: 0,
      options: ["heartbeat=local"],
      api: "mount",
      namespace: null,
    });
    native.exit();
    t.like(await start(kernel, "ocfs2"), { references: 1 }, "a further mount shares it");
    await refused(t, stop(kernel, "ocfs2"), null, "O2CB_REGION_IN_USE");
    await kernel.cTool.umount(DIRECTORY);
    t.like(await stop(kernel, null, { caller: "kernel" }), { stopped: true });
    t.deepEqual(kernel.leftovers(), []);
  });

  test(`${era}: while the volume is mounted its last reference stays, also with force`, async (t) => {
    const { kernel } = setup();
    await mount(kernel);
    for (const force of [false, true]) {
      for (const service of ["ocfs2", "agent", null]) {
        const error = await refused(t, stop(kernel, service, { force }), null, "O2CB_REGION_IN_USE");
        t.regex(error.message, /mounted/, `${service}`);
      }
    }
    t.is(references(kernel), 1);
    t.deepEqual(kernel.disasters, []);
    await start(kernel, "agent");
    t.like(await stop(kernel, "agent"), { references: 1, stopped: false });
    t.true(kernel.isMounted(UUID));
    t.like(await lookAt(kernel), { verdict: "in-use", references: 1, unexplained: 0 });
  });

  test(`${era}: a lazily unmounted volume with an open file counts as mounted`, async (t) => {
    const { kernel } = setup();
    await mount(kernel);
    const file = kernel.process({ name: "editor" }).openFile(DIRECTORY);
    await kernel.cTool.umount(DIRECTORY, true);
    for (const force of [false, true])
      await refused(t, stop(kernel, "ocfs2", { force }), null, "O2CB_REGION_IN_USE");
    t.deepEqual([references(kernel), kernel.disasters], [1, []]);
    await file.close();
    t.like(await stop(kernel, "ocfs2"), { references: 0, stopped: true });
    t.deepEqual(kernel.leftovers(), []);
  });

  test(`${era}: a service that holds nothing is told who does; force takes it`, async (t) => {
    const { kernel } = setup();
    await start(kernel, "agent");
    const error = await refused(t, stop(kernel, "backup"), null, "O2CB_NOT_JOINED");
    t.regex(error.message, /'backup' holds no reference .*: agent does/);
    const program = await join(kernel);
    await refused(t, stop(kernel, "backup"), null, "O2CB_NOT_JOINED");
    t.is(references(kernel), 2);
    program.exit();
    t.like(await stop(kernel, "backup", { force: true }), { references: 0, stopped: true });
    t.is(references(kernel), null);
    await clean(kernel);
    t.deepEqual(kernel.leftovers(), []);
  });
}

test("the C tool's second reference of a mounted volume may be dropped, the mount's may not", async (t) => {
  const { kernel } = classicLocal();
  await kernel.cTool.mount(DISK, DIRECTORY);
  await kernel.cTool.mount(DISK, "/vol2");
  t.like(await stop(kernel, "ocfs2"), { references: 1, stopped: false });
  await refused(t, stop(kernel, "ocfs2"), null, "O2CB_REGION_IN_USE");
});

test("-K -u opens no device, and works when the device is gone", async (t) => {
  const { kernel, disk } = classicLocal();
  await start(kernel, "agent");
  await start(kernel, "agent");
  const native = kernel.process();
  const request = { device: null, service: "agent", caller: "program" } as const;
  await stopService(native, { ...request, uuid: UUID.toLowerCase() });
  kernel.removeDisk(disk);
  const dashed = UUID.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  t.like(await stopService(native, { ...request, uuid: dashed }), { stopped: true });
  const opening = native.calls.filter(({ name }) =>
    ["readVolume", "claimDevice", "readHeartbeatSlots", "startHeartbeat"].includes(name),
  );
  t.deepEqual(opening, []);
  native.exit();
  t.deepEqual(kernel.leftovers(), []);
});

test("an old driver whose device is gone: what is not proven dead is not stopped", async (t) => {
  const { kernel, disk } = oldDriver12();
  await mount(kernel);
  kernel.process({ name: "editor" }).openFile(DIRECTORY);
  await kernel.cTool.umount(DIRECTORY, true);
  kernel.removeDisk(disk);
  await refused(t, stop(kernel, "ocfs2", { force: true }), null, "O2CB_REGION_IN_USE");
  t.deepEqual([references(kernel), kernel.disasters], [1, []]);
});

test("a region that a program's domain pins keeps its reference", async (t) => {
  const { kernel } = classicLocal();
  await start(kernel, "agent");
  const leave = kernel.joinDomain(UUID);
  await refused(t, stop(kernel, "agent"), "EBUSY", "O2CB_REGION_IN_USE");
  t.like(await lookAt(kernel), { references: 1, unexplained: 0, verdict: "in-use" });
  leave();
  t.like(await stop(kernel, "agent"), { stopped: true });
  t.deepEqual(kernel.leftovers(), []);
});

test("the kernel's -K: the end of a superblock leaves, whoever mounted it", async (t) => {
  for (const mounted of [mount, (kernel: FakeKernel) => kernel.cTool.mount(DISK, DIRECTORY)]) {
    const { kernel } = classicLocal();
    leaveByOurProgram(kernel);
    await mounted(kernel);
    await start(kernel, "agent");
    await kernel.cTool.umount(DIRECTORY);
    t.like(kernel.callOuts[0], { status: 0 });
    t.like(await lookAt(kernel), { references: 1, unexplained: 0, stale: 0, staleRecords: [] });
    await stop(kernel, "agent");
    t.deepEqual(kernel.leftovers(), []);
  }
});

test("the kernel's -K while another mount waits for the dismount: no deadlock, one reference in the end", async (t) => {
  for (const first of [mount, (kernel: FakeKernel) => kernel.cTool.mount(DISK, DIRECTORY)]) {
    const { kernel } = classicLocal();
    leaveByOurProgram(kernel);
    await first(kernel);
    const hold = kernel.holdDismount();
    const unmounted = kernel.cTool.umount(DIRECTORY);
    await hold.reached;
    const native = kernel.process({ name: "mount.ocfs2" });
    let calls = -1;
    const mounted = mountVolume(native, { device: DISK, directory: "/vol2" });
    // Until it sleeps in mount(2), with the volume's lock held.
    while (native.calls.at(-1)?.name !== "mount" || calls !== native.calls.length) {
      calls = native.calls.length;
      await kernel.idle();
    }
    t.is(references(kernel), 2);
    hold.finish();
    await unmounted;
    await mounted;
    native.exit();
    t.is(references(kernel), 1);
    t.like(await lookAt(kernel), { verdict: "in-use", stale: 0, unexplained: 0, staleRecords: [] });
    await kernel.cTool.umount("/vol2");
    t.deepEqual(kernel.leftovers(), []);
    t.deepEqual(
      kernel.callOuts.map(({ status }) => status),
      [0, 0],
    );
  }
});

test("global heartbeat: -S checks and -K does nothing; neither counts", async (t) => {
  const { kernel } = classicGlobal();
  t.deepEqual(await start(kernel, "agent"), { region: UUID, references: 0, mode: "global" });
  const done = { region: UUID, references: 0, stopped: false, mode: "global" } as const;
  t.deepEqual(await stop(kernel, "agent"), done);
  t.deepEqual(await stop(kernel, null, { caller: "kernel" }), done);
  t.deepEqual(kernel.leftovers(), []);
});

test("without a cluster there is nothing to stop, and that is said", async (t) => {
  for (const { kernel } of [nothingLoaded(), classicLocal({ unregistered: true })]) {
    await refused(t, stop(kernel, "agent"), null, "O2CB_SERVICE_UNAVAILABLE");
    t.deepEqual(kernel.leftovers(), []);
  }
});

test("-S by UUID finds the device; two that carry it are refused, and none", async (t) => {
  const { kernel } = classicLocal();
  const other = { device: null, uuid: "A".repeat(32), service: "agent" };
  await refused(
    t,
    command(kernel, (native) => startService(native, other)),
    null,
    "O2CB_UNKNOWN_REGION",
  );
  kernel.addDisk({ name: "sdc", number: { major: 8, minor: 32 }, volume: volume({ uuid: UUID }) });
  await refused(t, start(kernel, "agent"), null, "O2CB_BAD_DEVICE");
  await refused(
    t,
    start(kernel, "bad name").catch((error: Error) => Promise.reject(error)),
    null,
  );
  t.deepEqual(references(kernel), null);
});

test("-P sets real-time priority for the heartbeat's thread, and refuses what does not beat", async (t) => {
  const { kernel, regionDirectory } = classicLocal();
  const set = (level: number) =>
    command(kernel, (native) => setRegionPriority(native, { device: null, uuid: UUID, level }));
  await refused(t, set(0), null, "O2CB_SERVICE_UNAVAILABLE");
  await command(kernel, (native) => native.makeDirectory(regionDirectory));
  await refused(t, set(0), null, "O2CB_SERVICE_UNAVAILABLE");
  t.deepEqual([...kernel.ioPriorities], [], "an empty number would be this process");
  await command(kernel, (native) => native.removeDirectory(regionDirectory));
  await start(kernel, "agent");
  const { pid } = kernel.region(UUID) ?? { pid: 0 };
  t.deepEqual(await set(3), { region: UUID, pid });
  t.deepEqual([...kernel.ioPriorities], [[pid, { ioClass: 1, level: 3 }]]);
  const byDevice = { device: DISK, uuid: null, level: 0 };
  await command(kernel, (native) => setRegionPriority(native, byDevice));
  t.deepEqual(kernel.ioPriorities.get(pid), { ioClass: 1, level: 0 });
});
