// A fake volume's superblock and its backups, read and written as the native module does. The "bytes" of a block are its values as text,
// padded with zeros to the block's length: nobody above the native module reads them, and a field's place in them means nothing.
//
// Facts relied on: disk-format 1.2 (backups), 1.3 (a stamp counts with incompat 0x80 or 0x4000, flags only with the latter; a volume with
// the latter keeps it whatever stamp it gets). A block is
// written whole or not at all, since all that changes lies in one sector.
import type { SuperblockChange, SuperblockCopy, Superblocks } from "../../../ts/native-types.ts";
import type { BlockDevice, VolumeContent } from "./device.ts";
import { refuse, refuseWithCode } from "./errors.ts";

const LOCAL = 0x8;
const USER_STACK = 0x80;
const EXTENDED_SLOT_MAP = 0x100;
const CLUSTER_INFO = 0x4000;
/** Where backups stand, in bytes. */
const PLACES = [1n << 30n, 1n << 32n, 1n << 34n];

type Values = Pick<
  VolumeContent,
  "uuid" | "label" | "featureIncompat" | "stackLabel" | "stackFlags" | "clusterName"
>;

function valuesOf(content: VolumeContent): Values {
  const { uuid, label, featureIncompat, stackLabel, stackFlags, clusterName } = content;
  return { uuid, label, featureIncompat, stackLabel, stackFlags, clusterName };
}

function encode(values: Values, blockBytes: number): Uint8Array {
  const block = Buffer.alloc(blockBytes);
  block.write(JSON.stringify(values));
  return new Uint8Array(block);
}

function decode(block: Uint8Array): Values {
  return JSON.parse(Buffer.from(block).toString().replace(/\0+$/, "")) as Values;
}

function changed(values: Values, { label, uuid, local, stamp }: SuperblockChange): Values {
  const now = { ...values };
  if (label !== undefined) now.label = label;
  if (uuid !== undefined) now.uuid = uuid;
  if (local !== undefined) now.featureIncompat = (now.featureIncompat & ~LOCAL) | (local ? LOCAL : 0);
  if (stamp === undefined) return now;
  if (stamp !== null && !(now.featureIncompat & EXTENDED_SLOT_MAP))
    refuseWithCode("O2CB_UNSUPPORTED_VOLUME", "a volume with the old form of the slot map takes no stamp");
  const isNewForm = stamp?.stack === "o2cb" || (now.featureIncompat & CLUSTER_INFO) !== 0;
  const form = stamp === null ? 0 : isNewForm ? CLUSTER_INFO : USER_STACK;
  now.featureIncompat = (now.featureIncompat & ~(USER_STACK | CLUSTER_INFO)) | form;
  now.stackLabel = stamp?.stack ?? null;
  now.stackFlags = stamp?.flags ?? 0;
  now.clusterName = stamp?.cluster ?? null;
  return now;
}

/** The contents by the place of their copy: the volume's own first. */
function contentsOf(disk: BlockDevice, content: VolumeContent): { offset: bigint; content: VolumeContent }[] {
  const primary = { offset: 2n * BigInt(content.blockBytes), content };
  return [
    primary,
    ...disk.backups.map((backup, index) => ({ offset: PLACES[index] ?? 0n, content: backup })),
  ];
}

export function readSuperblocks(
  disk: BlockDevice,
  path: string,
  content: VolumeContent,
  change: SuperblockChange,
): Superblocks {
  const wanted = changed(valuesOf(content), change);
  const copies = contentsOf(disk, content).map(({ offset, content: copy }): SuperblockCopy => {
    const { blockBytes } = content;
    const old = encode(valuesOf(copy), blockBytes);
    const problem = disk.superblockProblem;
    const after = problem === null ? encode(wanted, blockBytes) : old;
    const differ = (["label", "uuid", "featureIncompat", "clusterName"] as const).filter(
      (name) => problem === null && wanted[name] !== copy[name],
    );
    const names = {
      label: "label",
      uuid: "uuid",
      featureIncompat: "features",
      clusterName: "stamp",
    } as const;
    const fields = differ.map((name) => ({ field: names[name], start: 0, length: 4 }));
    const isSame = Buffer.from(old).equals(after);
    return {
      block: offset / BigInt(blockBytes),
      offset,
      old,
      new: after,
      fields: isSame || fields.length > 0 ? fields : [{ field: "stamp", start: 0, length: 4 }],
      problem,
    };
  });
  const { device, deviceNumber, isReadOnly, deviceBytes, sectorBytes } = disk.facts(path, content);
  const { uuid, blockBytes, clusterBytes, maxSlots, featureCompat, featureIncompat, featureRoCompat } =
    content;
  return {
    ...{
      device,
      deviceNumber,
      isReadOnly,
      deviceBytes,
      sectorBytes,
      uuid,
      label: Buffer.from(content.label),
    },
    ...{ blockBytes, clusterBytes, maxSlots, featureCompat, featureIncompat, featureRoCompat },
    ...{ rootBlock: 5n, systemBlock: 6n, firstGroupBlock: 256n, copies },
  };
}

export function writeSuperblock(
  disk: BlockDevice,
  content: VolumeContent,
  { block, old, new: wanted }: Pick<SuperblockCopy, "block" | "old" | "new">,
  late: string | null,
): boolean {
  if (disk.readOnly) refuse("EACCES", { syscall: "open" });
  const found = contentsOf(disk, content).find(({ offset }) => offset / BigInt(content.blockBytes) === block);
  if (found === undefined || old.length !== content.blockBytes)
    return refuseWithCode(
      "O2CB_UNSUPPORTED_VOLUME",
      `block ${block}: no superblock of this volume stands there`,
    );
  const now = Buffer.from(encode(valuesOf(found.content), content.blockBytes));
  if (now.equals(wanted)) return false;
  if (!now.equals(old)) refuseWithCode("O2CB_VERIFY_FAILED", "the superblock is no longer what it was");
  Object.assign(found.content, decode(wanted));
  disk.superblockWrites.push(found.offset);
  if (late !== null) refuse(late, { syscall: "fdatasync" });
  return true;
}
