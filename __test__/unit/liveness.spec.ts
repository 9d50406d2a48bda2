// Whether a superblock lives, and how that is known: by each means alone, on each age of kernel, and with each means failing.
import test from "ava";
import {
  allMounts,
  claimDeadDevice,
  hasLiveSuperblock,
  isPinned,
  judgeLiveness,
  pinsRegions,
  proveDeath,
} from "../../ts/region/liveness.ts";
import {
  classicLocal,
  CLUSTER,
  DIRECTORY,
  DISK,
  oldDriver12,
  UUID,
  walkFaults,
  type FakeKernel,
  type FakeNative,
  type KernelFeatures,
  type Machine,
} from "../helpers/fake-native.ts";
import { clean, command, look, mount, references, start } from "../helpers/region-work.ts";

const device = { major: 8, minor: 16 };
const subject = { region: UUID, disk: "sdb", device };

const judge = (kernel: FakeKernel) =>
  command(kernel, async (native) => judgeLiveness(native, subject, await allMounts(native)));

const prove = (native: FakeNative, canPin = true, patienceMs = 0) =>
  proveDeath(native, subject, { patienceMs, canPin });

async function detached(machine: Machine): Promise<Machine> {
  const { kernel } = machine;
  await mount(kernel);
  kernel.process({ name: "editor" }).openFile(DIRECTORY);
  await kernel.cTool.umount(DIRECTORY, true);
  return machine;
}

const kernels: Record<string, { setup: () => Machine; detached: string | null; dead: "dead" | "unknown" }> = {
  "a kernel of today": { setup: classicLocal, detached: "/sys/fs/ocfs2/sdb", dead: "dead" },
  "a kernel before 4.7": {
    setup: () => classicLocal({ features: { deviceSysfs: false } }),
    detached: `/sys/kernel/debug/ocfs2/${UUID}`,
    dead: "dead",
  },
  "a kernel without debugfs": {
    setup: () => classicLocal({ features: { debugfs: false } }),
    detached: "/sys/fs/ocfs2/sdb",
    dead: "unknown",
  },
  "an old driver": { setup: oldDriver12, detached: null, dead: "unknown" },
};

for (const [title, { setup, detached: source, dead }] of Object.entries(kernels)) {
  test(`${title}: what is mounted is alive by the mount table`, async (t) => {
    const { kernel } = setup();
    await mount(kernel);
    const { state, evidence } = await judge(kernel);
    t.is(state, "alive");
    t.deepEqual(evidence, [{ source: "mountinfo", says: "it is mounted on '/vol'" }]);
  });

  test(`${title}: what is detached with an open file is alive, or not known to be dead`, async (t) => {
    const { kernel } = await detached(setup());
    const { state, evidence } = await judge(kernel);
    t.is(state, source === null ? "unknown" : "alive");
    if (source !== null) t.is(evidence.at(-1)?.source, source);
    const native = kernel.process();
    const death = await prove(native, false);
    t.not(death.state, "dead");
    t.is(death.claim, null);
  });

  test(`${title}: what is unmounted is dead where the kernel tells, and with a claim everywhere`, async (t) => {
    const { kernel, disk } = setup();
    await mount(kernel);
    await kernel.cTool.umount(DIRECTORY);
    t.is((await judge(kernel)).state, dead);
    const native = kernel.process();
    const death = await prove(native, false);
    t.is(death.state, "dead");
    t.regex(death.evidence.at(-1)?.says ?? "", /nothing claims the device/);
    t.deepEqual(disk.claim, { by: `process ${native.pid}` }, "no mount can begin");
    death.claim?.release();
    t.is(disk.claim, null);
  });
}

test("a mount that only another namespace shows is found there", async (t) => {
  const { kernel } = classicLocal({ features: { debugfs: false, deviceSysfs: false } });
  await mount(kernel);
  const inside = kernel.process({ namespace: kernel.unshare() });
  await kernel.cTool.umount(DIRECTORY);
  const { state, evidence } = await judge(kernel);
  t.is(state, "alive");
  t.is(evidence[0]?.source, `mountinfo of /proc/${inside.pid}/ns/mnt`);
  const failing = kernel.process();
  for (const call of ["mountNamespaces", { name: "mounts", nth: 2 }] as const) {
    failing.failCall(call, { errno: "EACCES" });
    t.deepEqual(await allMounts(failing), [], "others tell");
  }
});

