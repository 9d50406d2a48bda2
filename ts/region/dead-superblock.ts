// What may be done only while a volume has no superblock on this node: the end of its mounts' membership.
//
// Facts relied on: commands 2.6, S5 and S6. Other mounts and unmounts of this package wait for the volume's lock; a mount by anybody else for the
// device, which stays claimed meanwhile.
import type { DeviceNumber, Held, Native } from "../native-types.ts";
import type { OnStep } from "../steps.ts";
import { claimDeadDevice, hasLiveSuperblock } from "./liveness.ts";
import { devicePath } from "./superblock.ts";
import { lockVolume } from "./volume-lock.ts";

export interface DeadSuperblock {
  region: string;
  /** a path of the device, where it is known */
  device: string | null;
  /** of the superblock's device; null where the caller knows that it is gone */
  deviceNumber: DeviceNumber | null;
  /** how long to wait for the claim of a superblock that is on its way out */
  patienceMs: number;
}

/** Runs `work` unless there is a superblock. Errors: those of lockVolume and `work`, O2CB_ABORTED. */
export async function whileDead<T>(
  native: Native,
  { region, device, deviceNumber, patienceMs }: DeadSuperblock,
  options: { signal?: AbortSignal | undefined; onStep?: OnStep | undefined },
  work: () => Promise<T>,
): Promise<T | "still-in-use"> {
  const volumeLock = await lockVolume(native, region, options);
  let claim: Held | null = null;
  try {
    if (deviceNumber !== null) {
      if (await hasLiveSuperblock(native, deviceNumber)) return "still-in-use";
      const path = await devicePath(native, deviceNumber, device);
      if (path !== null) {
        claim = await claimDeadDevice(native, path, patienceMs, options.signal);
        if (claim === null) return "still-in-use";
      }
    }
    return await work();
  } finally {
    claim?.release();
    volumeLock.release();
  }
}
