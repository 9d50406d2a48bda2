// Whose are the references of a region? A pure function over what was seen; audit and reap both decide by it.
//
// Facts relied on: the count has no owners (group-api R9); the kernel drops a dead process's reference itself (SEM_UNDO), so the
// note of a process that has ended explains nothing; a superblock has one mount reference, whoever mounted it (architecture, rule 1).
import type { Holder, LivenessState } from "./audit-types.ts";
import type { HeartbeatThread, JoinRecord } from "./record.ts";
import { MOUNT_SERVICE } from "../stack/cluster-stack.ts";

/** How long a reference that was taken for a mount may wait for it: longer than a mount can take (kernel-abi 1.8, 7.2). */
const HANDED_MS = 300_000;

export interface Seen {
  references: number;
  superblock: LivenessState;
  /** where the superblock is mounted, for the person who reads */
  mountedOn: string | null;
  /** of the region now; null where the driver does not tell, `none` where there is no region */
  thread: HeartbeatThread | null | "none";
  /** of this start of the host; null where /proc does not tell */
  bootId: string | null;
  records: readonly JoinRecord[];
  /** notes of the region are there that cannot be read: what looks like a leftover may be what they explain */
  hasUnreadable?: boolean;
  /** the kernel runs a foreign program at the end of a superblock, which drops its reference and knows nothing of our notes */
  othersLeave: boolean;
  /** whether the process of a record still runs */
  isRunning: (record: JoinRecord) => boolean;
  /** milliseconds since 1970 */
  now: number;
}

export interface Account {
  holders: Holder[];
  /** references of mounts that are gone */
  stale: number;
  /** references that nothing accounts for */
  unexplained: number;
  /** ids of the records that mean nothing any more, those of stale references included */
  staleRecords: string[];
}

export function account(seen: Seen): Account {
  const holders: Holder[] = [];
  const staleRecords: string[] = [];
  let stale = 0;
  const mounts: JoinRecord[] = [];
  for (const record of seen.records) {
    const running = seen.isRunning(record);
    // A join that has just begun: it counts nothing yet, and its region need not be there.
    if (isBeginning(record, seen) && running) holders.push(holderOf(record, "process"));
    else if (isOfEarlierLife(record, seen) || (!record.persistent && !running)) staleRecords.push(record.id);
    else if (!record.persistent) holders.push(holderOf(record, "process"));
    else if (record.service !== MOUNT_SERVICE) holders.push(holderOf(record, "kept"));
    else mounts.push(record);
  }
  if (seen.superblock === "alive") {
    const recorded = mounts.reduce((sum, { references }) => sum + references, 0);
    const others = holders.reduce((sum, { references }) => sum + references, 0);
    const [first] = mounts;
    // Without a note the C tool mounted it: its mount took one, and so did a note that was lost.
    const own = Math.min(Math.max(recorded, 1), Math.max(0, seen.references - others));
    holders.push({
      service: MOUNT_SERVICE,
      kind: "mount",
      references: own,
      pid: first?.pid ?? null,
      directory: seen.mountedOn ?? first?.directory ?? null,
      since: first?.time ?? null,
      recorded: first !== undefined,
    });
  } else {
    for (const record of mounts) {
      const mayStillMount =
        (record.handed && seen.now - Date.parse(record.time) < HANDED_MS) || seen.superblock === "unknown";
      if (mayStillMount) holders.push(holderOf(record, "mount"));
      else if (!seen.hasUnreadable) {
        if (!seen.othersLeave) stale += record.references;
        staleRecords.push(record.id);
      }
    }
  }
  const explained = holders.reduce((sum, { references }) => sum + references, 0);
  stale = Math.min(stale, Math.max(0, seen.references - explained));
  return { holders, stale, unexplained: Math.max(0, seen.references - explained - stale), staleRecords };
}

function isBeginning({ references, persistent, ...record }: JoinRecord, { bootId }: Seen): boolean {
  const isOfNow = record.bootId === null || bootId === null || record.bootId === bootId;
  return isOfNow && references === 0 && !persistent;
}

function isOfEarlierLife(record: JoinRecord, { thread, bootId }: Seen): boolean {
  if (record.bootId !== null && bootId !== null && record.bootId !== bootId) return true;
  if (thread === "none") return true;
  if (record.thread === null || thread === null) return false;
  return record.thread.pid !== thread.pid || record.thread.startTime !== thread.startTime;
}

function holderOf(record: JoinRecord, kind: Holder["kind"]): Holder {
  const { service, references, pid, directory, time } = record;
  return { service, kind, references, pid, directory, since: time, recorded: true };
}
