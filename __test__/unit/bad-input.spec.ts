// What the kernel's files and the disk may hold instead of what is expected: always a coded error with one sentence, and
// nothing half made. Bytes of the disk itself are the business of crates/disk.
import test from "ava";
import { assert, property, string } from "fast-check";
import { classicLocal, DIRECTORY, DISK, nothingLoaded, type VolumeSettings } from "../helpers/fake-native.ts";
import { O2cbError, type ErrorCode } from "../../ts/errors.ts";
import { beginGroupJoin } from "../../ts/membership.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";
import { detectStack } from "../../ts/stack/detect.ts";
import { heartbeatGeometry, openVolume, regionName } from "../../ts/volume.ts";

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | string> {
  return promise.then(
    () => "no error",
    (error: unknown) => (error instanceof O2cbError ? error.code : `not coded: ${String(error)}`),
  );
}

for (const [content, code] of [
  ["", "O2CB_SERVICE_UNAVAILABLE"],
  ["\n", "O2CB_SERVICE_UNAVAILABLE"],
  ["o2c\n", "O2CB_INTERNAL_FAILURE"],
  ["o2cbx\n", "O2CB_INTERNAL_FAILURE"],
  ["o2cb\no2cb\n", "O2CB_INTERNAL_FAILURE"],
] as const) {
  test(`a stack file that holds ${JSON.stringify(content)} is ${code}`, async (t) => {
    const { kernel } = classicLocal();
    kernel.stackFile = content;
    t.is(await codeOf(detectStack(kernel.process())), code);
    t.is(await codeOf(mountVolume(kernel.process(), { device: DISK, directory: DIRECTORY })), code);
    t.deepEqual(kernel.leftovers(), []);
  });
}

for (const revision of ["6\n", "-1\n", "x\n", "", "5 5\n", "99999999999\n"]) {
  test(`an interface revision of ${JSON.stringify(revision)} is refused`, async (t) => {
    const { kernel } = classicLocal({ revision });
    t.is(await codeOf(detectStack(kernel.process())), "O2CB_BAD_VERSION");
  });
}

test("a configfs that is none, and a kernel without any of OCFS2's modules", async (t) => {
  const { kernel } = classicLocal({ configfs: null });
  t.is(await codeOf(detectStack(kernel.process())), "O2CB_SERVICE_UNAVAILABLE");
  const bare = nothingLoaded({ availableModules: [] });
  t.is(await codeOf(detectStack(bare.kernel.process())), "O2CB_MODULE_NOT_LOADED");
});

test("modules that are on the disk are loaded on the way, unless the caller forbids it", async (t) => {
  const { kernel } = nothingLoaded();
  t.is(await codeOf(detectStack(kernel.process(), { loadModules: false })), "O2CB_MODULE_NOT_LOADED");
  t.is((await detectStack(kernel.process())).stack, "o2cb");
});

test("a volume whose block is smaller than the sector, whose heartbeat file is too small, missing or at block 0", async (t) => {
  const open = async (settings: VolumeSettings, sectorBytes = 512) => {
    const machine = classicLocal({ sectorBytes, volume: settings });
    return { ...machine, opened: await openVolume(machine.kernel.process(), DISK) };
  };
  const refused = async (settings: VolumeSettings, code: ErrorCode, sectorBytes = 512) => {
    const { kernel, opened } = await open(settings, sectorBytes);
    t.is(await codeOf(beginGroupJoin(kernel.process(), { volume: opened, service: "test" })), code);
    t.deepEqual(kernel.leftovers(), []);
  };
  await refused({ blockBytes: 1024 }, "O2CB_INVALID_BLOCK_SIZE", 4096);
  await refused({ heartbeatProblem: "it is a tree" }, "O2CB_BAD_HEARTBEAT_FILE");
  await refused({ heartbeatStart: 0n }, "O2CB_BAD_HEARTBEAT_FILE");
  const { opened } = await open({});
  const small = {
    ...opened,
    heartbeat: { startBlock: 273n, clusters: 1 },
    clusterBytes: 4096,
    blockBytes: 4096,
  };
  t.throws(() => heartbeatGeometry(small), { code: "O2CB_BAD_HEARTBEAT_FILE" });
  t.deepEqual(heartbeatGeometry(opened), { startBlock: 2184n, blockBytes: 512, blocks: 255 });
});

test("a UUID in any case, with or without dashes, is one region; anything else is refused", (t) => {
  const region = "77D95EF51C0149D2823674FCC162CF8B";
  t.is(regionName(region.toLowerCase()), region);
  t.is(regionName("77d95ef5-1c01-49d2-8236-74fcc162cf8b"), region);
  assert(
    property(string(), (text) => {
      try {
        return /^[0-9A-F]{32}$/.test(regionName(text));
      } catch (error) {
        return error instanceof O2cbError && error.code === "O2CB_INVALID_REGION_NAME";
      }
    }),
  );
});

test("targets of an unmount that are none: missing, a plain directory, a device that is not mounted", async (t) => {
  const { kernel } = classicLocal();
  for (const target of ["/missing", DIRECTORY, DISK, "/"]) {
    t.is(await codeOf(unmountVolume(kernel.process(), { target })), "O2CB_NOT_MOUNTED", target);
  }
});

test("a mount refuses a volume of another stack, one for heartbeat only, and a read-only device without ro", async (t) => {
  const attempt = async (settings: Parameters<typeof classicLocal>[0]) => {
    const { kernel } = classicLocal(settings);
    const code = await codeOf(mountVolume(kernel.process(), { device: DISK, directory: DIRECTORY }));
    t.deepEqual(kernel.leftovers(), []);
    return code;
  };
  // A registered cluster keeps its stack; without one the kernel goes on to the volume's, and nothing serves it here.
  t.is(await attempt({ volume: { stack: "pcmk" } }), "O2CB_INVALID_STACK_NAME");
  t.is(await attempt({ volume: { stack: "pcmk" }, unregistered: true }), "O2CB_SERVICE_UNAVAILABLE");
  t.is(await attempt({ volume: { heartbeatDevice: true } }), "O2CB_BAD_DEVICE");
  t.is(await attempt({ readOnly: true }), "O2CB_BAD_DEVICE");
  t.is(await attempt({ volume: { cluster: "other" } }), "O2CB_INVALID_CLUSTER_NAME");
  t.is(await attempt({ volume: { global: true } }), "O2CB_INVALID_HEARTBEAT_MODE");
  t.is(await attempt({ unregistered: true }), "O2CB_SERVICE_UNAVAILABLE");
});

test("a mount of a read-only device is refused on the kernel whose unmount of it crashes, and nowhere else", async (t) => {
  for (const [release, code] of [
    ["6.1.0-50-amd64\n", "O2CB_BAD_DEVICE"],
    ["6.12.117+deb13-amd64\n", "no error"],
    ["6.10.1\n", "no error"],
  ] as const) {
    const { kernel } = classicLocal({ readOnly: true });
    const native = kernel.process();
    const read = native.readAttribute.bind(native);
    native.readAttribute = (path, options) =>
      path === "/proc/sys/kernel/osrelease" ? Promise.resolve(release) : read(path, options);
    const request = { device: DISK, directory: DIRECTORY, options: "ro" };
    t.is(await codeOf(mountVolume(native, request)), code, release);
  }
});
