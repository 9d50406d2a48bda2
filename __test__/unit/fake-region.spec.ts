// The fake machine's heartbeat: what a start needs, takes and leaves (kernel-abi 1.6-1.8).
import test from "ava";
import type { FakeNative, Machine, SetupSettings } from "../helpers/fake-native.ts";
import { classicLocal, DISK, oldDriver12, UUID, volume } from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";

async function configured(
  settings: SetupSettings = {},
  values: Record<string, string> = {},
): Promise<Machine & { native: FakeNative; start: () => Promise<void> }> {
  const machine = classicLocal(settings);
  const native = machine.kernel.process();
  await native.makeDirectory(machine.regionDirectory);
  const all = { block_bytes: "512", start_block: "2184", blocks: "255", ...values };
  for (const [name, value] of Object.entries(all))
    if (value !== "") await native.writeAttribute(`${machine.regionDirectory}/${name}`, value);
  return { ...machine, native, start: () => native.startHeartbeat(machine.regionDirectory, DISK) };
}

test("a started region has a device, a thread and a beating slot; a stopped one left cleanly", async (t) => {
  const { kernel, native, start, regionDirectory } = await configured();
  const slots = { startBlock: 2184n, blockBytes: 512, blocks: 2 };
  t.like((await native.readHeartbeatSlots(DISK, slots))[0], { sequence: 0n, valid: true });
  await start();
  t.is(await native.readAttribute(`${regionDirectory}/dev`), "sdb\n");
  t.regex(await native.readAttribute(`${regionDirectory}/pid`), /^\d+\n$/);
  const [own, other] = await native.readHeartbeatSlots(DISK, slots);
  t.true(own !== undefined && own.generation !== 0n && own.sequence > 0n);
  t.like(other, { slot: 1, sequence: 0n });
  t.is(await native.readAttribute("/sys/kernel/debug/o2hb/livenodes"), "0 \n");
  for (const name of ["block_bytes", "start_block", "blocks"])
    await refused(t, native.writeAttribute(`${regionDirectory}/${name}`, "1024"), "EINVAL");
  await refused(t, start(), "EINVAL", "O2CB_HEARTBEAT_FAILED");
  await native.removeDirectory(regionDirectory);
  t.like((await native.readHeartbeatSlots(DISK, slots))[0], { generation: 0n });
  t.is(await native.readAttribute("/sys/kernel/debug/o2hb/livenodes"), "\n");
  t.deepEqual(kernel.leftovers(), []);
});

test("the time a start takes follows the kernel's rule", async (t) => {
  const { kernel, native, start, regionDirectory } = await configured();
  await start();
  t.is(kernel.clock.now, 8000, "fresh area, first region");
  await native.removeDirectory(regionDirectory);
  await native.makeDirectory(regionDirectory);
  for (const [name, value] of Object.entries({ block_bytes: "512", start_block: "2184", blocks: "255" }))
    await native.writeAttribute(`${regionDirectory}/${name}`, value);
  await start();
  t.is(kernel.clock.now, 8000 + 6000, "an area used before");
});

for (const [name, settings, values, errno, code] of [
  ["an attribute is missing", {}, { blocks: "" }, "EINVAL", "O2CB_HEARTBEAT_FAILED"],
  ["the area begins at block 0", {}, { start_block: "0" }, "EINVAL", "O2CB_HEARTBEAT_FAILED"],
  ["the block size is not the sector size", { sectorBytes: 4096 }, {}, "EINVAL", "O2CB_HEARTBEAT_FAILED"],
  ["the area ends behind the device", {}, { start_block: "2097000" }, "EIO", "O2CB_HEARTBEAT_FAILED"],
  ["the device is read-only", { readOnly: true }, {}, "EACCES", "O2CB_PERMISSION_DENIED"],
] as const) {
  test(`no start where ${name}`, async (t) => {
    const { kernel, start } = await configured(settings, values);
    await refused(t, start(), errno, code);
    t.deepEqual(kernel.leftovers(), [`region ${UUID} (half made)`]);
  });
}

test("no start without a local node, without a device, on a directory that is no region", async (t) => {
  const { kernel, native, start, regionDirectory } = await configured();
  await refused(t, native.startHeartbeat(regionDirectory, "/dev/none"), "ENOENT", "O2CB_BAD_DEVICE");
  await refused(
    t,
    native.startHeartbeat(regionDirectory, "/etc/hostname"),
    "EINVAL",
    "O2CB_HEARTBEAT_FAILED",
  );
  await refused(t, native.startHeartbeat("/vol", DISK), "ENOENT");
  const [cluster] = kernel.clusters.values();
  if (cluster?.localNode) cluster.localNode.local = false;
  await refused(t, start(), "EINVAL");
});

