// Our own note of each join, in /run: who joined, for what, since when. It explains references; it never outweighs the kernel.
//
// Facts relied on: a semaphore's count has no owner (group-api R9), so without notes a reference whose mount is gone cannot be
// told from one that a program holds. A note is written before the count it explains, and forgotten after the count is gone:
// a crash in between leaves a note that explains nothing, never a count without a note. One file for each join, replaced as a
// whole: writers cannot meet, and a torn note is one that does not parse. A note counts only for the boot and the heartbeat
// thread that it names: numbers and regions come again.
//
// Without a /run that can be written, joins work all the same; only what they leave behind is then less well explained.
import { errnoName, isErrno } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { bootId, processFacts } from "../process.ts";
import { emit, type OnStep } from "../steps.ts";
import { isRegionName } from "../volume.ts";
import type { Evidence } from "./audit-types.ts";

export const RECORD_DIRECTORY = "/run/ocfs2-group/joins";
const FORMAT = 1;

/** A heartbeat thread: together with the region's name it tells one life of a region from the next. */
export interface HeartbeatThread {
  pid: number;
  startTime: string;
}

export interface JoinRecord {
  /** the file's name without `.json` */
  id: string;
  bootId: string | null;
  region: string;
  /** null where the driver does not tell */
  thread: HeartbeatThread | null;
  device: string | null;
  /** `major:minor` */
  deviceNumber: string | null;
  cluster: string | null;
  service: string;
  /** whether the reference outlives its process */
  persistent: boolean;
  pid: number | null;
  startTime: string | null;
  references: number;
  /** found, not made, by this package: the reference of a superblock that another tool mounted */
  observed: boolean;
  /** a mount reference taken before its mount, by a program of its own (1.2's mount) */
  handed: boolean;
  /** mount point, a hint */
  directory: string | null;
  /** mount namespace, a hint: the text of /proc/PID/ns/mnt */
  namespace: string | null;
  /** ISO 8601 */
  time: string;
}

export type NewRecord = Pick<JoinRecord, "region" | "thread" | "service" | "persistent"> &
  Partial<Omit<JoinRecord, "id" | "bootId" | "time">>;

/** The thread that beats a region now; null where the driver does not tell. */
export async function heartbeatThread(native: Native, pid: string | null): Promise<HeartbeatThread | null> {
  if (pid === null || !/^[1-9]\d*$/.test(pid)) return null;
  const facts = await processFacts(native, Number(pid));
  return facts === null ? null : { pid: facts.pid, startTime: facts.startTime };
}

/** Fills in what is this process's own; the id is new. */
export async function newRecord(native: Native, fields: NewRecord): Promise<JoinRecord> {
  const [boot, self, namespace] = await Promise.all([
    bootId(native),
    processFacts(native, "self"),
    native.readLink("/proc/self/ns/mnt").catch(() => null),
  ]);
  return {
    device: null,
    deviceNumber: null,
    cluster: null,
    pid: self?.pid ?? null,
    startTime: self?.startTime ?? null,
    references: 1,
    observed: false,
    handed: false,
    directory: null,
    namespace,
    ...fields,
    // Two processes cannot have one number at one moment, nor one process one moment twice.
    id: `${fields.region}.${fields.service}.${process.pid}-${process.hrtime.bigint().toString(36)}`,
    bootId: boot,
    time: new Date().toISOString(),
  };
}

/** Writes the note through to /run; false, and a step, where that is not possible. */
export async function writeRecord(native: Native, record: JoinRecord, onStep?: OnStep): Promise<boolean> {
  const path = pathOf(record.id);
  try {
    await native.replaceFile(path, `${JSON.stringify({ format: FORMAT, ...record }, null, 1)}\n`, 0o600);
    return true;
  } catch (error) {
    emit(onStep, {
      step: "record-unavailable",
      region: record.region,
      path,
      reason: errnoName(error) ?? "unknown",
    });
    return false;
  }
}

/** Removes a note; one that is gone, or cannot be removed, is none of the caller's business: it explains nothing any more. */
export async function forgetRecord(native: Native, id: string, onStep?: OnStep): Promise<void> {
  const path = pathOf(id);
  try {
    await twice(() => native.removeFile(path));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    const reason = errnoName(error) ?? "unknown";
    emit(onStep, { step: "record-unavailable", region: id.slice(0, 32), path, reason });
  }
}

