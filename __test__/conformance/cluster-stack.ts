// The contract of a cluster stack as a list of cases. They run over the fake kernel in ava, and over the real module on a real
// kernel in the lab (guest-scripts/conformance.mjs), which keeps the fake honest. No test runner is needed: a case throws.
import assert from "node:assert/strict";
import { isErrno, O2cbError } from "../../ts/errors.ts";
import { beginGroupJoin, type JoinOptions } from "../../ts/membership.ts";
import type { Native } from "../../ts/native-types.ts";
import type { Step } from "../../ts/steps.ts";
import type { Volume } from "../../ts/volume.ts";

export interface StackFixture {
  native: Native;
  /** a clustered volume that nobody uses, of the running cluster and in local heartbeat mode */
  volume: Volume;
  /** `<configfs>/cluster/<name>/heartbeat/<uuid>` */
  directory: string;
}

export interface ConformanceCase {
  title: string;
  run(fixture: StackFixture): Promise<void>;
}

async function hasRegion({ native, directory }: StackFixture): Promise<boolean> {
  try {
    await native.inspectPath(directory, null);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

async function state(fixture: StackFixture): Promise<{ region: boolean; references: number | null }> {
  const set = await fixture.native.regionSemaphores(fixture.volume.uuid);
  return { region: await hasRegion(fixture), references: set === null ? null : set.references };
}

/** No region and no semaphore set. */
export async function assertClean(fixture: StackFixture): Promise<void> {
  assert.deepEqual(await state(fixture), { region: false, references: null });
}

async function fails(code: string, promise: Promise<unknown>): Promise<O2cbError> {
  const error = await promise.then(
    () => assert.fail(`it must fail with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof O2cbError, String(error));
  assert.equal(error.code, code, error.message);
  return error;
}

function begin(fixture: StackFixture, more: Partial<JoinOptions> = {}) {
  return beginGroupJoin(fixture.native, {
    volume: fixture.volume,
    service: "conformance",
    loadModules: false,
    ...more,
  });
}

export const cases: ConformanceCase[] = [
  {
    title: "begin starts the region with one reference, complete(0) keeps it, leave stops it",
    async run(fixture) {
      const join = await begin(fixture);
      assert.deepEqual(await state(fixture), { region: true, references: 1 });
      const member = await join.complete(0);
      assert.deepEqual(await state(fixture), { region: true, references: 1 });
      await member.leave();
      await assertClean(fixture);
    },
  },
  {
    title: "two services are two references, and the region goes with the last",
    async run(fixture) {
      const first = await (await begin(fixture)).complete(0);
      const second = await (await begin(fixture, { service: "another" })).complete(0);
      assert.deepEqual(await state(fixture), { region: true, references: 2 });
      await first.leave();
      assert.deepEqual(await state(fixture), { region: true, references: 1 });
      await second.leave();
      await assertClean(fixture);
    },
  },
  {
    title: "two begins at once in one process both hold",
    async run(fixture) {
      const joins = await Promise.all([begin(fixture), begin(fixture, { service: "another" })]);
      assert.deepEqual(await state(fixture), { region: true, references: 2 });
      await Promise.all(joins.map((join) => join.complete(5)));
      await assertClean(fixture);
    },
  },
  {
    title: "complete with an errno or an Error undoes begin",
    async run(fixture) {
      for (const result of [5, new Error("mount(2) failed")]) {
        const join = await begin(fixture);
        assert.equal(await join.complete(result), null);
        await assertClean(fixture);
      }
    },
  },
  {
    title: "a join completes once and a membership ends once",
    async run(fixture) {
      const join = await begin(fixture);
      const member = await join.complete(0);
      await fails("O2CB_NOT_JOINED", join.complete(0));
      await fails("O2CB_NOT_JOINED", join.complete(5));
      await member.leave();
      await fails("O2CB_NOT_JOINED", member.leave());
      await assertClean(fixture);
      const undone = await begin(fixture);
      await undone.complete(5);
      await fails("O2CB_NOT_JOINED", undone.complete(5));
      await assertClean(fixture);
    },
  },
  {
    title: "two calls on one join do not interleave",
    async run(fixture) {
      const join = await begin(fixture);
      const first = join.complete(5);
      await fails("O2CB_JOIN_IN_PROGRESS", join.complete(5));
      await first;
      await assertClean(fixture);
    },
  },
  {
    title: "await using undoes a join that was not completed, and leaves a membership",
    async run(fixture) {
      const join = await begin(fixture);
      await join[Symbol.asyncDispose]();
      await assertClean(fixture);
      const member = await (await begin(fixture)).complete(0);
      await member[Symbol.asyncDispose]();
      await member[Symbol.asyncDispose]();
      await assertClean(fixture);
    },
  },
  {
    title: "an aborted signal begins nothing",
    async run(fixture) {
      const error = await fails("O2CB_ABORTED", begin(fixture, { signal: AbortSignal.abort() }));
      assert.equal(error.outcome, "rolled-back");
      await assertClean(fixture);
    },
  },
  {
    title: "an abort while the heartbeat starts is rolled back",
    async run(fixture) {
      const controller = new AbortController();
      const onStep = (step: Step): void => {
        if (step.step === "start-heartbeat") setImmediate(() => controller.abort());
      };
      const error = await fails("O2CB_ABORTED", begin(fixture, { signal: controller.signal, onStep }));
      assert.equal(error.outcome, "rolled-back");
      await assertClean(fixture);
    },
  },
  {
    title: "a half-made region without references is replaced",
    async run(fixture) {
      await fixture.native.makeDirectory(fixture.directory);
      const steps: string[] = [];
      const join = await begin(fixture, { onStep: ({ step }) => steps.push(step) });
      assert.ok(steps.includes("discard-region") && steps.includes("create-region"), steps.join(" "));
      await join.complete(5);
      await assertClean(fixture);
    },
  },
  {
    title: "a region left beating without references is adopted, and ends with its adopter",
    async run(fixture) {
      const join = await begin(fixture);
      const lock = await fixture.native.lockRegion(fixture.volume.uuid, true, 5000);
      lock?.drop(true);
      lock?.release();
      const steps: string[] = [];
      const adopter = await (
        await begin(fixture, { service: "another", onStep: ({ step }) => steps.push(step) })
      ).complete(0);
      assert.ok(steps.includes("adopt-region") && !steps.includes("create-region"), steps.join(" "));
      await adopter.leave();
      await assertClean(fixture);
      await join.complete(5);
      await assertClean(fixture);
    },
  },
  {
    title: "a region with other settings and a user is refused, and its user keeps it",
    async run(fixture) {
      const member = await (await begin(fixture)).complete(0);
      const heartbeat = fixture.volume.heartbeat;
      assert.ok(heartbeat !== null);
      const moved = { ...fixture.volume, heartbeat: { ...heartbeat, startBlock: heartbeat.startBlock + 1n } };
      await fails("O2CB_REGION_MISMATCH", begin(fixture, { volume: moved, service: "another" }));
      assert.deepEqual(await state(fixture), { region: true, references: 1 });
      await member.leave();
      await assertClean(fixture);
    },
  },
  {
    title: "the three mismatches of a stamp keep their three codes and leave nothing",
    async run(fixture) {
      const { volume } = fixture;
      await fails(
        "O2CB_INVALID_CLUSTER_NAME",
        begin(fixture, { volume: { ...volume, cluster: "elsewhere" } }),
      );
      await fails(
        "O2CB_INVALID_HEARTBEAT_MODE",
        begin(fixture, { volume: { ...volume, heartbeatMode: "global" } }),
      );
      await fails("O2CB_STACK_MISMATCH", begin(fixture, { volume: { ...volume, stack: "pcmk" } }));
      await assertClean(fixture);
    },
  },
  {
    title: "a name that could leave the directory is refused",
    async run(fixture) {
      for (const uuid of [
        "",
        "../../etc",
        "0".repeat(31),
        fixture.volume.uuid.toLowerCase().replace(/\d/g, "a"),
      ]) {
        await fails("O2CB_INVALID_REGION_NAME", begin(fixture, { volume: { ...fixture.volume, uuid } }));
      }
      await assert.rejects(begin(fixture, { service: "/mnt" }), TypeError);
      await assertClean(fixture);
    },
  },
  {
    title: "progress says how long a start will take",
    async run(fixture) {
      const steps: Step[] = [];
      const join = await begin(fixture, { onStep: (step) => steps.push(step) });
      const start = steps.find((step) => step.step === "start-heartbeat");
      assert.ok(start?.step === "start-heartbeat" && start.expectedMs >= 4000 && start.expectedMs <= 12_000);
      await join.complete(5);
      await assertClean(fixture);
    },
  },
];
