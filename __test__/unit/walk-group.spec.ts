// Begin, complete and leave with each native call failing in turn, and with the process killed at each: nothing is left.
import test from "ava";
import { assertNothingLeft, nextWorks } from "../helpers/nothing-left.ts";
import {
  classicGlobal,
  classicLocal,
  DISK,
  oldDriver12,
  walkAborts,
  walkFaults,
  walkKills,
  type FakeNative,
  type Machine,
} from "../helpers/fake-native.ts";
import { beginGroupJoin, type GroupJoin, type GroupMembership } from "../../ts/membership.ts";
import { openVolume } from "../../ts/volume.ts";

const begin = async (native: FakeNative, signal?: AbortSignal): Promise<GroupJoin> => {
  const volume = await openVolume(native, DISK, { signal });
  return beginGroupJoin(native, { volume, service: "walker", signal });
};

const machines: Record<string, () => Machine> = {
  "local heartbeat": () => classicLocal(),
  "global heartbeat": () => classicGlobal(),
  "a driver of the 1.2 era": () => oldDriver12(),
};

for (const [name, setup] of Object.entries(machines)) {
  test(`${name}: whatever call fails in begin, nothing is held`, async (t) => {
    const runs = await walkFaults((native) => begin(native), {
      setup,
      check: async ({ kernel, native, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        // A failure that begin could do without: then the join stands and its undo leaves nothing.
        if (outcome.status === "ok") await outcome.value.complete(5);
        native.exit();
        await assertNothingLeft(t, kernel, title);
      },
    });
    t.true(runs > 20);
  });

  test(`${name}: whatever call fails in complete(0), the join can be undone`, async (t) => {
    await walkFaults<GroupMembership, GroupJoin>((_native, _kernel, { prelude }) => prelude.complete(0), {
      setup,
      prelude: (native) => begin(native),
      check: async ({ kernel, outcome, title }) => {
        if (outcome.status === "ok") await outcome.value.leave();
        t.not(outcome.status, "hung", title);
        if (outcome.status === "ok") await assertNothingLeft(t, kernel, title);
      },
    }).catch((error: Error) => t.regex(error.message, /no call/));
    t.pass();
  });

  test(`${name}: whatever call fails in complete(errno) or leave, doing it again leaves nothing`, async (t) => {
    for (const end of ["complete", "leave"] as const) {
      const prelude = async (native: FakeNative): Promise<() => Promise<unknown>> => {
        const join = await begin(native);
        if (end === "complete") return () => join.complete(5);
        const member = await join.complete(0);
        return () => member.leave();
      };
      const again = new WeakMap<FakeNative, () => Promise<unknown>>();
      await walkFaults<unknown, () => Promise<unknown>>(
        async (native, _kernel, { prelude: run }) => {
          again.set(native, run);
          return run();
        },
        {
          setup,
          prelude,
          check: async ({ kernel, native, outcome, title }) => {
            t.not(outcome.status, "hung", title);
            if (outcome.status === "failed") await again.get(native)?.();
            native.exit();
            await assertNothingLeft(t, kernel, `${end}: ${title}`);
          },
        },
      ).catch((error: Error) => t.regex(error.message, /no call/));
    }
    t.pass();
  });

  test(`${name}: killed at any call of begin, complete and leave, the next join works and leaves nothing`, async (t) => {
    const whole = async (native: FakeNative): Promise<void> => {
      const member = await (await begin(native)).complete(0);
      await member.leave();
    };
    await walkKills(whole, { setup, check: nextWorks(t, whole) });
  });

  test(`${name}: given up at any call of begin, it is rolled back or done`, async (t) => {
    await walkAborts((native, _kernel, { signal }) => begin(native, signal), {
      setup,
      check: async ({ kernel, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        if (outcome.status === "ok") await outcome.value.complete(5);
        if (outcome.status === "failed")
          t.is((outcome.error as { code?: string }).code, "O2CB_ABORTED", title);
        await assertNothingLeft(t, kernel, title);
      },
    });
  });
}
