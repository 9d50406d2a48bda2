// What a mount does before it joins: references of mounts that are gone, left by commands that were killed or by unmounts that ran
// none of ours, are dropped, so that they do not pile up.
//
// Facts relied on: commands 2.7; the volume's lock is held (no mount of ours is under way) and the region's mutex too. The device is
// claimed for the moment, since a superblock that is just ending still has its reference dropped by the kernel's program. Any doubt leaves
// everything as it is: this is a courtesy, and the monitor and reap come later.
import { leavingProgram, isOurProgram } from "./hb-ctl-path.ts";
import type { DeviceNumber, Native, RegionLock } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import { claimDeadDevice } from "./liveness.ts";
import { mountAccount } from "./mount-account.ts";
import { forgetRecord } from "./record.ts";
import { devicePath } from "./superblock.ts";

export interface Joined {
  region: string;
  directory: string;
  device: string | null;
  deviceNumber: DeviceNumber | null;
}

/** Whether references were dropped. Errors: O2CB_ABORTED, and what the semaphore says. */
export async function dropStale(
  native: Native,
  where: Joined,
  lock: RegionLock,
  { signal, onStep }: { signal?: AbortSignal | undefined; onStep?: OnStep | undefined },
): Promise<boolean> {
  const { region, deviceNumber } = where;
  const accounted = await mountAccount(native, where, lock.references(), "dead");
  if (accounted.staleRecords.length === 0) return false;
  const program = await leavingProgram(native);
  const othersLeave = program !== null && !(await isOurProgram(native, program));
  if (accounted.stale > 0 && !othersLeave) {
    const path = deviceNumber === null ? null : await devicePath(native, deviceNumber, where.device, signal);
    const claim = path === null ? null : await claimDeadDevice(native, path, 0, signal);
    if (claim === null) return false;
    try {
      for (let left = accounted.stale; left > 0; left -= 1) lock.drop(false);
    } finally {
      claim.release();
    }
    emit(onStep, {
      step: "drop-stale",
      region,
      references: lock.references(),
      reason: "an earlier mount of the volume has ended without leaving",
    });
  }
  for (const id of accounted.staleRecords) await forgetRecord(native, id, onStep);
  return accounted.stale > 0 && !othersLeave;
}
