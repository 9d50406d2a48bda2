// The public API's part for the distributed lock manager. ts/index.ts exports all of it.
import { loadNative } from "./native.ts";
import {
  initializeDlm as initializeDlmWith,
  openLockSpace as openLockSpaceWith,
  type Dlm,
  type InitializeDlmOptions,
  type OpenLockSpaceOptions,
} from "./dlm/initialize.ts";
import { lockDownCluster as lockDownClusterWith, type LockDownOptions } from "./dlm/lock-down.ts";
import type { LockSpace } from "./dlm/lock-space.ts";
import {
  withVolumeLocked as withVolumeLockedWith,
  type LockedVolume,
  type VolumeLockRequest,
} from "./dlm/with-volume-locked.ts";
import type { Volume } from "./volume.ts";

export { HeldLock, type LockNotification } from "./dlm/held-lock.ts";
export { Dlm, shutdownDlm, type InitializeDlmOptions, type OpenLockSpaceOptions } from "./dlm/initialize.ts";
export { inodeLockName, releaseCluster, superLockName, type LockDownOptions } from "./dlm/lock-down.ts";
export { LockSpace, type LockOptions } from "./dlm/lock-space.ts";
export type { LockLevel, LockTransport, TransportLock } from "./dlm/lock-transport.ts";
export type { LockedVolume, VolumeLockRequest } from "./dlm/with-volume-locked.ts";

/** Joins a volume's group and its DLM domain; `shutdown` of what it returns leaves both. On failure nothing is left. */
export function initializeDlm(volume: Volume, options: InitializeDlmOptions): Promise<Dlm> {
  return initializeDlmWith(loadNative(), volume, options);
}

/** Joins a DLM domain of a program's own; that this node heartbeats is the caller's business. */
export function openLockSpace(options: OpenLockSpaceOptions): Promise<LockSpace> {
  return openLockSpaceWith(loadNative(), options);
}

/** Proves that the volume is mounted nowhere and locks it against mounts and other tools, until `releaseCluster`. */
export function lockDownCluster(dlm: Dlm, options: LockDownOptions = {}): Promise<void> {
  return lockDownClusterWith(loadNative(), dlm, options);
}

/** Runs `work` with the volume locked, whatever kind of volume it is; everything is given back at its end. */
export function withVolumeLocked<T>(
  request: VolumeLockRequest,
  work: (locked: LockedVolume) => Promise<T>,
): Promise<T> {
  return withVolumeLockedWith(loadNative(), request, work);
}
