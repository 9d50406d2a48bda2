// The writes of a change, for people and programs: where, which bytes, and what they are.
import type { Superblocks } from "../native-types.ts";
import { changedCopies } from "./undo-file.ts";

export interface PlannedField {
  field: "check" | "features" | "label" | "uuid" | "stamp";
  /** on the device, in bytes */
  offset: number;
  /** hexadecimal */
  old: string;
  new: string;
}

/** One copy of the superblock. */
export interface PlannedWrite {
  /** of the block, in bytes */
  offset: number;
  isBackup: boolean;
  fields: PlannedField[];
}

export function plannedWrites(superblocks: Superblocks): PlannedWrite[] {
  const primary = superblocks.copies[0]?.offset;
  return changedCopies(superblocks).map(({ offset, old, new: wanted, fields }) => ({
    // At most 1 TiB (disk-format 1.2).
    offset: Number(offset),
    isBackup: offset !== primary,
    fields: fields.map(({ field, start, length }) => ({
      field,
      offset: Number(offset) + start,
      old: hex(old, start, length),
      new: hex(wanted, start, length),
    })),
  }));
}

function hex(block: Uint8Array, start: number, length: number): string {
  return Buffer.from(block.subarray(start, start + length)).toString("hex");
}
