// Mount and unmount with each native call failing in turn, killed at each, and given up at each: nothing is left behind.
import test from "ava";
import {
  classicLocal,
  DIRECTORY,
  DISK,
  walkAborts,
  walkFaults,
  walkKills,
  type FakeKernel,
  type FakeNative,
  type SetupSettings,
} from "../helpers/fake-native.ts";
import { assertNothingLeft, reapAll } from "../helpers/nothing-left.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";

const mount = (native: FakeNative, signal?: AbortSignal) =>
  mountVolume(native, { device: DISK, directory: DIRECTORY, signal, abortGraceMs: 50 });
const unmount = (native: FakeNative) => unmountVolume(native, { target: DIRECTORY });

/** Another command, later: unmounts whatever is mounted, by mounting once more where that is needed to see it. */
async function cleanUp(kernel: FakeKernel): Promise<void> {
  const native = kernel.process();
  const mounted = (await native.mounts(null)).some(({ target }) => target === DIRECTORY);
  if (mounted) await unmount(native);
  else {
    await mount(native);
    await unmount(native);
  }
  native.exit();
}

for (const leave of ["us", "kernel"] as const) {
  const settings: SetupSettings = { leave };
  const setup = () => classicLocal(settings);
  const who = leave === "us" ? "hb_ctl_path /bin/true" : "hb_ctl_path at the C tool";

  test(`${who}: whatever call fails in a mount, it stands or nothing is left`, async (t) => {
    const runs = await walkFaults((native) => mount(native), {
      setup,
      check: async ({ kernel, native, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        native.exit();
        if (outcome.status === "ok") await unmount(kernel.process());
        await assertNothingLeft(t, kernel, title);
      },
    });
    t.true(runs > 50);
  });

  test(`${who}: whatever call fails in an unmount, nothing is left or the volume stays mounted`, async (t) => {
    const runs = await walkFaults<unknown, undefined>((native) => unmount(native), {
      setup: async () => {
        const machine = setup();
        const native = machine.kernel.process();
        await mount(native);
        native.exit();
        return machine;
      },
      check: async ({ kernel, native, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        native.exit();
        const mounted = (await kernel.process().mounts(null)).some(({ target }) => target === DIRECTORY);
        if (outcome.status === "failed")
          t.true(mounted, `${title}: a failure means that it is still mounted`);
        if (mounted) await unmount(kernel.process());
        await assertNothingLeft(t, kernel, title);
      },
    });
    t.true(runs > 20);
  });

  test(`${who}: a mount killed at any call: the next mount and unmount leave nothing`, async (t) => {
    await walkKills((native) => mount(native), {
      setup,
      check: async ({ kernel, title }) => {
        await cleanUp(kernel);
        await assertNothingLeft(t, kernel, title);
      },
    });
  });

  for (const [what, recover] of [
    ["the next mount and unmount leave", cleanUp],
    ["a reap leaves", reapAll],
  ] as const) {
    test(`${who}: an unmount killed at any call: ${what} nothing`, async (t) => {
      await walkKills((native) => unmount(native), {
        setup: async () => {
          const machine = setup();
          const native = machine.kernel.process();
          await mount(native);
          native.exit();
          return machine;
        },
        check: async ({ kernel, title }) => {
          const mounted = (await kernel.process().mounts(null)).some(({ target }) => target === DIRECTORY);
          if (mounted) await cleanUp(kernel);
          else await recover(kernel);
          await assertNothingLeft(t, kernel, title);
        },
      });
    });
  }

  test(`${who}: a mount given up at any call is rolled back or stands`, async (t) => {
    await walkAborts((native, _kernel, { signal }) => mount(native, signal), {
      setup,
      check: async ({ kernel, native, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        if (outcome.status === "failed") {
          const error = outcome.error as { code?: string; outcome?: string; settled?: Promise<unknown> };
          t.is(error.code, "O2CB_ABORTED", title);
          await error.settled;
        }
        native.exit();
        if (outcome.status === "ok") await unmount(kernel.process());
        await assertNothingLeft(t, kernel, title);
      },
    });
  });
}
