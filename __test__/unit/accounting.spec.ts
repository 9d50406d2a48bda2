// Whose the references of a region are: the rules, and a property that holds for whatever is recorded.
import test from "ava";
import * as fc from "fast-check";
import { account, type Seen } from "../../ts/region/accounting.ts";
import type { JoinRecord } from "../../ts/region/record.ts";

const REGION = "77D95EF51C0149D2823674FCC162CF8B";
const THREAD = { pid: 300, startTime: "1000" };
const NOW = Date.parse("2026-01-01T00:10:00Z");

function record(fields: Partial<JoinRecord>): JoinRecord {
  return {
    id: `${REGION}.${fields.service ?? "ocfs2"}.${JSON.stringify(fields).length}`,
    bootId: "boot",
    region: REGION,
    thread: THREAD,
    device: "/dev/vda",
    deviceNumber: "254:0",
    cluster: "lab",
    service: "ocfs2",
    persistent: true,
    pid: 42,
    startTime: "7",
    references: 1,
    observed: false,
    handed: false,
    directory: "/vol",
    namespace: null,
    time: "2026-01-01T00:00:00.000Z",
    ...fields,
  };
}

function seen(fields: Partial<Seen>): Seen {
  return {
    references: 0,
    superblock: "dead",
    mountedOn: null,
    thread: THREAD,
    bootId: "boot",
    records: [],
    othersLeave: false,
    isRunning: () => false,
    now: NOW,
    ...fields,
  };
}

const running = (): boolean => true;

test("a live superblock holds one reference, with a note of it or without", (t) => {
  for (const records of [[record({})], []]) {
    const { holders, stale, unexplained } = account(seen({ references: 1, superblock: "alive", records }));
    t.deepEqual([holders.length, holders[0]?.kind, holders[0]?.references], [1, "mount", 1]);
    t.deepEqual([stale, unexplained], [0, 0]);
  }
});

test("what a live superblock and programs do not account for is unexplained", (t) => {
  const tool = record({ service: "fsck.ocfs2", persistent: false });
  const { unexplained, stale } = account(
    seen({ references: 4, superblock: "alive", records: [tool], isRunning: running }),
  );
  t.deepEqual([unexplained, stale], [2, 0]);
});

test("a mount whose superblock is gone leaves a stale reference; a program of the past leaves none", (t) => {
  const gone = record({});
  const ended = record({ service: "fsck.ocfs2", persistent: false });
  const result = account(seen({ references: 1, records: [gone, ended] }));
  t.is(result.stale, 1);
  t.is(result.unexplained, 0);
  t.deepEqual(result.holders, []);
  t.deepEqual(result.staleRecords.toSorted(), [gone.id, ended.id].toSorted());
});

test("a note of an earlier heartbeat explains nothing: the reference that is there is another's", (t) => {
  const old = record({ thread: { pid: 300, startTime: "999" } });
  const result = account(seen({ references: 1, records: [old] }));
  t.deepEqual([result.stale, result.unexplained, result.staleRecords], [0, 1, [old.id]]);
});

test("a note of an earlier start of the host explains nothing either", (t) => {
  const result = account(
    seen({ references: 1, superblock: "alive", bootId: "other", records: [record({})] }),
  );
  t.deepEqual([result.holders[0]?.recorded, result.staleRecords.length], [false, 1]);
});

test("a reference kept for a service stays whatever becomes of its process", (t) => {
  const result = account(seen({ references: 1, records: [record({ service: "agent" })] }));
  t.deepEqual([result.stale, result.unexplained, result.holders[0]?.kind], [0, 0, "kept"]);
});

test("a reference handed to a mount to come is given time, and then is stale", (t) => {
  const recent = record({ handed: true, time: "2026-01-01T00:09:00.000Z" });
  t.is(account(seen({ references: 1, records: [recent] })).stale, 0);
  const old = record({ handed: true, time: "2026-01-01T00:00:00.000Z" });
  t.is(account(seen({ references: 1, records: [old] })).stale, 1);
});

test("where a foreign program leaves for the kernel, a note whose superblock is gone is only a note", (t) => {
  const result = account(seen({ references: 1, records: [record({})], othersLeave: true }));
  t.deepEqual([result.stale, result.unexplained, result.staleRecords.length], [0, 1, 1]);
});

test("where it cannot be told whether the superblock lives, nothing is stale", (t) => {
  const result = account(seen({ references: 1, superblock: "unknown", records: [record({})] }));
  t.deepEqual([result.stale, result.unexplained], [0, 0]);
});

test("a join that has just begun explains nothing, and is no leftover while its process runs", (t) => {
  const beginning = record({ persistent: false, references: 0, thread: null });
  const during = account(seen({ thread: "none", records: [beginning], isRunning: running }));
  t.deepEqual([during.holders.length, during.staleRecords], [1, []]);
  const beside = account(seen({ references: 1, records: [beginning], isRunning: running }));
  t.is(beside.unexplained, 1);
  const after = account(seen({ thread: "none", records: [beginning] }));
  t.deepEqual(after.staleRecords, [beginning.id]);
});

test("property: a reap never takes more than there is, nor what somebody holds", (t) => {
  const records = fc.array(
    fc.record({
      service: fc.constantFrom("ocfs2", "agent", "fsck.ocfs2"),
      persistent: fc.boolean(),
      references: fc.integer({ min: 0, max: 3 }),
      observed: fc.boolean(),
      handed: fc.boolean(),
      pid: fc.option(fc.integer({ min: 1, max: 4 }), { nil: null }),
      thread: fc.constantFrom(THREAD, null, { pid: 1, startTime: "1" }),
      time: fc.constantFrom("2026-01-01T00:00:00.000Z", "2026-01-01T00:09:59.000Z"),
    }),
    { maxLength: 6 },
  );
  const run = fc.check(
    fc.property(
      records,
      fc.integer({ min: 0, max: 8 }),
      fc.constantFrom("alive" as const, "dead" as const, "unknown" as const),
      fc.boolean(),
      (made, references, superblock, othersLeave) => {
        const all = made.map((fields, index) => record({ ...fields, id: `${REGION}.x.${index}` }));
        const isRunning = ({ pid }: JoinRecord): boolean => pid !== null && pid % 2 === 0;
        const result = account(seen({ references, superblock, othersLeave, records: all, isRunning }));
        const held = result.holders.reduce((sum, holder) => sum + holder.references, 0);
        return (
          result.stale >= 0 &&
          result.unexplained >= 0 &&
          result.stale + result.unexplained === Math.max(0, references - held) &&
          (superblock === "dead" || result.stale === 0) &&
          (superblock !== "alive" ||
            references === 0 ||
            held >= 1 ||
            all.some(({ references: count }) => count === 0))
        );
      },
    ),
    { numRuns: 2000 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
});
