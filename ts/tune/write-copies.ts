// Writing a changed superblock to all its places: the primary first, then the backups.
//
// Why this order (the C tool's, too): the primary alone decides what mounts, checks and other nodes see, so after the first write the change
// is made, and before it nothing has changed. What a power cut leaves in between is a volume with the new value whose backups have the old one: both
// are whole, mounts and checks mind neither, and any later change brings the backups to what the primary says.
//
// Once something may be written there is no giving up: the rest is written, or what was written is put back.
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import type { UndoWrite } from "./undo-file.ts";

export interface WriteOptions {
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

/**
 * Writes each in turn. On a failure all have their old bytes again; where even that fails, `rollbackError` tells.
 * Errors: those of Native.writeSuperblock.
 */
export async function writeCopies(
  native: Native,
  device: string,
  writes: readonly UndoWrite[],
  { signal, onStep }: WriteOptions,
): Promise<void> {
  for (const [index, write] of writes.entries()) {
    emit(onStep, { step: "write-superblock", device, offset: offsetOf(write), isBackup: !isPrimary(write) });
    try {
      await native.writeSuperblock(device, write, index === 0 ? { signal } : {});
    } catch (error) {
      throw await putBack(native, device, writes.slice(0, index + 1), error, onStep);
    }
  }
}

/** In bytes; at most 1 TiB (disk-format 1.2). */
export function offsetOf({ block, old }: UndoWrite): number {
  return Number(block) * old.length;
}

export function isPrimary({ block }: UndoWrite): boolean {
  return block === 2n;
}

/** The error, after everything that was written, or may have been, is what it was; the primary last, as it decides. */
async function putBack(
  native: Native,
  device: string,
  writes: readonly UndoWrite[],
  error: unknown,
  onStep: OnStep | undefined,
): Promise<unknown> {
  // Nothing was written by a call that was given up.
  if (writes.length === 1 && error instanceof O2cbError && error.code === "O2CB_ABORTED") return error;
  const reason = error instanceof Error ? error.message : String(error);
  emit(onStep, { step: "undo", region: null, reason });
  for (const { block, old, new: written } of writes.toReversed()) {
    try {
      await native.writeSuperblock(device, { block, old: written, new: old });
    } catch (rollbackError) {
      // The others are tried all the same; the first failure tells most.
      if (error instanceof O2cbError) error.rollbackError ??= rollbackError;
    }
  }
  return error;
}
