// The undo file: the old and the new bytes of every block that a change writes, on disk for good before the first of them is written.
//
//     {"format": "ocfs2-group undo 1", "device": …, "deviceNumber": {"major": …, "minor": …} | null, "time": "…Z", "blockBytes": …,
//      "uuid": {"old": …, "new": …}, "writes": [{"block": "2", "old": BASE64, "new": BASE64}, …], "checksum": SHA256}
//
// Facts relied on: zeros at the end of a block are left out, as most of a superblock is zeros; the checksum is that of the text of all else. What a
// file says is believed only as far as the volume bears it out (undo.ts), and the core writes nothing that is no change of a superblock.
import { createHash } from "node:crypto";
import { O2cbError } from "../errors.ts";
import type { DeviceNumber, Native, SuperblockCopy, Superblocks } from "../native-types.ts";
import { isRegionName } from "../volume.ts";

export const UNDO_DIRECTORY = "/var/lib/ocfs2-group/undo";
const FORMAT = "ocfs2-group undo 1";
/** The most that is read of a file (readAttribute). */
const MAX_BYTES = 64 * 1024;
const BLOCK_SIZES: readonly unknown[] = [512, 1024, 2048, 4096];

export interface UndoFile {
  device: string;
  deviceNumber: DeviceNumber | null;
  /** ISO 8601, UTC */
  time: string;
  blockBytes: number;
  uuid: { old: string; new: string };
  writes: UndoWrite[];
}

export type UndoWrite = Pick<SuperblockCopy, "block" | "old" | "new">;

/** What undoes a change of these superblocks. */
export function undoOf(before: Superblocks, newUuid: string, time: Date): UndoFile {
  const { device, deviceNumber, blockBytes } = before;
  return {
    device,
    deviceNumber,
    time: time.toISOString(),
    blockBytes,
    uuid: { old: before.uuid, new: newUuid },
    writes: changedCopies(before).map(({ block, old, new: wanted }) => ({ block, old, new: wanted })),
  };
}

export function changedCopies({ copies }: Superblocks): SuperblockCopy[] {
  return copies.filter(({ fields }) => fields.length > 0);
}

/** Its own for each change: two in one millisecond of one volume cannot be, since the volume is locked. */
export function defaultUndoPath({ uuid, time }: UndoFile): string {
  return `${UNDO_DIRECTORY}/${uuid.old}-${time.replaceAll(/[-:.]/g, "")}.undo`;
}

/** Errors: O2CB_BAD_UNDO_FILE where it cannot be written. */
export async function writeUndoFile(
  native: Native,
  path: string,
  undo: UndoFile,
  signal: AbortSignal | undefined,
): Promise<void> {
  const text = encodeUndo(undo);
  const remedy = "name another place with --undo-file, or do without one: --no-undo";
  if (Buffer.byteLength(text) > MAX_BYTES)
    throw bad(path, "it would be too long to be read again", { remedy });
  try {
    await native.replaceFile(path, text, 0o600, { signal });
  } catch (error) {
    if (!(error instanceof O2cbError) || error.code === "O2CB_ABORTED") throw error;
    throw bad(path, `it cannot be written: ${error.message}`, { remedy, cause: error });
  }
}

/** Errors: O2CB_BAD_UNDO_FILE. */
export async function readUndoFile(
  native: Native,
  path: string,
  signal: AbortSignal | undefined,
): Promise<UndoFile> {
  let text: string;
  try {
    text = await native.readAttribute(path, { signal });
  } catch (error) {
    if (!(error instanceof O2cbError) || error.code === "O2CB_ABORTED") throw error;
    throw bad(path, `it cannot be read: ${error.message}`, { cause: error });
  }
  const undo = decodeUndo(text);
  if (typeof undo === "string") throw bad(path, undo);
  return undo;
}

function bad(path: string, why: string, fields: { remedy?: string; cause?: unknown } = {}): O2cbError {
  return new O2cbError("O2CB_BAD_UNDO_FILE", `the undo file '${path}': ${why}`, {
    operation: "undo-file",
    path,
    ...fields,
  });
}

export function encodeUndo({ device, deviceNumber, time, blockBytes, uuid, writes }: UndoFile): string {
  const content = {
    ...{ format: FORMAT, device, deviceNumber, time, blockBytes, uuid },
    writes: writes.map(({ block, old, new: wanted }) => ({
      block: String(block),
      old: packed(old),
      new: packed(wanted),
    })),
  };
  return `${JSON.stringify({ ...content, checksum: checksum(content) })}\n`;
}

/** The file's content, or why it cannot be used. */
export function decodeUndo(text: string): UndoFile | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return "it is damaged: it is no JSON";
  }
  if (typeof parsed !== "object" || parsed === null) return "it is damaged: it holds no object";
  const { checksum: stored, ...content } = parsed as Record<string, unknown>;
  if (content["format"] !== FORMAT) return "it is no undo file of this version";
  if (stored !== checksum(content)) return "it is damaged: its checksum does not hold";
  const { device, deviceNumber, time, blockBytes, uuid, writes } = content;
  const isUuid = (value: unknown): value is string => typeof value === "string" && isRegionName(value);
  const both = uuid as { old?: unknown; new?: unknown } | null | undefined;
  if (typeof device !== "string" || typeof time !== "string" || !BLOCK_SIZES.includes(blockBytes))
    return "it is damaged: its head cannot be read";
  if (!isUuid(both?.old) || !isUuid(both.new)) return "it is damaged: it names no UUID";
  if (!Array.isArray(writes) || writes.length === 0) return "it is damaged: it holds no blocks";
  const blocks = writes.map((one: unknown) => unpackedWrite(one, blockBytes as number));
  if (blocks.includes(null)) return "it is damaged: a block in it cannot be read";
  return {
    device,
    deviceNumber: (deviceNumber ?? null) as DeviceNumber | null,
    time,
    blockBytes: blockBytes as number,
    uuid: { old: both.old, new: both.new },
    writes: blocks as UndoWrite[],
  };
}

function unpackedWrite(one: unknown, blockBytes: number): UndoWrite | null {
  const { block, old, new: wanted } = (one ?? {}) as Record<string, unknown>;
  if (typeof block !== "string" || !/^\d{1,18}$/.test(block)) return null;
  const [before, after] = [unpacked(old, blockBytes), unpacked(wanted, blockBytes)];
  return before === null || after === null ? null : { block: BigInt(block), old: before, new: after };
}

function checksum(content: object): string {
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}

function packed(block: Uint8Array): string {
  const end = block.findLastIndex((byte) => byte !== 0) + 1;
  return Buffer.from(block.subarray(0, end)).toString("base64");
}

function unpacked(text: unknown, blockBytes: number): Uint8Array | null {
  if (typeof text !== "string") return null;
  const bytes = Buffer.from(text, "base64");
  if (bytes.length > blockBytes || bytes.toString("base64") !== text) return null;
  const block = new Uint8Array(blockBytes);
  block.set(bytes);
  return block;
}
