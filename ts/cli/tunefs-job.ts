// tunefs.ocfs2: each action as a call of the library, and its result as lines.
//
// Facts relied on: the C tool's statuses are the low byte of its error's number (group-api 7; measured: 2, 8, 19, 21, 25), which is 0, a success, for
// the first of a table: there this says 1. It asks before a given UUID and before an update of the cluster stack, and a no is a success.
import { isCode } from "../errors.ts";
import type { TuneQuestion } from "../tune/request.ts";
import type { TuneVolumeResult } from "../tune/tune-volume.ts";
import type { UndoResult } from "../tune/undo.ts";
import type { Arguments } from "./argv.ts";
import type { Statuses } from "./exit-status.ts";
import type { Job, JobContext, JobResult } from "./job.ts";
import { askPerson } from "./question.ts";
import { tunefsLibrary, type TunefsLibrary } from "./tunefs-library.ts";
import { tunefsRequest, type TunefsRequest } from "./tunefs-request.ts";
import { tunefsSyntax } from "./tunefs-syntax.ts";

const FAILURE = 1;

const tunefsStatuses: Statuses = {
  success: 0,
  usage: FAILURE,
  internal: FAILURE,
  of(error) {
    if (isCode(error, "O2CB_VOLUME_IN_USE")) return 25;
    if (isCode(error, "O2CB_INVALID_HEARTBEAT_MODE")) return 21;
    if (isCode(error, "O2CB_INVALID_STACK_NAME")) return 19;
    if (isCode(error, "O2CB_BAD_SUPERBLOCK")) return 8;
    return isCode(error, "O2CB_IO") ? 2 : FAILURE;
  },
};

/** Errors of `run`: UsageError, and those of the library. */
export function tunefsJob(library: TunefsLibrary = tunefsLibrary, ask: typeof askPerson = askPerson): Job {
  return {
    syntax: tunefsSyntax,
    statuses: () => tunefsStatuses,
    hasPlainSteps: true,
    async run(args, context) {
      const request = tunefsRequest(args);
      const result = await perform(library, request, context, ask);
      return args.count("quiet") > 0 && request.action !== "query"
        ? { ...result, lines: [], notices: [] }
        : result;
    },
  };
}

/** The check of a command line alone. */
export function checkTunefs(args: Arguments): void {
  tunefsRequest(args);
}

async function perform(
  library: TunefsLibrary,
  request: TunefsRequest,
  { native, signal, onStep }: JobContext,
  ask: typeof askPerson,
): Promise<JobResult> {
  const { device, answer, dryRun } = request;
  const confirm = async (question: TuneQuestion): Promise<boolean> =>
    answer === "ask" ? ask(questionText(question), signal) : answer === "yes";
  const options = { confirm, signal, onStep, dryRun };
  if (request.action === "query") {
    const query = await library.queryVolume(native, { device, signal });
    const { labelBytes: _, ...data } = query;
    return { data, raw: request.format(query), details: [], notices: differing(query.differingBackups) };
  }
  if (request.action === "undo") {
    const undone = await library.undoTune(native, { device, file: request.file, ...options });
    return { data: undone, lines: undoLines(undone), details: [], notices: [] };
  }
  const tuned = await library.tuneVolume(native, { ...request.tune, ...options });
  return { data: tuned, lines: tuneLines(tuned), details: [], notices: [] };
}

function differing(offsets: readonly number[]): string[] {
  if (offsets.length === 0) return [];
  return [
    `the backups of the superblock at byte ${offsets.join(", ")} say something else than it does; any change of the volume puts them right`,
  ];
}

function questionText(question: TuneQuestion): string {
  const { device } = question;
  if (question.about === "uuid")
    return (
      `Two volumes with one UUID use each other's heartbeat and locks, which can destroy both. ` +
      `Give '${device}' the UUID ${question.uuid}, which no other volume has?`
    );
  const move = `from ${question.from} to ${question.to}`;
  return (
    `No lock can tell whether another node uses '${device}', since it does not belong to the running cluster. ` +
    `Is it mounted nowhere, and shall it go ${move}?`
  );
}

function tuneLines({ device, outcome, uuid, writes, undoFile }: TuneVolumeResult): string[] {
  if (outcome === "unchanged") return [`'${device}' is as wanted already: nothing was written`];
  if (outcome === "declined") return [`'${device}' was not changed`];
  if (outcome === "planned") {
    return writes.flatMap(({ offset, isBackup, fields }) =>
      fields.map(
        (one) =>
          `would write ${one.field} at byte ${one.offset} of '${device}' (${isBackup ? "backup" : "superblock"} at ${offset}): ` +
          `${trimmed(one.old)} -> ${trimmed(one.new)}`,
      ),
    );
  }
  const fields = [...new Set(writes.flatMap((write) => write.fields.map((one) => one.field)))];
  const changed = fields.filter((field) => field !== "check").join(", ");
  const lines = [
    `'${device}' changed: ${changed}${uuid.old === uuid.new ? "" : `; its UUID is ${uuid.new}`}`,
  ];
  if (undoFile !== null) lines.push(`the way back: tunefs.ocfs2 --undo ${undoFile} ${device}`);
  return lines;
}

function undoLines({ device, outcome, offsets }: UndoResult): string[] {
  if (outcome === "unchanged") return [`'${device}' is what it was before already: nothing was written`];
  if (outcome === "declined") return [`'${device}' was not changed`];
  const places = offsets.join(", ");
  return outcome === "planned"
    ? [`would put back the superblocks at byte ${places} of '${device}'`]
    : [`'${device}' is what it was before; written at byte ${places}`];
}

/** Hexadecimal digits without the zero bytes at the end. */
function trimmed(hex: string): string {
  return hex.replace(/(00)+$/, "") || "00";
}
