// What the mounts of a superblock say about its references, and where to watch it. Pure functions over what a look has seen.
//
// Facts relied on: the C tool takes a reference for each mount(2), the kernel leaves once for each superblock (commands, fact 1).
// A count has no owners, and a bind mount looks like a second mount in mountinfo: so more than one reference is taken as a
// superblock's only where count and mounts grew together, while somebody was looking.
import type { RegionAudit } from "../region/audit-types.ts";
import type { MountSeen } from "../region/liveness.ts";

/** How long a reference may be there before its mount shows: the C tool takes it right before mount(2). */
const TOGETHER_MS = 10_000;

/** The mounts of a region's superblock, those of the whole volume first: the root of a bind mount can be removed. */
export function mountsOf(region: RegionAudit, mounts: readonly MountSeen[]): MountSeen[] {
  const own = mounts.filter(
    ({ entry }) => `${entry.device.major}:${entry.device.minor}` === region.deviceNumber,
  );
  const isWhole = ({ entry }: MountSeen): boolean => entry.root === "/";
  return [...own.filter(isWhole), ...own.filter((mount) => !isWhole(mount))];
}

/** A path to the mount that this process can walk, whatever its namespace. */
export function pathTo({ namespace, directory }: MountSeen): string {
  return namespace === null ? directory : `${namespace.slice(0, -"/ns/mnt".length)}/root${directory}`;
}

/** What one look leaves for the next to compare with. */
export interface Growth {
  unexplained: number;
  mountIds: ReadonlySet<bigint>;
  /** references that came lately and for which no mount has shown yet */
  pending: number;
  /** milliseconds since 1970; meaningless without pending ones */
  pendingUntil: number;
}

/** Of a region that was not there at the last look. */
export const noGrowth: Growth = { unexplained: 0, mountIds: new Set(), pending: 0, pendingUntil: 0 };

export interface Observation {
  /** references of the superblock that no record explains yet */
  references: number;
  growth: Growth;
}

/**
 * How many references to note for a live superblock. `before` is null at a monitor's first look: what grew then is not known.
 * Never more than nothing else explains.
 */
export function observe(
  region: RegionAudit,
  mounts: readonly MountSeen[],
  before: Growth | null,
  isNew: boolean,
  now: number,
): Observation {
  const mountIds = new Set(mounts.filter(({ entry }) => entry.root === "/").map(({ entry }) => entry.id));
  if (before === null) {
    return {
      references: unrecorded(region),
      growth: { ...noGrowth, unexplained: region.unexplained, mountIds },
    };
  }
  const since = region.unexplained - before.unexplained;
  const waiting = now < before.pendingUntil ? before.pending : 0;
  const grown = Math.min(region.unexplained, Math.max(0, waiting + since));
  // The first mount of a superblock brought the reference that is the superblock's own.
  const came = [...mountIds].filter((id) => !before.mountIds.has(id)).length - (isNew ? 1 : 0);
  const further = Math.max(0, Math.min(grown, came));
  const pending = grown - further;
  return {
    references: unrecorded(region) + further,
    growth: {
      unexplained: region.unexplained - further,
      mountIds,
      pending,
      pendingUntil: since > 0 ? now + TOGETHER_MS : before.pendingUntil,
    },
  };
}

/** The reference of a superblock that was mounted without a record. */
function unrecorded(region: RegionAudit): number {
  const mount = region.holders.find(({ kind }) => kind === "mount");
  return mount === undefined || mount.recorded ? 0 : mount.references;
}
