// What tunefs.ocfs2 -Q answers: a volume's superblock through a format in printf's manner. Nothing is locked.
//
// Facts relied on (measured with tunefs.ocfs2 1.8.7): letters, names of features, and how a format is read: of a conversion's flags only `-` has an
// effect, the width counts, the precision does not; of the escapes seven are known, and what follows another backslash stays. Its %B (block size) is
// refused by the Debian 12 build, as glibc has had a %B of its own since 2.35; here it works. A letter that neither knows is refused here, where the
// C tool writes it out, or whatever printf makes of it.
import { COMPAT, INCOMPAT, RO_COMPAT, withoutNames, type Names } from "../look/features.ts";
import type { Native, Superblocks } from "../native-types.ts";
import { checkDevicePath } from "../volume.ts";

/** The C tool names the incompatible features in this order, and all others in that of their bits. */
const INCOMPAT_ORDER = [0x2, 0x4, 0x8, 0x10, 0x100, 0x20, 0x80, 0x40, 0x800, 0x200, 0x400];

export interface VolumeQuery {
  device: string;
  uuid: string;
  /** what is not UTF-8 is replaced; `labelBytes` has it as it is */
  label: string;
  labelBytes: Uint8Array;
  blockBytes: number;
  clusterBytes: number;
  slots: number;
  rootBlock: number;
  systemBlock: number;
  firstGroupBlock: number;
  compat: string[];
  incompat: string[];
  roCompat: string[];
  /** byte offsets of backups of the superblock that say something else than it does, or are damaged */
  differingBackups: number[];
}

/** Errors: those of reading the superblock. */
export async function queryVolume(
  native: Native,
  { device, signal }: { device: string; signal?: AbortSignal | undefined },
): Promise<VolumeQuery> {
  checkDevicePath("queryVolume", device);
  return queryOf(await native.readSuperblocks(device, {}, { signal }));
}

export function queryOf(superblocks: Superblocks): VolumeQuery {
  const { device, uuid, label, blockBytes, clusterBytes, maxSlots, copies } = superblocks;
  const differ = copies.slice(1).filter(({ fields, problem }) => fields.length > 0 || problem !== null);
  return {
    ...{ device, uuid, blockBytes, clusterBytes, slots: maxSlots },
    label: new TextDecoder().decode(label),
    labelBytes: label,
    // At most 2^52 (disk-format 1.3).
    rootBlock: Number(superblocks.rootBlock),
    systemBlock: Number(superblocks.systemBlock),
    firstGroupBlock: Number(superblocks.firstGroupBlock),
    compat: named(superblocks.featureCompat, COMPAT),
    incompat: named(superblocks.featureIncompat, incompatInOrder),
    roCompat: named(superblocks.featureRoCompat, RO_COMPAT),
    differingBackups: differ.map(({ offset }) => Number(offset)),
  };
}

const placeOf = ([bit]: Names[0]): number => {
  const place = INCOMPAT_ORDER.indexOf(bit);
  return place < 0 ? INCOMPAT_ORDER.length : place;
};
const incompatInOrder = INCOMPAT.toSorted((one, other) => placeOf(one) - placeOf(other));

/** The names of the bits that are set; what has none in one piece at the end. */
function named(bits: number, table: Names): string[] {
  const names = table.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
  const rest = withoutNames(bits, table);
  return rest === 0 ? names : [...names, `0x${rest.toString(16)}`];
}

const letters: Readonly<Record<string, (query: VolumeQuery) => string | number | Uint8Array>> = {
  B: ({ blockBytes }) => blockBytes,
  T: ({ clusterBytes }) => clusterBytes,
  N: ({ slots }) => slots,
  R: ({ rootBlock }) => rootBlock,
  Y: ({ systemBlock }) => systemBlock,
  P: ({ firstGroupBlock }) => firstGroupBlock,
  V: ({ labelBytes }) => labelBytes,
  U: ({ uuid }) => uuid,
  M: ({ compat }) => featureText(compat),
  H: ({ incompat }) => featureText(incompat),
  O: ({ roCompat }) => featureText(roCompat),
};

function featureText(names: readonly string[]): string {
  return names.length === 0 ? "None" : names.join(" ");
}

const escapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** Flags, width, precision, length; then the letter. */
const CONVERSION = /%([-+ #0']*)(\d*)(?:\.\d*)?(?:hh?|ll?|[jzqLtZ])?([A-Za-z%])?|\\([abfnrtv\\])/g;

export type QueryFormat = (query: VolumeQuery) => Buffer;

/**
 * Reads a format once; what is returned fills it in.
 * @throws RangeError for a conversion that there is not
 */
export function queryFormat(format: string): QueryFormat {
  const parts: ((query: VolumeQuery) => Uint8Array)[] = [];
  const literal = (text: string): void => void parts.push(() => Buffer.from(text));
  let end = 0;
  for (const match of format.matchAll(CONVERSION)) {
    const [whole, flags = "", width = "", letter, escape] = match;
    literal(format.slice(end, match.index));
    end = match.index + whole.length;
    if (escape !== undefined) literal(escape === "\\" ? whole : (escapes[escape] ?? whole));
    else if (letter === "%") literal("%");
    else {
      const value = letters[letter ?? ""];
      if (value === undefined)
        throw new RangeError(
          `there is no conversion '${whole}'; the letters are ${Object.keys(letters).join(" ")}`,
        );
      if (width.length > 4) throw new RangeError(`a width of ${width} is too much`);
      parts.push((query) => filled(value(query), Number(width), flags.includes("-")));
    }
  }
  literal(format.slice(end));
  return (query) => Buffer.concat(parts.map((part) => part(query)));
}

/** Filled up with blanks to a width in bytes, as printf counts. */
function filled(value: string | number | Uint8Array, width: number, isLeft: boolean): Uint8Array {
  const bytes = value instanceof Uint8Array ? value : Buffer.from(String(value));
  const blanks = Buffer.alloc(Math.max(0, width - bytes.length), " ");
  return Buffer.concat(isLeft ? [bytes, blanks] : [blanks, bytes]);
}
