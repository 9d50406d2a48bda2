// reap() and stopService() with each native call failing in turn, killed at each, given up at each, and with a mount coming at each:
// afterwards it is as before or done, a second run finishes, and what is mounted stays so.
import test, { type ExecutionContext } from "ava";
import { O2cbError } from "../../ts/errors.ts";
import { stopService } from "../../ts/hb-ctl/stop.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";
import type { ReapPlan } from "../../ts/region/audit-types.ts";
import { planReap, reap } from "../../ts/region/reap.ts";
import {
  classicLocal,
  DIRECTORY,
  DISK,
  oldDriver12,
  UUID,
  walkAborts,
  walkFaults,
  walkKills,
  type FakeKernel,
  type Scenario,
} from "../helpers/fake-native.ts";
import {
  clean,
  command,
  join,
  look,
  lookAt,
  mount,
  references,
  start,
  stop,
} from "../helpers/region-work.ts";

const plans = new WeakMap<FakeKernel, ReapPlan>();

const plan = async (kernel: FakeKernel): Promise<ReapPlan> =>
  planReap(await look(kernel, { regions: [UUID], probe: true }));

/** What a reap is walked over. */
const leftovers: Record<string, (kernel: FakeKernel) => Promise<unknown>> = {
  "a mount that vanished": async (kernel) => {
    await mount(kernel);
    await kernel.cTool.umount(DIRECTORY);
  },
  "a mount that vanished, and an agent": async (kernel) => {
    await mount(kernel);
    await start(kernel, "agent");
    await kernel.cTool.umount(DIRECTORY);
  },
  "a region whose program was killed": async (kernel) => (await join(kernel)).kill(),
  "a region that was never started": (kernel) =>
    command(kernel, (native) => native.makeDirectory(directoryOf(kernel))),
  "a set without a region": (kernel) => kernel.cTool.hbCtlInfo(UUID),
};

function directoryOf(kernel: FakeKernel): string {
  const base = kernel.features.stackGlue ? "/sys/kernel/config" : "/config";
  return `${base}/cluster/lab/heartbeat/${UUID}`;
}

const machines: Record<string, () => FakeKernel> = {
  "a driver of today": () => classicLocal().kernel,
  "an old driver": () => oldDriver12().kernel,
};

/** What one must find after a reap, however it was disturbed, and what a second one makes of it. */
async function finishes(
  t: ExecutionContext,
  kernel: FakeKernel,
  hasAgent: boolean,
  title: string,
): Promise<void> {
  t.deepEqual(kernel.disasters, [], title);
  const holding = kernel.leftovers().filter((one) => /^(claim|lock)|mutex held/.test(one));
  t.deepEqual(holding, [], title);
  if (hasAgent) {
    t.true([1, 2].includes(references(kernel) ?? 0), title);
    t.truthy(kernel.region(UUID), title);
  }
  for (let run = 0; run < 2; run += 1)
    t.deepEqual((await clean(kernel, { regions: [UUID] })).skipped, [], title);
  if (hasAgent) {
    t.like(await lookAt(kernel), { references: 1, stale: 0, unexplained: 0, staleRecords: [] }, title);
    await stop(kernel, "agent");
  }
  t.deepEqual(kernel.leftovers(), [], `${title}: after another reap`);
}

const reapAsPlanned: Scenario<unknown, undefined> = (native, kernel, { signal }) =>
  reap(native, plans.get(kernel) as ReapPlan, { patienceMs: 0, signal });

const stopAs =
  (service: string | null, caller: "kernel" | "program"): Scenario<unknown, undefined> =>
  (native, _kernel, { signal }) =>
    stopService(native, { device: null, uuid: UUID, service, caller, signal });

const walks = { "a call that fails": walkFaults, "a kill": walkKills, "an end before its end": walkAborts };