test("a superblock that ends is not dead before the device is free, and is waited for", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  const hold = kernel.holdDismount();
  const unmounted = kernel.cTool.umount(DIRECTORY);
  await hold.reached;
  const native = kernel.process();
  t.false(await hasLiveSuperblock(native, device), "a new mount makes a superblock of its own");
  t.is((await judge(kernel)).state, "alive");
  t.is(await claimDeadDevice(native, DISK, 0), null);
  const waiting = claimDeadDevice(native, DISK, 60_000);
  hold.finish();
  await unmounted;
  const claim = await waiting;
  t.truthy(claim);
  claim?.release();
});

test("between the end of the domain and of the claim only the claim tells", async (t) => {
  const { kernel } = classicLocal();
  let seen: [string, string, unknown] | null = null;
  kernel.hbCtlPath = "/sbin/ocfs2_hb_ctl";
  kernel.callOutHook = async () => {
    const native = kernel.process();
    const death = await prove(native);
    seen = [(await judge(kernel)).state, death.state, death.claim];
    return 0;
  };
  await mount(kernel);
  await kernel.cTool.umount(DIRECTORY);
  t.deepEqual(seen, ["dead", "unknown", null]);
});

const goneCases: [string, Partial<KernelFeatures>, boolean, "dead" | "unknown"][] = [
  ["debugfs is the proof", {}, true, "dead"],
  ["debugfs is the proof also where nothing is pinned", {}, false, "dead"],
  ["the pin is", { debugfs: false }, true, "dead"],
  ["without either there is none", { debugfs: false, pinning: false }, false, "unknown"],
];

for (const [what, features, canPin, state] of goneCases) {
  test(`the device is gone: ${what}`, async (t) => {
    const { kernel, disk } = classicLocal({ features });
    await mount(kernel);
    await kernel.cTool.umount(DIRECTORY);
    kernel.removeDisk(disk);
    const death = await prove(kernel.process(), canPin);
    t.deepEqual([death.state, death.claim], [state, null]);
    t.true(death.evidence.some(({ says }) => says === "the device is gone"));
  });
}

test("where only the pin is a proof, a reference does not go without the region", async (t) => {
  const features = { debugfs: false, deviceSysfs: false };
  const { kernel, disk } = await detached(classicLocal({ features }));
  await start(kernel, "agent");
  kernel.removeDisk(disk);
  await clean(kernel);
  t.is(references(kernel), 2);
  t.true(kernel.isMounted(UUID));
});

test("a region without a device that is known is judged by debugfs", async (t) => {
  const { kernel } = await detached(classicLocal());
  const nowhere = { region: UUID, disk: null, device: null };
  const native = kernel.process();
  t.is((await judgeLiveness(native, nowhere, [])).state, "alive");
  t.is((await judgeLiveness(native, { ...nowhere, region: "A".repeat(32) }, [])).state, "dead");
});

test("pins are told by debugfs, and which drivers have them by the cluster's mode", async (t) => {
  const { kernel } = classicLocal();
  await start(kernel, "agent");
  const native = kernel.process();
  t.is(await isPinned(native, UUID), false);
  const leave = kernel.joinDomain(UUID);
  t.is(await isPinned(native, UUID), true);
  leave();
  t.is(await isPinned(native, "A".repeat(32)), null);
  t.true(await pinsRegions(native, `/sys/kernel/config/cluster/${CLUSTER}/heartbeat`));
  t.false(await pinsRegions(oldDriver12().kernel.process(), `/config/cluster/${CLUSTER}/heartbeat`));
});

for (const [title, { setup }] of Object.entries(kernels)) {
  test(`${title}: whatever fails, what is mounted or detached is not proven dead, and no claim stays`, async (t) => {
    for (const make of [
      async () => {
        const machine = setup();
        await mount(machine.kernel);
        return machine;
      },
      () => detached(setup()),
    ]) {
      await walkFaults((native) => prove(native, false), {
        setup: make,
        // That something is not there is an answer: two of these would be needed.
        errnos: ["EIO", "ENOMEM", "EACCES"],
        check: ({ native, outcome, kernel, title: call }) => {
          t.true(outcome.status === "ok" || outcome.status === "failed", call);
          if (outcome.status === "ok") t.not(outcome.value.state, "dead", call);
          native.exit();
          t.deepEqual(
            kernel.leftovers().filter((one) => one.startsWith("claim")),
            [],
            call,
          );
        },
      });
    }
    t.pass();
  });
}

test("a look that is given up says so, and holds nothing", async (t) => {
  const { kernel } = classicLocal();
  const signal = AbortSignal.abort();
  const native = kernel.process();
  await t.throwsAsync(proveDeath(native, subject, { patienceMs: 0, canPin: true, signal }), {
    code: "O2CB_ABORTED",
  });
  await t.throwsAsync(look(kernel, { signal }), { code: "O2CB_ABORTED" });
  t.deepEqual(kernel.leftovers(), []);
});
