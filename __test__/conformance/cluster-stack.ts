// The contract of a cluster stack as a list of cases, the same for every stack: what a stack holds for a join, the fixture tells in the
// stack's own terms. They run over the fake kernel in ava, and over the real module on real kernels in the lab (guest-scripts/), which
// keeps the fake honest. No test runner is needed: a case throws.
//
// What only the classic stack has, heartbeat regions and their references, is in heartbeat-regions.ts.
import assert from "node:assert/strict";
import { constants } from "node:os";
import type { ErrorCode } from "../../ts/error-codes.ts";
import { O2cbError } from "../../ts/errors.ts";
import { beginGroupJoin, type GroupJoin, type JoinOptions } from "../../ts/membership.ts";
import type { Native } from "../../ts/native-types.ts";
import { MOUNT_SERVICE } from "../../ts/stack/cluster-stack.ts";
import type { Step } from "../../ts/steps.ts";
import type { Volume } from "../../ts/volume.ts";

/** A stamp that does not fit the running cluster, and how a join is refused for it. */
export interface Mismatch {
  change: Partial<Pick<Volume, "cluster" | "heartbeatMode" | "stack">>;
  code: ErrorCode;
}

export interface StackFixture {
  native: Native;
  /** a clustered volume that nobody uses, of the running cluster */
  volume: Volume;
  /** how many joins this node is counted with, by whatever counts them; null where the stack counts none */
  held(): Promise<number | null>;
  /** fails, naming it, where anything is left of a join */
  assertClean(): Promise<void>;
  /** whether a join can begin while another of the volume is between begin and complete */
  concurrent: boolean;
  /** the cluster's name, the heartbeat mode, the stack: those that the stack has */
  mismatches: readonly Mismatch[];
  /** mount(2) of the volume on a directory that is free; the function given unmounts it there. Absent where nothing can be mounted. */
  mount?(): Promise<() => Promise<unknown>>;
}

export interface ConformanceCase<F extends StackFixture = StackFixture> {
  title: string;
  run(fixture: F): Promise<void>;
}

