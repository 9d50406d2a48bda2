// Work on a volume that nobody else uses meanwhile, on any node: what tunefs.ocfs2 and fsck.ocfs2 do around each change.
//
// Facts relied on: group-api 8.3 and K19 (the locks and their order), 8.4 (a local volume is guarded by an exclusive open of its device
// instead). Whatever `work` does, the locks are released, the domain and the group are left.
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import type { OnStep } from "../steps.ts";
import type { Volume } from "../volume.ts";

export interface VolumeLockRequest {
  /** the device, or the volume where it was opened already */
  device?: string | undefined;
  volume?: Volume | undefined;
  /** the program's name, such as `tunefs.ocfs2` */
  service: string;
  /** load missing kernel modules; default true */
  loadModules?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

/** What the work gets while the volume is locked. */
export interface LockedVolume {
  readonly volume: Volume;
  /** how others are kept out: by the cluster's locks, or on a volume for one node by a claim of its device */
  readonly by: "cluster" | "claim";
}

/**
 * Runs `work` with the volume locked against every other node and tool.
 * Errors: O2CB_VOLUME_IN_USE (who, where known), those of openVolume, beginGroupJoin and initializeDlm, and what `work` throws.
 */
export async function withVolumeLocked<T>(
  _native: Native,
  _request: VolumeLockRequest,
  _work: (locked: LockedVolume) => Promise<T>,
): Promise<T> {
  throw new O2cbError("O2CB_INTERNAL_FAILURE", "not built yet", { operation: "lock-volume" });
}
