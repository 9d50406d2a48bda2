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
import { audit as auditWith, type AuditOptions } from "./region/audit.ts";
import type { Audit, MonitorEvent, ReapPlan, ReapResult } from "./region/audit-types.ts";
import { reap as reapWith, type ReapOptions } from "./region/reap.ts";
import { watch as watchWith, type WatchOptions } from "./monitor/monitor.ts";
import {
  startService as startServiceWith,
  type StartServiceRequest,
  type StartServiceResult,
} from "./hb-ctl/start.ts";
import {
  stopService as stopServiceWith,
  type StopServiceRequest,
  type StopServiceResult,
} from "./hb-ctl/stop.ts";
import { queryVolume as queryVolumeWith, type VolumeQuery } from "./tune/query.ts";
import type { TuneVolumeRequest } from "./tune/request.ts";
import { tuneVolume as tuneVolumeWith, type TuneVolumeResult } from "./tune/tune-volume.ts";
import { undoTune as undoTuneWith, type UndoRequest, type UndoResult } from "./tune/undo.ts";
import { openVolume as openVolumeWith, type Volume } from "./volume.ts";

export { errorCodes, type ErrorCode } from "./error-codes.ts";
export { O2cbError, type AbortOutcome, type O2cbErrorFields } from "./errors.ts";
export { GroupJoin, GroupMembership, type JoinOptions } from "./membership.ts";
export { MOUNT_SERVICE } from "./stack/cluster-stack.ts";
export type { MountVolumeRequest, MountVolumeResult } from "./mount/mount-volume.ts";
export type { UnmountVolumeRequest, UnmountVolumeResult } from "./mount/unmount-volume.ts";
export type { DetectOptions, RunningStack } from "./stack/detect.ts";
export type { HeartbeatMode, OnStep, Step } from "./steps.ts";
export type { AuditOptions } from "./region/audit.ts";
export type * from "./region/audit-types.ts";
export { planReap, type ReapChoice, type ReapOptions } from "./region/reap.ts";
export type { WatchOptions } from "./monitor/monitor.ts";
export type { StartServiceRequest, StartServiceResult } from "./hb-ctl/start.ts";
export type { StopServiceRequest, StopServiceResult } from "./hb-ctl/stop.ts";
export type { PlannedField, PlannedWrite } from "./tune/planned-writes.ts";
export { queryFormat, type VolumeQuery } from "./tune/query.ts";
export type { Confirm, TuneQuestion, TuneVolumeRequest } from "./tune/request.ts";
export type { TuneVolumeResult } from "./tune/tune-volume.ts";
export type { UndoRequest, UndoResult } from "./tune/undo.ts";
export { heartbeatGeometry, regionName, type Volume } from "./volume.ts";
export type { RegionGeometry } from "./native-types.ts";

export * from "./cluster-api.ts";
export * from "./dlm-api.ts";

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

/** What is held on this node, by whom, and what is left over; reads only. */
export function audit(options: AuditOptions = {}): Promise<Audit> {
  return auditWith(loadNative(), options);
}

/** Carries a plan out (planReap of an audit), after looking again: what has changed since is skipped and said. */
export function reap(plan: ReapPlan, options: ReapOptions = {}): Promise<ReapResult> {
  return reapWith(loadNative(), plan, options);
}

/** Watches this node's superblocks and leaves for those that end, however they do; what the command `o2cb monitor` runs. */
export function watch(options: WatchOptions = {}): AsyncGenerator<MonitorEvent> {
  return watchWith(loadNative(), options);
}

/** Takes a reference that outlives this process, until stopService: what `ocfs2_hb_ctl -S` does. */
export function startService(request: StartServiceRequest): Promise<StartServiceResult> {
  return startServiceWith(loadNative(), request);
}

/** Drops one reference of a service: what `ocfs2_hb_ctl -K` does. */
export function stopService(request: StopServiceRequest): Promise<StopServiceResult> {
  return stopServiceWith(loadNative(), request);
}

/** Changes a volume's label, UUID, mount type or cluster: what `tunefs.ocfs2` does. Errors: see ts/tune/tune-volume.ts. */
export function tuneVolume(request: TuneVolumeRequest): Promise<TuneVolumeResult> {
  return tuneVolumeWith(loadNative(), request);
}

/** Puts back what a change kept in its undo file. */
export function undoTune(request: UndoRequest): Promise<UndoResult> {
  return undoTuneWith(loadNative(), request);
}

/** What the superblock says, without a lock; `queryFormat` makes text of it, as `tunefs.ocfs2 -Q` does. */
export function queryVolume(options: { device: string; signal?: AbortSignal }): Promise<VolumeQuery> {
  return queryVolumeWith(loadNative(), options);
}
