// The names of what the bits of a superblock mean.
//
// Facts relied on: disk-format 1.3, 1.4. The names are those that mkfs.ocfs2 takes and debugfs.ocfs2 tells. A bit without a name is told
// as its number.

export type Names = readonly (readonly [bit: number, name: string])[];

export const COMPAT: Names = [
  [0x1, "backup-super"],
  [0x2, "strict-journal-super"],
];

export const INCOMPAT: Names = [
  [0x2, "heartbeat-device"],
  [0x4, "aborted-resize"],
  [0x8, "local"],
  [0x10, "sparse"],
  [0x20, "aborted-tunefs"],
  [0x40, "inline-data"],
  [0x80, "userspace-stack"],
  [0x100, "extended-slotmap"],
  [0x200, "xattr"],
  [0x400, "indexed-dirs"],
  [0x800, "metaecc"],
  [0x1000, "refcount"],
  [0x2000, "discontig-bg"],
  [0x4000, "clusterinfo"],
  [0x8000, "append-dio"],
];

export const RO_COMPAT: Names = [
  [0x1, "unwritten"],
  [0x2, "usrquota"],
  [0x4, "grpquota"],
];

export interface FeatureNames {
  compat: string[];
  incompat: string[];
  roCompat: string[];
}

export function featureNames(bits: {
  featureCompat: number;
  featureIncompat: number;
  featureRoCompat: number;
}): FeatureNames {
  return {
    compat: named(bits.featureCompat, COMPAT),
    incompat: named(bits.featureIncompat, INCOMPAT),
    roCompat: named(bits.featureRoCompat, RO_COMPAT),
  };
}

/** Bits of incompat that a reader has to know to read the volume, and that are none of these. */
export function unknownIncompat(bits: number): number {
  return withoutNames(bits, INCOMPAT);
}

/** The bits that have no name. */
export function withoutNames(bits: number, names: Names): number {
  return names.reduce((rest, [bit]) => rest & ~bit, bits) >>> 0;
}

function named(bits: number, names: Names): string[] {
  return Array.from({ length: 32 }, (_, index) => (1 << index) >>> 0)
    .filter((bit) => (bits & bit) !== 0)
    .map((bit) => names.find(([known]) => known === bit)?.[1] ?? `0x${bit.toString(16)}`);
}
