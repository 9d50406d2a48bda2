// The cluster's part of the public API: its configuration, and its life in the kernel. Every function is one of ts/config or ts/cluster
// with the native module put in; what they do, and their errors, stand there.
import { applyState as applyStateWith, type ApplyOptions, type ApplyResult } from "./cluster/apply.ts";
import { readCurrentState } from "./cluster/current-state.ts";
import type { DesiredState } from "./cluster/desired-state.ts";
import { doctor as doctorWith, type DoctorOptions, type Finding } from "./cluster/doctor.ts";
import {
  drain as drainWith,
  offline as offlineWith,
  online as onlineWith,
  type DrainResult,
  type OfflineOptions,
  type OfflineResult,
  type OnlineOptions,
  type OnlineResult,
} from "./cluster/service.ts";
import { setStack as setStackWith, type SetStackOptions, type SetStackResult } from "./cluster/set-stack.ts";
import { clusterStatus as clusterStatusWith, type ClusterStatus } from "./cluster/status.ts";
import {
  inspectVolume as inspectVolumeWith,
  type InspectOptions,
  type VolumeInspection,
} from "./look/inspect.ts";
import {
  volumeHolders as volumeHoldersWith,
  type HolderOptions,
  type VolumeHolders,
} from "./look/holders.ts";
import { planState } from "./cluster/plan.ts";
import type { Plan } from "./cluster/plan-types.ts";
import { CLUSTER_CONF, type ConfDocument } from "./config/cluster-conf.ts";
import type { ChangeOptions } from "./config/file.ts";
import {
  changeConfig as changeConfigWith,
  loadConfig as loadConfigWith,
  type ConfigChange,
  type LoadedConfig,
} from "./config/store.ts";
import { readSysconfig as readSysconfigWith, type Sysconfig } from "./config/sysconfig.ts";
import { loadNative } from "./native.ts";
import type { Volume } from "./volume.ts";

export type { ApplyOptions, ApplyResult } from "./cluster/apply.ts";
export { desiredState, parseDesiredState, type DesiredState } from "./cluster/desired-state.ts";
export type { DoctorOptions, Finding } from "./cluster/doctor.ts";
export { fstabLine, lintFstab, mountUnit, type MountLine, type MountUnit } from "./cluster/mount-lines.ts";
export type { Plan, PlanStep } from "./cluster/plan-types.ts";
export type { OfflineOptions, OfflineResult, OnlineOptions, OnlineResult } from "./cluster/service.ts";
export type { ClusterStatus, NodeStatus } from "./cluster/status.ts";
export type { MissingPart, SetStackOptions, SetStackResult } from "./cluster/set-stack.ts";
export type { UserStackReady, UserStackStatus } from "./cluster/user-stack.ts";
export type { KernelWrite } from "./cluster/writes.ts";
export type { InspectOptions, VolumeInspection } from "./look/inspect.ts";
export type { HolderOptions, VolumeHolder, VolumeHolders } from "./look/holders.ts";
export { CLUSTER_CONF, ConfDocument } from "./config/cluster-conf.ts";
export { effectiveConfig, type EffectiveConfig, type Timeouts } from "./config/digest.ts";
export * as edit from "./config/edit.ts";
export { lint, type LintOptions } from "./config/lint.ts";
export { clusterConfig, findCluster, type ClusterConfig, type ConfiguredCluster } from "./config/model.ts";
export type { ConfigChange, LoadedConfig } from "./config/store.ts";
export type { Sysconfig, SysconfigValues } from "./config/sysconfig.ts";

/** Reads cluster.conf; a missing file is an empty configuration. */
export function loadConfig(
  path: string = CLUSTER_CONF,
  options: { signal?: AbortSignal } = {},
): Promise<LoadedConfig> {
  return loadConfigWith(loadNative(), path, options);
}

/** Changes cluster.conf in place: `change` gets the document, for example `(document) => edit.addCluster(document, "web")`. */
export function changeConfig(
  change: (document: ConfDocument) => void,
  { path = CLUSTER_CONF, ...options }: ChangeOptions & { path?: string } = {},
): Promise<ConfigChange> {
  return changeConfigWith(loadNative(), path, change, options);
}

/** The settings of the o2cb service, /etc/sysconfig/o2cb or /etc/default/o2cb. */
export function readSysconfig(options: { path?: string; signal?: AbortSignal } = {}): Promise<Sysconfig> {
  return readSysconfigWith(loadNative(), options);
}

/** What runs on this host. */
export function clusterStatus(): Promise<ClusterStatus> {
  return clusterStatusWith(loadNative());
}

/** Makes a cluster stack this node's, by its label or as a volume wants it; tells what is missing before it can be mounted. */
export function setStack(options: SetStackOptions): Promise<SetStackResult> {
  return setStackWith(loadNative(), options);
}

/** Modules, registration, timeouts, and heartbeat where it is global. */
export function online(options: OnlineOptions): Promise<OnlineResult> {
  return onlineWith(loadNative(), options);
}

/** The way back; refuses with the names of what still holds the cluster. */
export function offline(options: OfflineOptions = {}): Promise<OfflineResult> {
  return offlineWith(loadNative(), options);
}

/** Unmounts the cluster's volumes, verifies that their regions are gone, then goes offline. */
export function drain(options: OfflineOptions = {}): Promise<DrainResult> {
  return drainWith(loadNative(), options);
}

/** Looks at everything that is known to keep a cluster from working; changes nothing. */
export function doctor(options: DoctorOptions = {}): Promise<Finding[]> {
  return doctorWith(loadNative(), options);
}

/** What would have to change for this host to be as desired, and what of it needs downtime. */
export async function plan(
  desired: DesiredState,
  { configPath = CLUSTER_CONF, signal }: { configPath?: string; signal?: AbortSignal } = {},
): Promise<Plan> {
  const current = await readCurrentState(loadNative(), desired.cluster.name, {
    configPath,
    signal,
  });
  return planState(current, desired);
}

/** Makes this host as desired; with `dryRun` only says how. */
export function apply(desired: DesiredState, options: ApplyOptions = {}): Promise<ApplyResult> {
  return applyStateWith(loadNative(), desired, options);
}

/** Everything a volume says of itself: superblock, slots, journals, heartbeat blocks, system files. It may be mounted. */
export function inspectVolume(device: string, options: InspectOptions = {}): Promise<VolumeInspection> {
  return inspectVolumeWith(loadNative(), device, options);
}

/** Which nodes hold a volume, from its slot map and who beats; takes up to 4 s. */
export function volumeHolders(volume: Volume, options: HolderOptions = {}): Promise<VolumeHolders> {
  return volumeHoldersWith(loadNative(), volume, options);
}
