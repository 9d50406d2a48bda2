// From a UUID to the device: one, none, several, and those that are no candidates.
import test from "ava";
import type { O2cbError } from "../../ts/errors.ts";
import { findDevice, resolveRegion } from "../../ts/region/find-device.ts";
import { classicLocal, DISK, UUID, volume, type FakeNative, type Machine } from "../helpers/fake-native.ts";

/** A process that sees these files of /sys/class/block besides the fake's: of a device its size and what it is a part of. */
function seeing(
  { kernel }: Machine,
  more: Record<string, { size?: string; holders?: string[] }> = {},
): FakeNative {
  const native = kernel.process();
  const [readAttribute, listFiles, listDirectories] = [
    native.readAttribute.bind(native),
    native.listFiles.bind(native),
    native.listDirectories.bind(native),
  ];
  const known = (path: string) => /^\/sys\/class\/block\/([^/]+)\/(\w+)$/.exec(path)?.slice(1) ?? [];
  native.readAttribute = async (path, options) => {
    const [name = "", file] = known(path);
    return file === "size" ? `${more[name]?.size ?? "2048"}\n` : readAttribute(path, options);
  };
  native.listFiles = async (path, options) => {
    const [name = "", file] = known(path);
    return file === "holders" ? (more[name]?.holders ?? []) : listFiles(path, options);
  };
  native.listDirectories = async (path, options) =>
    known(path)[1] === "holders" ? [] : listDirectories(path, options);
  return native;
}

const reads = (native: FakeNative): unknown[] =>
  native.calls.filter(({ name }) => name === "readVolume").map(({ args }) => args[0]);

async function refused(promise: Promise<unknown>): Promise<O2cbError> {
  return promise.then(
    () => {
      throw new Error("it was not refused");
    },
    (error: unknown) => error as O2cbError,
  );
}

/** The same volume on another disk. */
function copy({ kernel }: Machine, name: string, minor: number, ...paths: string[]): void {
  kernel.addDisk({ name, number: { major: 8, minor }, volume: volume({ uuid: UUID }) }, ...paths);
}

test("the one device that carries the volume, among others and broken ones", async (t) => {
  const machine = classicLocal();
  const { kernel } = machine;
  kernel.addDisk({ name: "sdc", number: { major: 8, minor: 32 }, volume: volume() });
  kernel.addDisk({ name: "sdd", number: { major: 8, minor: 48 } });
  kernel.addDisk({
    name: "sde",
    number: { major: 8, minor: 64 },
    volume: volume({ uuid: UUID }),
  }).broken = true;
  t.is(await findDevice(seeing(machine), UUID), DISK);
});

test("more devices than are read at once, and the last of them is it", async (t) => {
  const machine = classicLocal({ volume: { uuid: "F".repeat(32) } });
  for (let minor = 100; minor < 140; minor++)
    machine.kernel.addDisk({ name: `sd${minor}`, number: { major: 8, minor }, volume: volume() });
  copy(machine, "zz", 200);
  const native = seeing(machine);
  t.is(await findDevice(native, UUID), "/dev/zz");
  t.is(new Set(reads(native)).size, 42);
  t.is(reads(native).length, 42, "each once");
});

test("a path of a multipath device is no candidate; the device is named as it is mounted", async (t) => {
  const machine = classicLocal();
  machine.kernel.addDisk(
    { name: "dm-0", number: { major: 253, minor: 0 }, volume: volume({ uuid: UUID }) },
    "/dev/mapper/mpatha",
  );
  const native = seeing(machine, { sdb: { holders: ["dm-0"] } });
  t.is(await findDevice(native, UUID), "/dev/mapper/mpatha");
  t.deepEqual(reads(native), ["/dev/mapper/mpatha"]);
});

test("what cannot carry a volume is not opened: nothing in it, memory, floppies, optical media", async (t) => {
  const machine = classicLocal();
  for (const [index, name] of ["loop0", "ram3", "fd0", "sr0"].entries()) copy(machine, name, 70 + index);
  const native = seeing(machine, { loop0: { size: "0" } });
  t.is(await findDevice(native, UUID), DISK);
  t.deepEqual(reads(native), [DISK]);
});

test("several devices are refused with all their names", async (t) => {
  const machine = classicLocal();
  copy(machine, "sdc", 32);
  const error = await refused(findDevice(seeing(machine), UUID));
  t.is(error.code, "O2CB_BAD_DEVICE");
  t.regex(error.message, /\/dev\/sdb, \/dev\/sdc/);
});

test("two names of one device are one, and a slash in the kernel's name is found", async (t) => {
  const machine = classicLocal({ volume: { uuid: "F".repeat(32) } });
  copy(machine, "cciss!c0d0", 16 + 64);
  t.is(await findDevice(seeing(machine), UUID), "/dev/cciss/c0d0");
  copy(machine, "alias", 16 + 64);
  t.regex(await findDevice(seeing(machine), UUID), /^\/dev\/(alias|cciss\/c0d0)$/);
});

test("no device is O2CB_UNKNOWN_REGION; who may not read says that instead", async (t) => {
  const machine = classicLocal();
  const other = "F".repeat(32);
  t.is((await refused(findDevice(seeing(machine), other))).code, "O2CB_UNKNOWN_REGION");
  const native = seeing(machine);
  native.failCall("readVolume", { errno: "EACCES" });
  t.is((await refused(findDevice(native, other))).code, "O2CB_PERMISSION_DENIED");
});

test("a caller who gives up ends it", async (t) => {
  const machine = classicLocal();
  const error = await refused(findDevice(seeing(machine), UUID, AbortSignal.abort()));
  t.is(error.code, "O2CB_ABORTED");
});

test("a region's name comes from the UUID without a look at anything, or from the device", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  const dashed = "77d95ef5-1c01-49d2-8236-74fcc162cf8b";
  t.is(await resolveRegion(native, { device: null, uuid: dashed }), UUID);
  t.is(native.calls.length, 0);
  t.is(await resolveRegion(native, { device: DISK, uuid: null }), UUID);
  t.is((await refused(resolveRegion(native, { device: null, uuid: "x" }))).code, "O2CB_INVALID_REGION_NAME");
  await t.throwsAsync(resolveRegion(native, { device: null, uuid: null }), { instanceOf: TypeError });
});