for (const [machine, make] of Object.entries(machines)) {
  for (const [what, prepare] of Object.entries(leftovers)) {
    if (machine === "an old driver" && !what.includes("vanished")) continue;
    for (const [disturbance, walk] of Object.entries(walks)) {
      test(`${machine}, ${what}: a reap with ${disturbance}`, async (t) => {
        const runs = await walk<unknown, undefined>(reapAsPlanned, {
          setup: async () => {
            const kernel = make();
            await prepare(kernel);
            plans.set(kernel, await plan(kernel));
            return kernel;
          },
          check: async ({ kernel, native, outcome, title }) => {
            t.not(outcome.status, "hung", title);
            native.exit();
            if (outcome.status === "failed") t.true(outcome.error instanceof O2cbError, title);
            await finishes(t, kernel, what.includes("agent"), title);
          },
        });
        t.true(runs > 30);
      });
    }
  }

  for (const [disturbance, walk] of Object.entries(walks)) {
    test(`${machine}: -K of an agent with ${disturbance}, which a second one finishes`, async (t) => {
      await walk<unknown, undefined>(stopAs("agent", "program"), {
        setup: async () => {
          const kernel = make();
          await start(kernel, "agent");
          return kernel;
        },
        check: async ({ kernel, native, outcome, title }) => {
          t.not(outcome.status, "hung", title);
          native.exit();
          t.like(await stop(kernel, "agent"), { references: 0 }, title);
          t.deepEqual([references(kernel), kernel.region(UUID)], [null, undefined], title);
          await clean(kernel, { regions: [UUID] });
          t.deepEqual(kernel.leftovers(), [], title);
        },
      });
    });

    test(`${machine}: -K of an agent with ${disturbance} harms no mount`, async (t) => {
      await walk<unknown, undefined>(stopAs("agent", "program"), {
        setup: async () => {
          const kernel = make();
          await mount(kernel);
          await start(kernel, "agent");
          return kernel;
        },
        check: async ({ kernel, native, outcome, title }) => {
          t.not(outcome.status, "hung", title);
          native.exit();
          t.true((references(kernel) ?? 0) >= 1, title);
          await stop(kernel, "agent").catch((error: { code?: string }) =>
            t.is(error.code, "O2CB_REGION_IN_USE", title),
          );
          t.like(await lookAt(kernel), { references: 1, verdict: "in-use", unexplained: 0 }, title);
          await command(kernel, (other) => unmountVolume(other, { target: DIRECTORY }));
          await clean(kernel, { regions: [UUID] });
          t.deepEqual(kernel.leftovers(), [], title);
        },
      });
    });

    test(`${machine}: the kernel's -K with ${disturbance}, which a reap finishes`, async (t) => {
      await walk<unknown, undefined>(stopAs(null, "kernel"), {
        setup: async () => {
          const kernel = make();
          await mount(kernel);
          await start(kernel, "agent");
          await kernel.cTool.umount(DIRECTORY);
          return kernel;
        },
        check: async ({ kernel, native, outcome, title }) => {
          t.not(outcome.status, "hung", title);
          native.exit();
          await finishes(t, kernel, true, title);
        },
      });
    });
  }
}

test("a mount that comes in the middle of a reap waits, or is seen", async (t) => {
  // At each call of the reap the C tool begins to mount.
  for (let at = 1; at < 200; at += 1) {
    const { kernel } = classicLocal();
    await mount(kernel);
    await kernel.cTool.umount(DIRECTORY);
    const planned = await plan(kernel);
    const native = kernel.process();
    let mounting: Promise<unknown> | null = null;
    native.beforeCall = ({ n }) => {
      if (n === at) mounting = kernel.cTool.mount(DISK, DIRECTORY).catch((error: unknown) => error);
    };
    await reap(native, planned, { patienceMs: 0 });
    native.exit();
    if (mounting === null) break;
    const failure: unknown = await mounting;
    t.deepEqual(kernel.disasters, [], `at call ${at}`);
    const { verdict, references: counted, stale } = await lookAt(kernel);
    if (kernel.isMounted(UUID)) {
      t.is(failure, undefined);
      t.true(verdict === "in-use" || verdict === "unexplained-references", `at call ${at}: ${verdict}`);
      t.true((counted ?? 0) >= 1 && stale === 0, `at call ${at}`);
      t.truthy(kernel.region(UUID));
    } else t.regex(String(failure), /mount/, `at call ${at}: the device was claimed`);
  }
  t.pass();
});
