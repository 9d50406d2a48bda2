// Mount and unmount on a userspace stack in the kernel, with each native call failing in turn, killed at each, and given up at each.
import test from "ava";
import {
  DIRECTORY,
  DISK,
  userStack,
  walkAborts,
  walkFaults,
  walkKills,
  type FakeKernel,
  type FakeNative,
} from "../helpers/fake-native.ts";
import { assertNothingLeft } from "../helpers/nothing-left.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";

const mount = (native: FakeNative, signal?: AbortSignal) =>
  mountVolume(native, {
    device: DISK,
    directory: DIRECTORY,
    signal,
    abortGraceMs: 50,
    onStep: () => undefined,
  });
const unmount = (native: FakeNative) => unmountVolume(native, { target: DIRECTORY });

async function isMounted(kernel: FakeKernel): Promise<boolean> {
  return (await kernel.process().mounts(null)).some(({ target }) => target === DIRECTORY);
}

async function mounted() {
  const machine = userStack();
  const native = machine.kernel.process();
  await mount(native);
  native.exit();
  return machine;
}

// A node that boots has neither the label nor the plugin: the mount brings both.
const setups = {
  "a node in use": () => userStack(),
  "a node just booted": () => userStack({ label: "o2cb", modules: [] }),
};

for (const [name, setup] of Object.entries(setups)) {
  test(`${name}: whatever call fails in a mount, it stands or nothing is left`, async (t) => {
    const runs = await walkFaults((native) => mount(native), {
      setup,
      late: true,
      check: async ({ kernel, native, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        native.exit();
        t.is(await isMounted(kernel), outcome.status === "ok", title);
        if (outcome.status === "ok") await unmount(kernel.process());
        await assertNothingLeft(t, kernel, title);
      },
    });
    t.true(runs > 40);
  });

  test(`${name}: a mount killed at any call: it stands or does not, and the next one works`, async (t) => {
    await walkKills((native) => mount(native), {
      setup,
      check: async ({ kernel, title }) => {
        if (!(await isMounted(kernel))) await mount(kernel.process());
        await unmount(kernel.process());
        await assertNothingLeft(t, kernel, title);
      },
    });
  });

  test(`${name}: a mount given up at any call is rolled back or stands`, async (t) => {
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
        await assertNothingLeft(t, kernel, title);
      },
    });
  });
}

test("whatever call fails in an unmount, nothing is left or the volume stays mounted", async (t) => {
  const runs = await walkFaults<unknown, undefined>((native) => unmount(native), {
    setup: mounted,
    check: async ({ kernel, native, outcome, title }) => {
      t.not(outcome.status, "hung", title);
      native.exit();
      if (outcome.status === "failed") t.true(await isMounted(kernel), title);
      if (await isMounted(kernel)) await unmount(kernel.process());
      await assertNothingLeft(t, kernel, title);
    },
  });
  t.true(runs > 5);
});

test("an unmount killed at any call leaves a mount or nothing", async (t) => {
  await walkKills((native) => unmount(native), {
    setup: mounted,
    check: async ({ kernel, title }) => {
      if (await isMounted(kernel)) await unmount(kernel.process());
      await assertNothingLeft(t, kernel, title);
    },
  });
});
