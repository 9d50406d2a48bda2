// What the contract means for the classic stack, whose group is a heartbeat region with references: these cases run beside those of
// cluster-stack.ts, over the fake kernel and on a real one.
import assert from "node:assert/strict";
import { isErrno } from "../../ts/errors.ts";
import type { Native } from "../../ts/native-types.ts";
import type { Step } from "../../ts/steps.ts";
import type { Volume } from "../../ts/volume.ts";
import { begin, cases, fails, type ConformanceCase, type StackFixture } from "./cluster-stack.ts";

export interface RegionFixture extends StackFixture {
  /** `<configfs>/cluster/<name>/heartbeat/<uuid>` */
  directory: string;
}

export type RegionSettings = Pick<StackFixture, "native" | "volume" | "mount"> &
  Pick<RegionFixture, "directory">;

/** The classic stack's own terms: a region that is there, and the references of its semaphore set. */
export function regionFixture(settings: RegionSettings): RegionFixture {
  const { native, volume, directory } = settings;
  return {
    ...settings,
    concurrent: true,
    mismatches: [
      { change: { cluster: "elsewhere" }, code: "O2CB_INVALID_CLUSTER_NAME" },
      { change: { heartbeatMode: "global" }, code: "O2CB_INVALID_HEARTBEAT_MODE" },
      { change: { stack: "pcmk" }, code: "O2CB_INVALID_STACK_NAME" },
    ],
    async held() {
      const { region, references } = await stateOf(native, volume, directory);
      assert.equal(region, references !== null, "a region and its semaphore set come and go together");
      return references ?? 0;
    },
    async assertClean() {
      assert.deepEqual(await stateOf(native, volume, directory), { region: false, references: null });
    },
  };
}

async function stateOf(
  native: Native,
  volume: Volume,
  directory: string,
): Promise<{ region: boolean; references: number | null }> {
  const set = await native.regionSemaphores(volume.uuid);
  return { region: await isThere(native, directory), references: set === null ? null : set.references };
}

async function isThere(native: Native, directory: string): Promise<boolean> {
  try {
    await native.inspectPath(directory, null);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

const regionCases: readonly ConformanceCase<RegionFixture>[] = [
  {
    title: "an abort while the heartbeat starts is rolled back",
    async run(fixture) {
      const controller = new AbortController();
      const onStep = (step: Step): void => {
        if (step.step === "start-heartbeat") setImmediate(() => controller.abort());
      };
      const error = await fails("O2CB_ABORTED", begin(fixture, { signal: controller.signal, onStep }));
      assert.equal(error.outcome, "rolled-back");
      await fixture.assertClean();
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
      await fixture.assertClean();
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
      await fixture.assertClean();
      await join.complete(5);
      await fixture.assertClean();
    },
  },
  {
    title: "a region with other settings and a user is refused, and its user keeps it",
    async run(fixture) {
      const member = await (await begin(fixture)).complete(0);
      const { heartbeat } = fixture.volume;
      assert.ok(heartbeat !== null);
      const moved = { ...fixture.volume, heartbeat: { ...heartbeat, startBlock: heartbeat.startBlock + 1n } };
      await fails("O2CB_REGION_MISMATCH", begin(fixture, { volume: moved, service: "another" }));
      assert.equal(await fixture.held(), 1);
      await member.leave();
      await fixture.assertClean();
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
      await fixture.assertClean();
    },
  },
];

/** All that the classic stack has to show. */
export const classicCases: readonly ConformanceCase<RegionFixture>[] = [...cases, ...regionCases];
