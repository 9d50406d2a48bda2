// Mount and unmount through a control daemon, with each native call failing in turn, killed at each, and given up at each: no mount group is left
// that nobody leaves. What a killed process had joined goes with the next unmount of the volume.
import test, { type ExecutionContext } from "ava";
import { controldMachine, groupsGone } from "../helpers/controld-machine.ts";
import type { FakeControld } from "../helpers/fake-controld.ts";
import {
  DIRECTORY,
  DISK,
  walkAborts,
  walkFaults,
  walkKills,
  type CallRecord,
  type FakeKernel,
  type FakeNative,
} from "../helpers/fake-native.ts";
import { assertNothingLeft } from "../helpers/nothing-left.ts";
import { leaveByOurProgram } from "../helpers/region-work.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";

const daemons = new WeakMap<FakeKernel, FakeControld>();
const mount = (native: FakeNative, signal?: AbortSignal) =>
  mountVolume(native, { device: DISK, directory: DIRECTORY, signal, abortGraceMs: 50 });
const unmount = (native: FakeNative) => unmountVolume(native, { target: DIRECTORY });

async function isMounted(kernel: FakeKernel): Promise<boolean> {
  return (await kernel.process().mounts(null)).some(({ target }) => target === DIRECTORY);
}

async function assertNoGroup(t: ExecutionContext, kernel: FakeKernel, title: string): Promise<void> {
  const daemon = daemons.get(kernel);
  if (daemon === undefined) return t.fail("a machine with a daemon is needed");
  await groupsGone(daemon);
  t.deepEqual(daemon.view(), [], title);
  await assertNothingLeft(t, kernel, title);
}

/** What the kernel and dlm_controld have is there, or nothing could be mounted: a look at it fails in other ways. */
const isSettings = ({ args }: CallRecord): boolean =>
  /^\/sys\/(kernel\/config|fs\/ocfs2\/dlm_recover)/.test(String(args[0]));

/** As the next command would, once the daemon has seen what ended: mounts where nothing is mounted, and unmounts. */
async function cleanUp(kernel: FakeKernel): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await kernel.idle();
  const native = kernel.process();
  if (!(await isMounted(kernel))) await mount(native);
  await unmount(native);
  native.exit();
}

/** What hb_ctl_path names: nobody, the C tool that leaves no group where the kernel has callbacks, or our program. */
const programs = { us: "/bin/true", "the C tool": "/sbin/ocfs2_hb_ctl", "our program": null };

for (const [who, program] of Object.entries(programs)) {
  const setup = () => {
    const machine = controldMachine();
    machine.kernel.callOutHook = null;
    if (program === null) leaveByOurProgram(machine.kernel);
    else machine.kernel.hbCtlPath = program;
    daemons.set(machine.kernel, machine.daemon);
    return machine;
  };
  const mounted = async () => {
    const machine = setup();
    const native = machine.kernel.process();
    await mount(native);
    native.exit();
    return machine;
  };

  test(`${who} leaves: whatever call fails in a mount, it stands or nothing is left`, async (t) => {
    const runs = await walkFaults((native) => mount(native), {
      setup,
      check: async ({ kernel, native, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        native.exit();
        t.is(await isMounted(kernel), outcome.status === "ok", title);
        if (outcome.status === "ok") await unmount(kernel.process());
        await assertNoGroup(t, kernel, title);
      },
    });
    t.true(runs > 40);
  });

  test(`${who} leaves: whatever call fails in an unmount, it is left, said, or still mounted`, async (t) => {
    const runs = await walkFaults(unmount, {
      setup: mounted,
      only: (call) => !isSettings(call),
      check: async ({ kernel, native, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        native.exit();
        if (outcome.status === "failed") t.true(await isMounted(kernel), title);
        const isLeft = outcome.status === "ok" && outcome.value.outcome !== "leave-failed";
        if (!isLeft) await cleanUp(kernel);
        await assertNoGroup(t, kernel, title);
      },
    });
    t.true(runs > 10);
  });

  test(`${who} leaves: an unmount that cannot look at the DLM's settings looks again`, async (t) => {
    await walkFaults(unmount, {
      setup: mounted,
      only: isSettings,
      errnos: ["EIO"],
      check: async ({ kernel, native, outcome, title }) => {
        t.is(outcome.status, "ok", title);
        native.exit();
        // Once is looked at again.
        await assertNoGroup(t, kernel, title);
      },
    });
  });

  test(`${who} leaves: a mount killed at any call: the next mount and unmount leave nothing`, async (t) => {
    await walkKills((native) => mount(native), {
      setup,
      check: async ({ kernel, title }) => {
        await cleanUp(kernel);
        await assertNoGroup(t, kernel, title);
      },
    });
  });

  test(`${who} leaves: an unmount killed at any call: the next mount and unmount leave nothing`, async (t) => {
    await walkKills(unmount, {
      setup: mounted,
      check: async ({ kernel, title }) => {
        await cleanUp(kernel);
        await assertNoGroup(t, kernel, title);
      },
    });
  });

  test(`${who} leaves: a mount given up at any call is rolled back or stands`, async (t) => {
    await walkAborts((native, _kernel, { signal }) => mount(native, signal), {
      setup,
      check: async ({ kernel, native, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        if (outcome.status === "failed") {
          const error = outcome.error as { code?: string; settled?: Promise<unknown> };
          t.is(error.code, "O2CB_ABORTED", title);
          await error.settled;
        }
        native.exit();
        if (outcome.status === "ok") await unmount(kernel.process());
        await assertNoGroup(t, kernel, title);
      },
    });
  });
}
