// The public API: the only file that consumers import.
import { loadNative } from "./native.ts";
import { beginGroupJoin as beginGroupJoinWith, type GroupJoin, type JoinOptions } from "./membership.ts";
import {
  mountVolume as mountVolumeWith,
  type MountVolumeRequest,
  type MountVolumeResult,
} from "./mount/mount-volume.ts";
import {
  unmountVolume as unmountVolumeWith,
  type UnmountVolumeRequest,
  type UnmountVolumeResult,
} from "./mount/unmount-volume.ts";
import { detectStack as detectStackWith, type DetectOptions, type RunningStack } from "./stack/detect.ts";
import type { OnStep } from "./steps.ts";
import { openVolume as openVolumeWith, type Volume } from "./volume.ts";

export { errorCodes, type ErrorCode } from "./error-codes.ts";
export { O2cbError, type AbortOutcome, type O2cbErrorFields } from "./errors.ts";
export { GroupJoin, GroupMembership, type JoinOptions } from "./membership.ts";
export { MOUNT_SERVICE } from "./stack/cluster-stack.ts";
export type { MountVolumeRequest, MountVolumeResult } from "./mount/mount-volume.ts";
export type { UnmountVolumeRequest, UnmountVolumeResult } from "./mount/unmount-volume.ts";
export type { DetectOptions, RunningStack } from "./stack/detect.ts";
export type { HeartbeatMode, OnStep, Step } from "./steps.ts";
export { heartbeatGeometry, regionName, type Volume } from "./volume.ts";
export type { RegionGeometry } from "./native-types.ts";

/** Reads a volume's identity, stamp and heartbeat area. Errors: see ts/volume.ts. */
export function openVolume(
  device: string,
  options: { signal?: AbortSignal; onStep?: OnStep } = {},
): Promise<Volume> {
  return openVolumeWith(loadNative(), device, options);
}

/** Which cluster stack runs here; loads the classic stack's modules unless told not to. */
export function detectStack(options: DetectOptions = {}): Promise<RunningStack> {
  return detectStackWith(loadNative(), options);
}

/** The first of the three calls: starts what the stack needs. On failure nothing is held and nothing is left. */
export function beginGroupJoin(options: JoinOptions): Promise<GroupJoin> {
  return beginGroupJoinWith(loadNative(), options);
}

/** Mounts a volume: begin, mount(2), complete. */
export function mountVolume(request: MountVolumeRequest): Promise<MountVolumeResult> {
  return mountVolumeWith(loadNative(), request);
}

/** Unmounts a mount point and leaves when the superblock is gone. */
export function unmountVolume(request: UnmountVolumeRequest): Promise<UnmountVolumeResult> {
  return unmountVolumeWith(loadNative(), request);
}