export async function fails(code: ErrorCode, promise: Promise<unknown>): Promise<O2cbError> {
  const error = await promise.then(
    () => assert.fail(`it must fail with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof O2cbError, String(error));
  assert.equal(error.code, code, error.message);
  return error;
}

export function begin(fixture: StackFixture, more: Partial<JoinOptions> = {}): Promise<GroupJoin> {
  return beginGroupJoin(fixture.native, {
    volume: fixture.volume,
    service: "conformance",
    loadModules: false,
    ...more,
  });
}

/** So many joins, as far as the stack counts them. */
export async function assertHeld(fixture: StackFixture, joins: number): Promise<void> {
  const held = await fixture.held();
  if (held !== null) assert.equal(held, joins);
}

export const cases: readonly ConformanceCase[] = [
  {
    title: "begin joins, complete(0) keeps it, leave ends it",
    async run(fixture) {
      const join = await begin(fixture);
      await assertHeld(fixture, 1);
      const member = await join.complete(0);
      await assertHeld(fixture, 1);
      assert.equal(member.region, fixture.volume.uuid);
      await member.leave();
      await fixture.assertClean();
    },
  },
  {
    title: "two services are two members, and the group goes with the last",
    async run(fixture) {
      const first = await (await begin(fixture)).complete(0);
      const second = await (await begin(fixture, { service: "another" })).complete(0);
      await assertHeld(fixture, 2);
      await first.leave();
      await assertHeld(fixture, 1);
      await second.leave();
      await fixture.assertClean();
    },
  },
  {
    title: "two begins at once in one process both hold, or the second is told that one is under way",
    async run(fixture) {
      const begun = await Promise.allSettled([begin(fixture), begin(fixture, { service: "another" })]);
      const joins = begun.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      const refused = begun.flatMap((one) => (one.status === "rejected" ? [String(one.reason)] : []));
      assert.equal(joins.length, fixture.concurrent ? 2 : 1, refused.join("; "));
      await assertHeld(fixture, joins.length);
      await Promise.all(joins.map((join) => join.complete(5)));
      await fixture.assertClean();
    },
  },
  {
    title: "complete with an errno or an Error undoes begin",
    async run(fixture) {
      for (const result of [5, new Error("mount(2) failed")]) {
        const join = await begin(fixture);
        assert.equal(await join.complete(result), null);
        await fixture.assertClean();
      }
    },
  },
  {
    title: "the join of a mount that failed leaves nothing, and can be made again",
    async run(fixture) {
      for (let round = 0; round < 2; round++) {
        const join = await begin(fixture, { service: MOUNT_SERVICE });
        await assertHeld(fixture, 1);
        await join.complete(constants.errno.EINVAL);
        await fixture.assertClean();
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
      await fixture.assertClean();
      const undone = await begin(fixture);
      await undone.complete(5);
      await fails("O2CB_NOT_JOINED", undone.complete(5));
      await fixture.assertClean();
    },
  },
  {
    title: "two calls on one join do not interleave",
    async run(fixture) {
      const join = await begin(fixture);
      const first = join.complete(5);
      await fails("O2CB_JOIN_IN_PROGRESS", join.complete(5));
      await first;
      await fixture.assertClean();
    },
  },
  {
    title: "await using undoes a join that was not completed, and leaves a membership",
    async run(fixture) {
      const join = await begin(fixture);
      await join[Symbol.asyncDispose]();
      await fixture.assertClean();
      const member = await (await begin(fixture)).complete(0);
      await member[Symbol.asyncDispose]();
      await member[Symbol.asyncDispose]();
      await fixture.assertClean();
    },
  },
  {
    title: "an aborted signal begins nothing",
    async run(fixture) {
      const error = await fails("O2CB_ABORTED", begin(fixture, { signal: AbortSignal.abort() }));
      assert.equal(error.outcome, "rolled-back");
      await fixture.assertClean();
    },
  },
  {
    title: "a join that is given up while it begins is rolled back, unless it has begun",
    async run(fixture) {
      for (const turns of [0, 1, 2, 5]) {
        const controller = new AbortController();
        const joining = begin(fixture, { signal: controller.signal }).then(
          (join) => join,
          (error: unknown) => error,
        );
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
        controller.abort();
        const end = await joining;
        if (end instanceof O2cbError) {
          assert.equal(end.code, "O2CB_ABORTED", end.message);
          assert.equal(end.outcome, "rolled-back");
        } else await (end as GroupJoin).complete(constants.errno.ECANCELED);
        await fixture.assertClean();
      }
    },
  },
  {
    title: "a second mount of a mounted volume shares its membership, which ends with the last",
    async run(fixture) {
      if (fixture.mount === undefined) return;
      const first = await begin(fixture, { service: MOUNT_SERVICE });
      const unmountFirst = await fixture.mount();
      const member = await first.complete(0);
      await assertHeld(fixture, 1);
      const second = await begin(fixture, { service: MOUNT_SERVICE });
      const unmountSecond = await fixture.mount();
      await second.complete(0);
      await assertHeld(fixture, 1);
      const failing = await begin(fixture, { service: MOUNT_SERVICE });
      await failing.complete(constants.errno.EBUSY);
      await assertHeld(fixture, 1);
      await unmountFirst();
      await fails("O2CB_REGION_IN_USE", member.leave());
      await unmountSecond();
      await member.leave();
      await fixture.assertClean();
    },
  },
  {
    title: "the mismatches of a stamp have their codes and leave nothing",
    async run(fixture) {
      const { volume, mismatches } = fixture;
      const member = await (await begin(fixture)).complete(0);
      // A stack that is in use cannot be taken away by a volume of another.
      const unmount = await fixture.mount?.();
      try {
        for (const { change, code } of mismatches)
          await fails(code, begin(fixture, { service: "another", volume: { ...volume, ...change } }));
        await assertHeld(fixture, 1);
      } finally {
        await unmount?.();
        await member.leave();
      }
      await fixture.assertClean();
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
      for (const service of ["/mnt", "", "two words", "a".repeat(65)])
        await assert.rejects(begin(fixture, { service }), TypeError);
      await fixture.assertClean();
    },
  },
  {
    title: "a join tells of the running cluster, and last that it is complete",
    async run(fixture) {
      const steps: Step["step"][] = [];
      const join = await begin(fixture, { onStep: ({ step }) => steps.push(step) });
      const member = await join.complete(0);
      assert.ok(steps.includes("cluster") && steps.at(-1) === "complete", steps.join(" "));
      await member.leave();
      await fixture.assertClean();
    },
  },
];
