// The way back: the old bytes of an undo file in the place of the new ones.
//
// Nothing is believed of the file that the volume does not bear out: each of its blocks has to be a copy of the superblock of this volume, and hold what
// the change wrote or what it was to replace. So what is half done, by a change or by an undo that was cut off, can be undone too; what was changed
// again since cannot.
import { O2cbError } from "../errors.ts";
import type { Native, Superblocks, VolumeFacts } from "../native-types.ts";
import { checkDevicePath, openWithFacts } from "../volume.ts";
import { withVolumeGuarded, type GuardOptions } from "./guard.ts";
import type { TuneOptions } from "./request.ts";
import { homeText, runningStamp, stampFor, stampText } from "./stamp.ts";
import { requireBlockDevice, requireSame, requireWritable } from "./tune-volume.ts";
import { readUndoFile, type UndoFile, type UndoWrite } from "./undo-file.ts";
import { offsetOf, writeCopies } from "./write-copies.ts";

export interface UndoRequest extends TuneOptions {
  device: string;
  file: string;
  dryRun?: boolean | undefined;
}

export interface UndoResult {
  device: string;
  outcome: "undone" | "unchanged" | "declined" | "planned";
  uuid: { old: string; new: string };
  /** byte offsets of the blocks that get their old bytes again */
  offsets: number[];
}

/** Errors: O2CB_BAD_UNDO_FILE (damaged, of another volume, or changed again since); else as tuneVolume. */
export async function undoTune(
  native: Native,
  request: UndoRequest,
  options: Pick<GuardOptions, "pause"> = {},
): Promise<UndoResult> {
  const { device, file, signal, onStep } = request;
  checkDevicePath("undoTune", device);
  const undo = await readUndoFile(native, file, signal);
  const { volume, facts } = await openWithFacts(native, device, { signal, onStep, anyStack: true });
  const before = await native.readSuperblocks(device, {}, { signal });
  const writes = backWrites(file, undo, before);
  const result = (outcome: UndoResult["outcome"]): UndoResult => ({
    device,
    outcome,
    // From what it is to what it was.
    uuid: { old: before.uuid, new: writes.length === 0 ? before.uuid : undo.uuid.old },
    offsets: writes.map(offsetOf),
  });
  if (writes.length === 0) return result("unchanged");
  if (request.dryRun === true) return result("planned");
  requireBlockDevice(volume);
  requireWritable(before);
  const by = await guardFor(native, request, volume.isLocal, facts);
  if (by === null) return result("declined");
  const guard = { ...options, loadModules: request.loadModules, signal, onStep };
  return await withVolumeGuarded(native, volume, by, guard, async () => {
    const now = await native.readSuperblocks(device, {}, { signal });
    requireSame(before, now);
    await writeCopies(native, device, backWrites(file, undo, now), { signal, onStep });
    const left = backWrites(file, undo, await native.readSuperblocks(device, {}));
    if (left.length > 0)
      throw new O2cbError("O2CB_VERIFY_FAILED", `the undo of '${device}' does not read back`, {
        operation: "undo-tune",
        path: device,
      });
    return result("undone");
  });
}

/** The cluster's locks where the volume belongs to it as it is; else the claim, after a yes. Null: somebody said no. */
async function guardFor(
  native: Native,
  request: UndoRequest,
  isLocal: boolean,
  facts: VolumeFacts,
): Promise<"lock" | "claim" | null> {
  if (isLocal) return "lock";
  const { device, signal, onStep, loadModules, confirm } = request;
  const running = await runningStamp(native, { signal, onStep, loadModules });
  const target = stampFor(facts, running);
  if ("same" in target) return "lock";
  if (confirm === undefined)
    throw new TypeError(
      "undoTune: the volume belongs to no running cluster: this needs the caller's confirmation, and confirm is absent",
    );
  const question = { about: "undo", device, from: homeText(facts), to: stampText(target.stamp) } as const;
  return confirm === true || (await confirm(question)) ? "claim" : null;
}

/** What is left to be put back. Errors: O2CB_BAD_UNDO_FILE. */
function backWrites(file: string, undo: UndoFile, { device, blockBytes, copies }: Superblocks): UndoWrite[] {
  const bad = (why: string): O2cbError =>
    new O2cbError("O2CB_BAD_UNDO_FILE", `the undo file '${file}' does not fit '${device}': ${why}`, {
      operation: "undo-tune",
      path: file,
    });
  if (undo.blockBytes !== blockBytes)
    throw bad(`it is of a volume with blocks of ${undo.blockBytes} bytes, not of ${blockBytes}`);
  return undo.writes.flatMap(({ block, old, new: written }) => {
    const copy = copies.find((one) => one.block === block);
    if (copy === undefined) throw bad(`the volume has no superblock in block ${block}`);
    const holds = (bytes: Uint8Array): boolean => Buffer.compare(copy.old, bytes) === 0;
    if (holds(old)) return [];
    if (!holds(written))
      throw bad(
        `the superblock in block ${block} holds neither what the change wrote nor what it replaced: it is another volume, or was changed again since`,
      );
    return [{ block, old: written, new: old }];
  });
}
