// A change of what a volume's superblock says: label, UUID, local or cluster mount, the cluster's stamp.
//
// The order: look without a lock, and end there if nothing is to be done; ask; keep everybody else away; read again, since somebody may have been
// faster; write the old bytes into the undo file; write; read all of it once more. A power cut anywhere in it leaves the old superblock or the new.
//
// The join is begun with the UUID that the volume has then, and left by what was joined, whatever the superblock says meanwhile (group-api 8.2, B21).
// What is not changed here, and why: features, slots, journals and sizes take more than a superblock.
import { O2cbError } from "../errors.ts";
import type { Native, SuperblockChange, Superblocks } from "../native-types.ts";
import { emit } from "../steps.ts";
import { openWithFacts, type Volume } from "../volume.ts";
import { withVolumeGuarded, type GuardOptions } from "./guard.ts";
import { plannedWrites, type PlannedWrite } from "./planned-writes.ts";
import { wantedOf, type TuneVolumeRequest, type Wanted } from "./request.ts";
import { homeText, runningStamp, stampFor, stampText } from "./stamp.ts";
import { changedCopies, defaultUndoPath, undoOf, writeUndoFile } from "./undo-file.ts";
import { writeCopies } from "./write-copies.ts";

export interface TuneVolumeResult {
  device: string;
  /** `unchanged`: the volume was as wanted already; `declined`: somebody said no */
  outcome: "changed" | "unchanged" | "declined" | "planned";
  /** as it was, and as it is or would be */
  uuid: { old: string; new: string };
  writes: PlannedWrite[];
  /** null where nothing was written, or none was wanted */
  undoFile: string | null;
}

/** What is known before anything is locked. */
interface Looked {
  volume: Volume;
  change: SuperblockChange;
  superblocks: Superblocks;
  /** the stamps, where the volume goes to another cluster */
  from: string;
  to: string | null;
}

/**
 * Errors: TypeError and RangeError for a wrong request; O2CB_VOLUME_IN_USE (by whom, where known); O2CB_UNSUPPORTED_VOLUME (a feature or a state that
 * this version does not know, recovery needed, a damaged copy); O2CB_BAD_UNDO_FILE, then nothing was written; O2CB_VERIFY_FAILED and those of the
 * device, then what was written is put back; those of openVolume and withVolumeLocked.
 */
export async function tuneVolume(
  native: Native,
  request: TuneVolumeRequest,
  options: Pick<GuardOptions, "pause"> = {},
): Promise<TuneVolumeResult> {
  const wanted = wantedOf(request);
  const { device, signal, onStep, dryRun = false } = request;
  const looked = await look(native, request, wanted);
  const { volume, change, superblocks } = looked;
  const newUuid = change.uuid ?? superblocks.uuid;
  const result = (
    outcome: TuneVolumeResult["outcome"],
    undoFile: string | null = null,
  ): TuneVolumeResult => ({
    device,
    outcome,
    uuid: { old: superblocks.uuid, new: newUuid },
    writes: plannedWrites(superblocks),
    undoFile,
  });
  requireWritable(superblocks);
  if (changedCopies(superblocks).length === 0) return result("unchanged");
  if (dryRun) return result("planned");
  const by = wanted.isStackUpdate && looked.to !== null && !volume.isLocal ? "claim" : "lock";
  if (!(await isConfirmed(request, wanted, looked, by))) return result("declined");
  requireBlockDevice(volume);
  const guard = { ...options, loadModules: request.loadModules, signal, onStep };
  return await withVolumeGuarded(native, volume, by, guard, async () => {
    const now = await native.readSuperblocks(device, change, { signal });
    requireSame(superblocks, now);
    requireWritable(now);
    const undo = undoOf(now, newUuid, new Date());
    const path = request.undoFile === undefined ? defaultUndoPath(undo) : request.undoFile;
    if (path !== null && undo.writes.length > 0) {
      await writeUndoFile(native, path, undo, signal);
      emit(onStep, { step: "undo-file", path });
    }
    await writeCopies(native, device, undo.writes, { signal, onStep });
    await requireDone(native, device, change);
    return { ...result("changed", path), writes: plannedWrites(now) };
  });
}

