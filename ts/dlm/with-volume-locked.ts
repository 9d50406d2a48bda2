// Work on a volume that nobody else uses meanwhile, on any node: what tunefs.ocfs2 and fsck.ocfs2 do around each change.
//
// Facts relied on: group-api 8.3 and K19 (the locks and their order), 8.4 (a local volume is guarded by an exclusive open of its device
// instead). Whatever `work` does, the locks are released, the domain and the group are left.
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import { openVolume, type Volume } from "../volume.ts";
import { initializeDlm, type Dlm } from "./initialize.ts";
import { lockDownCluster, releaseCluster } from "./lock-down.ts";

export interface VolumeLockRequest {
  /** the device, or the volume where it was opened already */
  device?: string | undefined;
  volume?: Volume | undefined;
  /** the program's name, such as `tunefs.ocfs2` */
  service: string;
  /** load missing kernel modules; default true */
  loadModules?: boolean | undefined;
  /** see LockDownOptions */
  queueMs?: number | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

/** What the work gets while the volume is locked. */
export interface LockedVolume {
  /** as it is read under the lock */
  readonly volume: Volume;
  /** how others are kept out: by the cluster's locks, or on a volume for one node by a claim of its device */
  readonly by: "cluster" | "claim";
  /** the volume's domain; null on a volume for one node */
  readonly dlm: Dlm | null;
}

/**
 * Runs `work` with the volume locked against every other node and tool. `signal` ends the locking, not the work.
 * Errors: O2CB_VOLUME_IN_USE (who, where known), those of openVolume and initializeDlm, and what `work` throws. Where only the end fails, the
 * error is that of the end, and the work is done.
 */
export async function withVolumeLocked<T>(
  native: Native,
  request: VolumeLockRequest,
  work: (locked: LockedVolume) => Promise<T>,
): Promise<T> {
  const { device, signal, onStep } = request;
  const volume = request.volume ?? (await openVolume(native, device ?? "", { signal, onStep }));
  if (volume.isLocal) return withClaim(native, volume, request, work);
  const dlm = await initializeDlm(native, volume, request);
  let result: T;
  try {
    await lockDownCluster(native, dlm, request);
    result = await work({ volume: await again(native, volume), by: "cluster", dlm });
  } catch (error) {
    for (const end of [() => releaseCluster(dlm, request), () => dlm.shutdown()]) {
      try {
        await end();
      } catch (endError) {
        if (error instanceof O2cbError) error.rollbackError ??= endError;
      }
    }
    throw error;
  }
  try {
    await releaseCluster(dlm, request);
  } finally {
    await dlm.shutdown();
  }
  return result;
}

async function withClaim<T>(
  native: Native,
  volume: Volume,
  { signal, onStep }: VolumeLockRequest,
  work: (locked: LockedVolume) => Promise<T>,
): Promise<T> {
  // An image file is nobody's to claim.
  const claim = volume.isBlockDevice ? await native.claimDevice(volume.device, { signal }) : { release() {} };
  if (claim === null)
    throw new O2cbError(
      "O2CB_VOLUME_IN_USE",
      `the volume on '${volume.device}' is in use on this node: it is mounted, or a program has claimed it`,
      { operation: "claim-volume", path: volume.device, region: volume.uuid },
    );
  try {
    emit(onStep, { step: "claim-volume", device: volume.device });
    return await work({ volume: await again(native, volume), by: "claim", dlm: null });
  } finally {
    claim.release();
  }
}

/** The volume as it is now that nobody can change it; another program may have, while this one waited for its turn. */
async function again(native: Native, before: Volume): Promise<Volume> {
  const now = await openVolume(native, before.device);
  if (now.uuid === before.uuid && now.stack === before.stack && now.isLocal === before.isLocal) return now;
  throw new O2cbError(
    "O2CB_VOLUME_IN_USE",
    `another program changed the identity of the volume on '${before.device}' while it was being locked`,
    { operation: "lock-volume", path: before.device, region: before.uuid, remedy: "try again" },
  );
}
