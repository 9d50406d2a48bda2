// tuneVolume() and undoTune() with each native call failing in turn, killed at each, and given up at each: every copy of the superblock is the
// old one or the new one, whole; nothing is held; the same command finishes what was begun, and the undo file brings back what was.
import test, { type ExecutionContext } from "ava";
import { isCode, O2cbError } from "../../ts/errors.ts";
import type { TuneVolumeRequest } from "../../ts/tune/request.ts";
import { undoTune } from "../../ts/tune/undo.ts";
import {
  DISK,
  walkAborts,
  walkFaults,
  walkKills,
  type FakeKernel,
  type Machine,
  type Outcome,
  type Scenario,
} from "../helpers/fake-native.ts";
import { clean } from "../helpers/region-work.ts";
import {
  clusterVolume,
  copiesOf,
  localVolume,
  NEW_UUID,
  noPause,
  othersVolume,
  tune,
  tuneWith,
  undo,
  UNDO_FILE,
  userVolume,
} from "../helpers/tune.ts";

const changes: Record<string, { make: () => Machine; request: Partial<TuneVolumeRequest> }> = {
  "one node's volume": { make: localVolume, request: { label: "new", uuid: NEW_UUID, confirm: true } },
  "the cluster's volume": { make: clusterVolume, request: { label: "new", uuid: NEW_UUID, confirm: true } },
  "another cluster's volume": {
    make: othersVolume,
    request: { label: "new", updateClusterStack: true, confirm: true },
  },
  "a user stack's volume": { make: userVolume, request: { label: "new", uuid: NEW_UUID, confirm: true } },
  "a volume that comes to a user stack": {
    make: () => userVolume({ volume: { stack: "o2cb", cluster: "other" } }),
    request: { updateClusterStack: true, confirm: true },
  },
  "one node's volume that comes to the cluster": { make: localVolume, request: { mount: "cluster" } },
};

/** The machine of a kernel, and what its copies said before. */
const machines = new WeakMap<FakeKernel, { machine: Machine; before: unknown[] }>();

function of(kernel: FakeKernel): { machine: Machine; before: unknown[] } {
  const found = machines.get(kernel);
  if (found === undefined) throw new Error("not one of this test's machines");
  return found;
}

function setup(make: () => Machine): Machine {
  const machine = make();
  machines.set(machine.kernel, { machine, before: copiesOf(machine) });
  return machine;
}

/** Held by nobody, and each copy old or new: the primary decides, the backups are never ahead of it. */
function whole(t: ExecutionContext, kernel: FakeKernel, after: readonly unknown[], title: string): number {
  const { machine, before } = of(kernel);
  t.deepEqual(kernel.disasters, [], title);
  t.is(machine.disk.claim, null, title);
  const now = copiesOf(machine);
  const isNew = now.map((copy, index) => {
    t.true(copy === before[index] || copy === after[index], `${title}: copy ${index}`);
    return copy === after[index];
  });
  t.false(!isNew[0] && (isNew[1] || isNew[2]), `${title}: a backup is ahead of the primary`);
  return isNew.filter(Boolean).length;
}

/** What a run that was not disturbed makes of it. */
async function afterChange(make: () => Machine, request: Partial<TuneVolumeRequest>): Promise<unknown[]> {
  const machine = make();
  await tune(machine.kernel, request);
  return copiesOf(machine);
}

async function finishes(
  t: ExecutionContext,
  kernel: FakeKernel,
  after: readonly unknown[],
  request: Partial<TuneVolumeRequest>,
  title: string,
): Promise<void> {
  const { machine, before } = of(kernel);
  const written = whole(t, kernel, after, title);
  // What a killed program left of its join is another command's to clear.
  await clean(kernel);
  // The file is there before the first write, however it ended.
  if (written > 0) {
    t.is((await undo(kernel, { confirm: true })).outcome, "undone", title);
    t.deepEqual(copiesOf(machine), before, `${title}: after the undo`);
  }
  t.is((await tune(kernel, request)).outcome, "changed", title);
  t.deepEqual(copiesOf(machine), after, `${title}: after the same once more`);
  t.is(machine.disk.claim, null, title);
}