async function look(native: Native, request: TuneVolumeRequest, wanted: Wanted): Promise<Looked> {
  const { device, signal, onStep, loadModules } = request;
  const { volume, facts } = await openWithFacts(native, device, {
    ...{ signal, onStep },
    anyStack: wanted.isStackUpdate,
  });
  const change = { ...wanted.change };
  let to: string | null = null;
  // A cluster's volume is one already, whichever cluster's; and one node's volume has no stamp to update.
  const comesToCluster = volume.isLocal ? change.local === false : wanted.isStackUpdate;
  if (comesToCluster) {
    const running = await runningStamp(native, { signal, onStep, loadModules });
    const target = stampFor(facts, running);
    if (!("same" in target)) {
      change.stamp = target.stamp;
      to = stampText(target.stamp);
    }
  }
  const superblocks = await native.readSuperblocks(device, change, { signal });
  return { volume, change, superblocks, from: homeText(facts), to };
}

async function isConfirmed(
  { device, confirm }: TuneVolumeRequest,
  wanted: Wanted,
  { change, from, to, superblocks }: Looked,
  by: "lock" | "claim",
): Promise<boolean> {
  const ask = (
    question: Parameters<Exclude<typeof confirm, true | undefined>>[0],
  ): Promise<boolean> | boolean => {
    if (confirm === undefined)
      throw new TypeError(
        `tuneVolume: this needs the caller's confirmation (${question.about}), and confirm is absent`,
      );
    return confirm === true || confirm(question);
  };
  const { uuid } = change;
  if (wanted.isUuidGiven && uuid !== undefined && uuid !== superblocks.uuid) {
    if (!(await ask({ about: "uuid", device, uuid }))) return false;
  }
  return by === "lock" || to === null || (await ask({ about: "cluster-stack", device, from, to }));
}

/** Errors: O2CB_UNSUPPORTED_VOLUME. */
export function requireWritable({ device, copies, isReadOnly }: Superblocks): void {
  const fields = { operation: "tune-volume", path: device };
  if (isReadOnly)
    throw new O2cbError("O2CB_PERMISSION_DENIED", `the device '${device}' is read-only`, fields);
  for (const { offset, problem } of copies) {
    if (problem === null) continue;
    const what = offset === copies[0]?.offset ? "superblock" : "backup of the superblock";
    throw new O2cbError(
      "O2CB_UNSUPPORTED_VOLUME",
      `the ${what} of '${device}' at byte ${offset} is left alone: ${problem}`,
      fields,
    );
  }
}

/** An image of one node's volume will do; heartbeat and claim need a device. */
export function requireBlockDevice({ device, isBlockDevice, isLocal }: Volume): void {
  if (isBlockDevice || isLocal) return;
  throw new O2cbError("O2CB_BAD_DEVICE", `'${device}' is not a block device`, {
    operation: "tune-volume",
    path: device,
    remedy: "an image file needs a loop device: losetup --find --show FILE",
  });
}

/** Errors: O2CB_VOLUME_IN_USE where it is another volume now, since somebody was faster. */
export function requireSame(before: Superblocks, now: Superblocks): void {
  const identity = ({ uuid, deviceNumber, blockBytes, systemBlock }: Superblocks): string =>
    [uuid, deviceNumber?.major, deviceNumber?.minor, blockBytes, systemBlock].join(" ");
  if (identity(before) === identity(now)) return;
  throw new O2cbError(
    "O2CB_VOLUME_IN_USE",
    `'${now.device}' holds another volume than a moment ago: ${now.uuid} in the place of ${before.uuid}`,
    { operation: "tune-volume", path: now.device, remedy: "see who works on the device, then run it again" },
  );
}

/** Errors: O2CB_VERIFY_FAILED. */
async function requireDone(native: Native, device: string, change: SuperblockChange): Promise<void> {
  const left = changedCopies(await native.readSuperblocks(device, change));
  if (left.length === 0) return;
  const places = left.map(({ offset }) => String(offset)).join(", ");
  throw new O2cbError(
    "O2CB_VERIFY_FAILED",
    `what was written to '${device}' is not there any more, at byte ${places}: somebody else writes this volume`,
    { operation: "tune-volume", path: device },
  );
}
