// Whose the references of one region are, looked up for those who hold its mutex.
//
// Facts relied on: those of accounting.ts, which decides.
import { readHint } from "../attributes.ts";
import type { Native } from "../native-types.ts";
import { bootId, processFacts } from "../process.ts";
import { account, type Account } from "./accounting.ts";
import type { Holder, LivenessState } from "./audit-types.ts";
import { heartbeatThread, readRecords, type JoinRecord } from "./record.ts";

export interface MountAccount extends Account {
  /** the superblock's own share */
  own: Holder | null;
  records: JoinRecord[];
}

/** Whose the references of one region are, as if its superblock were in this state. */
export async function mountAccount(
  native: Native,
  { region, directory }: { region: string; directory: string },
  references: number,
  superblock: LivenessState,
): Promise<MountAccount> {
  const [boot, { records, damaged }, pid] = await Promise.all([
    bootId(native),
    readRecords(native, region),
    readHint(native, `${directory}/pid`),
  ]);
  const running = new Set<string>();
  await Promise.all(
    records.map(async ({ id, pid: number, startTime }) => {
      if (number === null) return;
      if ((await processFacts(native, number))?.startTime === startTime) running.add(id);
    }),
  );
  const accounted = account({
    references,
    superblock,
    mountedOn: null,
    thread: await heartbeatThread(native, pid?.trim() ?? null),
    records,
    hasUnreadable: damaged.length > 0,
    othersLeave: false,
    bootId: boot,
    isRunning: ({ id }) => running.has(id),
    now: Date.now(),
  });
  const own = accounted.holders.find(({ kind }) => kind === "mount") ?? null;
  return { ...accounted, own, records };
}