const outcomeOf = <T>(outcome: Outcome<T>): string =>
  outcome.status === "failed" && !(outcome.error instanceof O2cbError)
    ? String(outcome.error)
    : outcome.status;

for (const [what, { make, request }] of Object.entries(changes)) {
  const scenario: Scenario<unknown, undefined> = (native, _kernel, { signal }) =>
    tuneWith(native, { ...request, signal });

  test(`a change of ${what}: each call fails in turn`, async (t) => {
    t.timeout(180_000);
    const after = await afterChange(make, request);
    const runs = await walkFaults(scenario, {
      setup: () => setup(make),
      late: true,
      async check({ kernel, native, outcome, title }) {
        t.true(["ok", "failed"].includes(outcomeOf(outcome)), `${title}: ${outcomeOf(outcome)}`);
        // With the command goes what it could not give up.
        native.exit();
        const written = whole(t, kernel, after, title);
        // A failure that could be undone was: the undo leaves nothing half done.
        const rolledBack =
          outcome.status !== "failed" || (outcome.error as O2cbError).rollbackError !== undefined;
        if (outcome.status === "failed" && !rolledBack) t.true([0, after.length].includes(written), title);
        if (outcome.status === "ok") return t.deepEqual(copiesOf(of(kernel).machine), after, title);
        return finishes(t, kernel, after, request, title);
      },
    });
    t.true(runs > 30, `${runs} runs`);
  });

  test(`a change of ${what}: killed before and after each call`, async (t) => {
    t.timeout(180_000);
    const after = await afterChange(make, request);
    const seen = new Set<number>();
    await walkKills(scenario, {
      setup: () => setup(make),
      halfway: true,
      // That is the same as a kill before the call that follows.
      only: ({ name }) => name !== "Held.release",
      async check({ kernel, title }) {
        const written = whole(t, kernel, after, title);
        seen.add(written);
        if (written < after.length) await finishes(t, kernel, after, request, title);
      },
    });
    t.deepEqual([...seen].toSorted(), [0, 1, 2, 3], "each place between two writes was met");
  });

  test(`a change of ${what}: given up at each call`, async (t) => {
    t.timeout(180_000);
    const after = await afterChange(make, request);
    await walkAborts(scenario, {
      setup: () => setup(make),
      async check({ kernel, outcome, title }) {
        const written = whole(t, kernel, after, title);
        t.is(written, outcome.status === "ok" ? after.length : 0, title);
        if (outcome.status !== "failed") return;
        t.true(isCode(outcome.error, "O2CB_ABORTED"), `${title}: ${String(outcome.error)}`);
        await finishes(t, kernel, after, request, title);
      },
    });
  });
}

test("an undo: each call fails in turn, and is the last before SIGKILL", async (t) => {
  t.timeout(180_000);
  const request = { label: "new", uuid: NEW_UUID, confirm: true } as const;
  const after = await afterChange(clusterVolume, request);
  const changed = async (): Promise<Machine> => {
    const machine = setup(clusterVolume);
    await tune(machine.kernel, request);
    return machine;
  };
  const scenario: Scenario<unknown, undefined> = (native) =>
    undoTune(native, { device: DISK, file: UNDO_FILE, confirm: true }, noPause);
  const check = async ({ kernel, title }: { kernel: FakeKernel; title: string }): Promise<void> => {
    const { machine, before } = of(kernel);
    t.is(machine.disk.claim, null, title);
    const now = copiesOf(machine);
    now.forEach((copy, index) =>
      t.true(copy === before[index] || copy === after[index], `${title}: copy ${index}`),
    );
    await clean(kernel);
    const again = await undo(kernel, { confirm: true });
    t.true(["undone", "unchanged"].includes(again.outcome), title);
    t.deepEqual(copiesOf(machine), before, title);
  };
  await walkFaults(scenario, { setup: changed, late: true, check });
  await walkKills(scenario, { setup: changed, check, only: ({ name }) => name !== "Held.release" });
});