test("a held start shows a thread, takes no second writer, and makes rmdir wait", async (t) => {
  const { kernel, native, start, regionDirectory } = await configured();
  const hold = kernel.holdHeartbeat();
  const started = start();
  await hold.reached;
  t.is(await native.readAttribute(`${regionDirectory}/dev`), "sdb\n");
  t.deepEqual(kernel.leftovers(), [`region ${UUID} (starting on sdb)`]);
  await refused(t, kernel.process().startHeartbeat(regionDirectory, DISK), "EINVAL");
  const order: string[] = [];
  const removed = native.removeDirectory(regionDirectory).then(() => order.push("removed"));
  const done = started.then(() => order.push("started"));
  hold.finish();
  await Promise.all([done, removed]);
  t.deepEqual(order, ["started", "removed"]);
  t.deepEqual(kernel.leftovers(), []);
});

test("a start that never becomes stable, is cancelled or loses its process leaves a half-made region", async (t) => {
  const failing = await configured();
  const hold = failing.kernel.holdHeartbeat();
  const started = failing.start();
  hold.fail("EIO");
  const error = await refused(t, started, "EIO", "O2CB_HEARTBEAT_FAILED");
  t.regex(error.kernelMessages.join(), /Unable to stabilize/);

  const cancelled = await configured();
  const held = cancelled.kernel.holdHeartbeat();
  const controller = new AbortController();
  const aborted = cancelled.native.startHeartbeat(cancelled.regionDirectory, DISK, {
    signal: controller.signal,
  });
  await held.reached;
  controller.abort();
  await refused(t, aborted, "EIO", "O2CB_ABORTED");

  const killed = await configured();
  const gate = killed.kernel.holdHeartbeat();
  void killed.start();
  await gate.reached;
  killed.native.kill();
  await killed.kernel.idle();

  for (const { kernel } of [failing, cancelled, killed])
    t.deepEqual(kernel.leftovers(), [`region ${UUID} (half made)`]);
  // A modern kernel lets it be started again.
  await failing.start();
  t.true(failing.kernel.region(UUID)?.live);
});

test("a domain of its name pins a region; one of another name does not", async (t) => {
  const { kernel, native, start, regionDirectory } = await configured();
  await start();
  kernel.joinDomain("other");
  const leave = kernel.joinDomain(UUID);
  t.is(await native.readAttribute(`/sys/kernel/debug/o2hb/${UUID}/pinned`), "1\n");
  await refused(t, native.removeDirectory(regionDirectory), "EBUSY");
  await refused(t, native.removeDirectory("/sys/kernel/config/cluster/lab/node/alpha"), "EBUSY");
  leave();
  await native.removeDirectory(regionDirectory);
  t.false(kernel.isLive());
});

test("without pins a heartbeat can be stopped under a mounted volume, which is told", async (t) => {
  const { kernel, uuid, regionDirectory } = oldDriver12();
  await kernel.cTool.mount(DISK, "/vol");
  await kernel.process().removeDirectory(regionDirectory);
  t.true(
    kernel
      .leftovers()
      .includes(`disaster: the heartbeat of region ${uuid} was stopped under a live superblock`),
  );
});

test("a volume's facts: stamp, geometry, image, nothing there", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  t.like(await native.readVolume(DISK), {
    uuid: UUID,
    stackLabel: "o2cb",
    clusterName: "lab",
    stackFlags: 0,
    isBlockDevice: true,
    heartbeatProblem: null,
  });
  kernel.addImage("/image", { volume: volume({ stack: null, heartbeatProblem: "two extents" }) });
  t.like(await native.readVolume("/image"), {
    deviceNumber: null,
    isBlockDevice: false,
    stackLabel: null,
    clusterName: null,
    heartbeat: null,
    heartbeatProblem: "two extents",
  });
  await refused(t, native.readVolume("/etc/hostname"), null, "O2CB_BAD_SUPERBLOCK");
  await refused(t, native.readVolume("/vol"), null, "O2CB_BAD_DEVICE");
  await refused(t, native.readVolume("/dev/none"), "ENOENT", "O2CB_BAD_DEVICE");
});
