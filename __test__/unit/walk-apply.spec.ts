// applyState with each native call failing in turn, and killed at each that changes something: the next apply comes to the end, whatever
// was left, and a cluster that was online is online again.
import test, { type ExecutionContext } from "ava";
import { applyState } from "../../ts/cluster/apply.ts";
import type { DesiredState } from "../../ts/cluster/desired-state.ts";
import { ALPHA, apply, BETA, GAMMA, global, isAsWanted, local, node, state, want } from "../helpers/apply.ts";
import {
  nothingLoaded,
  walkFaults,
  walkKills,
  type FakeKernel,
  type FakeNative,
} from "../helpers/fake-native.ts";

/** What each call fails with; the others with EIO. */
const ERRNO: Record<string, string> = {
  makeDirectory: "ENOSPC",
  removeDirectory: "EBUSY",
  replaceFile: "ENOSPC",
  lockFile: "EACCES",
  lockRegion: "ENOSPC",
  regionSemaphores: "EACCES",
  mountNamespaces: "EACCES",
};

interface Scenario {
  setup: () => { kernel: FakeKernel };
  desired: (kernel: FakeKernel) => DesiredState;
}

const regionOf = (kernel: FakeKernel, disk: string): string =>
  [...kernel.disks].find(({ name }) => name === disk)?.volume?.uuid ?? "";

const scenarios: Record<string, Scenario> = {
  "files alone": {
    setup: () => nothingLoaded(),
    desired: () => want({ nodes: [ALPHA, BETA, GAMMA] }, { timeouts: { deadThreshold: 61 }, enabled: true }),
  },
  "from nothing to online": {
    setup: () => nothingLoaded(),
    desired: () => want({}, { timeouts: { deadThreshold: 61, fenceMethod: "panic" }, online: true }),
  },
  "nodes and timeouts": {
    setup: local,
    desired: () =>
      want(
        { nodes: [ALPHA, node("beta", 7), GAMMA] },
        { timeouts: { idleMs: 60_000, keepaliveMs: 4000, fenceMethod: "panic" } },
      ),
  },
  "this host's own node": {
    setup: local,
    desired: () => want({ nodes: [node("alpha", 5), BETA] }, { leave: "kernel" }),
  },
  "a region more": {
    setup: global,
    desired: (kernel) =>
      want({ mode: "global", heartbeats: ["sdq", "sdr"].map((disk) => regionOf(kernel, disk)) }),
  },
  "offline and online": {
    setup: global,
    desired: (kernel) =>
      want(
        { mode: "global", nodes: [ALPHA, BETA, GAMMA], heartbeats: [regionOf(kernel, "sdr")] },
        { timeouts: { deadThreshold: 61, fenceMethod: "panic" } },
      ),
  },
};

const wasOnline = new Set([
  "from nothing to online",
  "nodes and timeouts",
  "this host's own node",
  "a region more",
  "offline and online",
]);

for (const [title, { setup, desired }] of Object.entries(scenarios)) {
  const scenario = (native: FakeNative, kernel: FakeKernel) =>
    applyState(native, desired(kernel), { allowDowntime: true, rescanMs: [] });
  const finishes = async (t: ExecutionContext, kernel: FakeKernel, at: string): Promise<void> => {
    await apply(kernel, desired(kernel), { allowDowntime: true });
    if (wasOnline.has(title)) t.truthy(await state(kernel), `${at}: it is offline`);
    await isAsWanted(t, kernel, desired(kernel), at);
    t.deepEqual(
      kernel.leftovers().filter((one) => /^(lock|claim)|mutex held|half-/.test(one)),
      [],
      at,
    );
  };
  test(`${title}: whatever fails, the next apply comes to the end`, async (t) => {
    const runs = await walkFaults(scenario, {
      setup,
      errnos: ({ name }) => [ERRNO[name] ?? "EIO"],
      check: async ({ kernel, outcome, title: at }) => {
        t.true(outcome.status === "ok" || outcome.status === "failed", at);
        await finishes(t, kernel, at);
      },
    });
    t.true(runs > 30);
  });
  test(`${title}: wherever it is killed, the next apply comes to the end`, async (t) => {
    const runs = await walkKills(scenario, {
      setup,
      halfway: true,
      // Between two looks nothing is another.
      only: ({ name }) => /^(write|make|remove|replace|start|run|mount|lock)|^RegionLock/.test(name),
      check: ({ kernel, title: at }) => finishes(t, kernel, at),
    });
    t.true(runs > 5);
  });
}
