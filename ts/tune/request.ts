// What a change of a volume is asked for, checked before anything is read.
//
// Facts relied on: disk-format 1.3 (a label has up to 64 bytes, and a NUL ends it). tunefs.ocfs2 1.8.7 cuts a longer label off without
// a word; here it is refused. A UUID that is in use twice makes two volumes one region and one DLM domain: a random one is safe, one that is
// given asks for a confirmation.
import { randomBytes } from "node:crypto";
import type { SuperblockChange } from "../native-types.ts";
import type { OnStep } from "../steps.ts";
import { checkDevicePath, regionName } from "../volume.ts";

const LABEL_BYTES = 64;

/** Why a change needs somebody's yes. */
export type TuneQuestion =
  /** a UUID was given: nobody can know whether another volume has it */
  | { about: "uuid"; device: string; uuid: string }
  /** the volume belongs to a cluster that does not run here, so that no lock can tell who uses it */
  | { about: "cluster-stack"; device: string; from: string; to: string }
  /** an undo of a change of the cluster: likewise */
  | { about: "undo"; device: string; from: string; to: string };

/** `true` for yes to everything; or who is asked, before anything is locked or written. */
export type Confirm = true | ((question: TuneQuestion) => boolean | Promise<boolean>);

export interface TuneOptions {
  /** needed for what is dangerous; without it such a change is a TypeError */
  confirm?: Confirm | undefined;
  /** load missing kernel modules; default true */
  loadModules?: boolean | undefined;
  /** gives up until the first write; what was begun to be written is ended, or undone */
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

export interface TuneVolumeRequest extends TuneOptions {
  /** a block device, or the image file of a volume for one node */
  device: string;
  /** up to 64 bytes; empty for none */
  label?: string | undefined;
  /** 32 hexadecimal digits, with or without dashes; or `random` */
  uuid?: string | undefined;
  /** for one node, or for the running cluster */
  mount?: "local" | "cluster" | undefined;
  /** give the volume the running cluster's stamp, whatever stamp it has */
  updateClusterStack?: boolean | undefined;
  /** where the old bytes are kept; null: nowhere. Absent: below UNDO_DIRECTORY */
  undoFile?: string | null | undefined;
  /** tell what would be written, and write nothing; nothing is locked either */
  dryRun?: boolean | undefined;
}

/** What is asked for, in the disk's terms as far as it does not depend on what runs here. */
export interface Wanted {
  change: SuperblockChange;
  /** whoever asks may mean a volume whose stamp fits nothing here */
  isStackUpdate: boolean;
  /** the UUID was chosen by the caller */
  isUuidGiven: boolean;
}

/** @throws TypeError, RangeError: what can be seen without the volume */
export function wantedOf(request: TuneVolumeRequest): Wanted {
  const { label, uuid, mount, updateClusterStack = false } = request;
  checkDevicePath("tuneVolume", request.device);
  if (label !== undefined) checkLabel(label);
  if (mount !== undefined && mount !== "local" && mount !== "cluster")
    throw new TypeError(`tuneVolume: mount is 'local' or 'cluster', not '${String(mount)}'`);
  if (updateClusterStack && mount === "local")
    throw new TypeError("tuneVolume: a local volume has no cluster stack to update");
  const change: SuperblockChange = {
    ...(label !== undefined && { label }),
    ...(uuid !== undefined && { uuid: uuid === "random" ? randomUuid() : givenUuid(uuid) }),
    ...(mount !== undefined && { local: mount === "local" }),
  };
  return {
    change,
    isStackUpdate: updateClusterStack,
    isUuidGiven: uuid !== undefined && uuid !== "random",
  };
}

function checkLabel(label: string): void {
  if (label.includes("\0")) throw new TypeError("tuneVolume: a label cannot hold a NUL");
  const bytes = Buffer.byteLength(label);
  if (bytes > LABEL_BYTES)
    throw new RangeError(`tuneVolume: a label has at most ${LABEL_BYTES} bytes, and this one ${bytes}`);
}

function givenUuid(text: string): string {
  const uuid = regionName(text);
  if (/^0+$/.test(uuid)) throw new RangeError("tuneVolume: a UUID of zeros is none");
  return uuid;
}

/** A random UUID of version 4 (RFC 9562), as a region is named. */
function randomUuid(): string {
  const bytes = randomBytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").toUpperCase();
}