export interface RecordsRead {
  records: JoinRecord[];
  /** what is there and is no note: damaged, or of another format */
  damaged: Evidence[];
  /** why the directory cannot be read; null where it can, or is not there */
  problem: string | null;
}

/** Every note, or those of one region. Never throws. */
export async function readRecords(native: Native, region?: string): Promise<RecordsRead> {
  const found: RecordsRead = { records: [], damaged: [], problem: null };
  let names: string[];
  try {
    names = await twice(() => native.listFiles(RECORD_DIRECTORY));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return found;
    return { ...found, problem: `${RECORD_DIRECTORY} cannot be read (${errnoName(error) ?? "unknown"})` };
  }
  const wanted = names.filter(
    (name) => name.endsWith(".json") && !name.startsWith(".") && (!region || name.startsWith(`${region}.`)),
  );
  await Promise.all(
    wanted.map(async (name) => {
      const source = `${RECORD_DIRECTORY}/${name}`;
      try {
        const record = parseRecord(await native.readAttribute(source), name.slice(0, -".json".length));
        if (typeof record === "string") found.damaged.push({ source, says: record });
        else found.records.push(record);
      } catch (error) {
        // One that has just been forgotten.
        if (!isErrno(error, "ENOENT"))
          found.damaged.push({ source, says: `it cannot be read (${errnoName(error) ?? "unknown"})` });
      }
    }),
  );
  found.records.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : a.id < b.id ? -1 : 1));
  return found;
}

/** Removes what writers that were killed left unfinished. Never throws: such a file is seen by nobody. */
export async function sweepHalfWritten(native: Native): Promise<void> {
  const names = await native.listFiles(RECORD_DIRECTORY).catch((): string[] => []);
  await Promise.all(
    names.map(async (name) => {
      const pid = /^\..*\.json\.(\d+)\.\d+\.tmp$/.exec(name)?.[1];
      if (pid === undefined || (await processFacts(native, Number(pid))) !== null) return;
      await native.removeFile(`${RECORD_DIRECTORY}/${name}`).catch(() => {});
    }),
  );
}

/** Once more where it fails for another reason than absence: a note that stays would have to be explained away later. */
async function twice<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) throw error;
    return work();
  }
}

function pathOf(id: string): string {
  return `${RECORD_DIRECTORY}/${id}.json`;
}

/** The note, or why it is none. */
export function parseRecord(text: string, id: string): JoinRecord | string {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return "it is not JSON: its writer did not finish";
  }
  if (typeof data !== "object" || data === null || Array.isArray(data)) return "it is no record of a join";
  const value = data as Record<string, unknown>;
  if (value.format !== FORMAT)
    return `its format is ${typeof value.format === "object" ? JSON.stringify(value.format) : String(value.format)}, ${FORMAT} is expected`;
  for (const [key, fits] of Object.entries(shape))
    if (!fits(value[key])) return `its '${key}' makes no sense`;
  if (value.id !== id || !id.startsWith(`${String(value.region)}.`)) return "it is not what its name says";
  const { format: _format, ...record } = value;
  return record as unknown as JoinRecord;
}

const isText = (value: unknown): boolean => typeof value === "string" && value.length <= 4096;
const isFlag = (value: unknown): boolean => typeof value === "boolean";
const isCount = (value: unknown): boolean =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
const orNull =
  (fits: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === null || fits(value);

const shape: Record<keyof JoinRecord, (value: unknown) => boolean> = {
  id: isText,
  bootId: orNull(isText),
  region: (value) => typeof value === "string" && isRegionName(value),
  thread: orNull(
    (value) =>
      typeof value === "object" &&
      isCount((value as HeartbeatThread).pid) &&
      isText((value as HeartbeatThread).startTime),
  ),
  device: orNull(isText),
  deviceNumber: orNull((value) => typeof value === "string" && /^\d+:\d+$/.test(value)),
  cluster: orNull(isText),
  service: (value) => typeof value === "string" && value !== "" && value.length <= 64,
  persistent: isFlag,
  pid: orNull(isCount),
  startTime: orNull(isText),
  references: (value) => isCount(value) && (value as number) <= 0x7fff,
  observed: isFlag,
  handed: isFlag,
  directory: orNull(isText),
  namespace: orNull(isText),
  time: (value) => typeof value === "string" && Number.isFinite(Date.parse(value)),
};
