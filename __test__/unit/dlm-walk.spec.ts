// initializeDlm to shutdown, and the lock-down of a volume, with each native call failing in turn, the process killed at each, and given up at
// each: nothing is left, or the next one on that volume, or a reap, leaves nothing.
import test from "ava";
import { initializeDlm, type Dlm } from "../../ts/dlm/initialize.ts";
import { withVolumeLocked } from "../../ts/dlm/with-volume-locked.ts";
import { isCode } from "../../ts/errors.ts";
import { openVolume } from "../../ts/volume.ts";
import {
  classicGlobal,
  classicLocal,
  DISK,
  walkAborts,
  walkFaults,
  walkKills,
  type FakeNative,
  type Machine,
} from "../helpers/fake-native.ts";
import { assertNothingLeft, nextWorks, reapAll } from "../helpers/nothing-left.ts";

const machines: Record<string, () => Machine> = {
  "local heartbeat": () => classicLocal({ dlmfs: "/dlm" }),
  "global heartbeat": () => classicGlobal({ dlmfs: "/dlm" }),
};

const start = async (native: FakeNative, signal?: AbortSignal): Promise<Dlm> => {
  const volume = await openVolume(native, DISK, { signal });
  return initializeDlm(native, volume, { service: "walker", signal });
};
const locked = (native: FakeNative, signal?: AbortSignal): Promise<string> =>
  withVolumeLocked(native, { device: DISK, service: "walker", signal }, async ({ by }) => by);
/** Everything once: join, lock down, leave. */
const whole = async (native: FakeNative): Promise<void> => {
  const dlm = await start(native);
  const held = await dlm.lock("one");
  await held.unlock();
  await dlm.lock("two", { level: "PR" });
  await dlm.shutdown();
};

for (const [name, setup] of Object.entries(machines)) {
  test(`${name}: whatever call fails while joining, nothing is held`, async (t) => {
    const runs = await walkFaults((native) => start(native), {
      setup,
      check: async ({ kernel, native, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        if (outcome.status === "ok") await outcome.value.shutdown();
        native.exit();
        await assertNothingLeft(t, kernel, title);
      },
    });
    t.true(runs > 20);
  });

  test(`${name}: whatever call fails at the end, another shutdown leaves nothing`, async (t) => {
    const all = new WeakMap<FakeNative, Dlm>();
    await walkFaults<void, Dlm>((_native, _kernel, { prelude }) => prelude.shutdown(), {
      setup,
      prelude: async (native) => {
        const dlm = await start(native);
        await (await dlm.lock("one")).unlock({ keep: true });
        await dlm.lock("two");
        all.set(native, dlm);
        return dlm;
      },
      check: async ({ kernel, native, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        if (outcome.status === "failed") await all.get(native)?.shutdown();
        native.exit();
        await assertNothingLeft(t, kernel, title);
      },
    });
  });

  test(`${name}: killed at any call, the next one works and leaves nothing`, async (t) => {
    await walkKills(whole, { setup, check: nextWorks(t, whole) });
  });

  test(`${name}: given up at any call of joining, it is rolled back or done`, async (t) => {
    await walkAborts((native, _kernel, { signal }) => start(native, signal), {
      setup,
      check: async ({ kernel, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        if (outcome.status === "ok") await outcome.value.shutdown();
        else if (outcome.status === "failed") t.true(isCode(outcome.error, "O2CB_ABORTED"), title);
        await assertNothingLeft(t, kernel, title);
      },
    });
  });

  test(`${name}: work on a locked volume leaves nothing, whatever call fails or is given up`, async (t) => {
    const check = async ({ kernel, native, outcome, title }: Parameters<Check>[0]): Promise<void> => {
      t.not(outcome.status, "hung", title);
      native.exit();
      // Where leaving itself was what failed, the end of the process and a reap are what remains.
      await reapAll(kernel);
      await leaveGlobal(kernel);
      await assertNothingLeft(t, kernel, title);
    };
    await walkFaults((native) => locked(native), { setup, check });
    await walkAborts((native, _kernel, { signal }) => locked(native, signal), { setup, check });
  });
}

type Check = NonNullable<Parameters<typeof walkFaults<string>>[1]["check"]>;

/** A domain in global mode has no region of its own that a reap would see: the next one on the volume leaves it. */
async function leaveGlobal(kernel: Machine["kernel"]): Promise<void> {
  if (kernel.heartbeat.mode !== "global") return;
  const native = kernel.process();
  await whole(native);
  native.exit();
}

test("killed at any call with local heartbeat, a reap leaves nothing either", async (t) => {
  await walkKills(whole, {
    setup: () => classicLocal({ dlmfs: "/dlm" }),
    check: async ({ kernel, title }) => {
      await reapAll(kernel);
      await assertNothingLeft(t, kernel, title);
    },
  });
});
