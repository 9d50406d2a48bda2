// The leave of a mount, long after its join and usually in another process: what the last unmount does.
//
// Facts relied on: architecture rule 1 (one mount reference for each superblock); those of `whileDead`: no mount can slip in between.
import { exists } from "../attributes.ts";
import type { Native, RegionLock } from "../native-types.ts";
import { requireHostNamespaces } from "../namespaces.ts";
import { whileDead, type DeadSuperblock } from "../region/dead-superblock.ts";
import { withRegionLock } from "../region/lock.ts";
import { mountAccount, type MountAccount } from "../region/mount-account.ts";
import { forgetRecord } from "../region/record.ts";
import { dropReferences, stopUnreferenced } from "../region/stop-region.ts";
import { emit, type OnStep } from "../steps.ts";
import { MOUNT_SERVICE } from "./cluster-stack.ts";

export interface MountLeave extends DeadSuperblock {
  directory: string;
  /** hb_ctl_path names a program that the kernel runs at the end of a superblock: it drops the reference, not we */
  kernelLeaves: boolean;
}

/**
 * Drops the mount reference of a superblock, if the superblock is really gone. Where the kernel leaves, only what its program
 * left without any reference is removed.
 */
export async function leaveMount(
  native: Native,
  leave: MountLeave,
  options: { signal?: AbortSignal | undefined; onStep?: OnStep | undefined },
): Promise<"left" | "still-in-use"> {
  await requireHostNamespaces(native, "leave");
  return whileDead(native, leave, options, async () => {
    const work = async (lock: RegionLock | null): Promise<void> => {
      if (lock !== null && !leave.kernelLeaves) {
        await dropMount(native, leave, lock, options.onStep);
        return;
      }
      const references = lock?.references() ?? 0;
      const accounted = await mountAccount(native, leave, references, lock === null ? "dead" : "alive");
      if (lock !== null && references === 0)
        await stopUnreferenced(native, leave.directory, lock, null, options.onStep);
      await forgetMounts(native, accounted, options.onStep);
    };
    // Where the region is gone no set is made: the kernel's program has left, and a set made now would be nobody's if we are killed.
    if (await exists(native, leave.directory))
      await withRegionLock(native, leave.region, true, options, work);
    else await withRegionLock(native, leave.region, false, options, work);
    return "left" as const;
  });
}

/** Under the mutex, for a superblock that has just ended: its references go, those of others stay. */
export async function dropMount(
  native: Native,
  where: { region: string; directory: string },
  lock: RegionLock,
  onStep: OnStep | undefined,
): Promise<{ references: number; stopped: boolean }> {
  const accounted = await mountAccount(native, where, lock.references(), "alive");
  const count = accounted.own?.references ?? 0;
  const result =
    count === 0 && lock.references() > 0
      ? { references: lock.references(), stopped: false }
      : await dropReferences(native, where.directory, lock, { count, undo: false }, onStep);
  if (count === 0 && result.references > 0)
    emit(onStep, { step: "leave", region: where.region, references: result.references });
  await forgetMounts(native, accounted, onStep);
  return result;
}

/** Forgets the notes of mounts, and those that mean nothing any more. */
async function forgetMounts(native: Native, accounted: MountAccount, onStep?: OnStep): Promise<void> {
  const stale = new Set(accounted.staleRecords);
  for (const { id, service, persistent } of accounted.records)
    if (stale.has(id) || (persistent && service === MOUNT_SERVICE)) await forgetRecord(native, id, onStep);
}
