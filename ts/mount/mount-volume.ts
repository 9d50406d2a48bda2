// Mounts a volume: look, join, mount(2), confirm. The life of one mount.
//
// Facts relied on: commands 1.3 (the C tool's sequence and its bugs), 1.4 (remount), kernel-abi 7.1 (which heartbeat option
// the kernel wants), architecture rule 1 (one reference per superblock; ts/stack/classic.ts holds it), rule 4 (crash-safe).
//
// What is deliberately not done: no mtab (libmount keeps its own table), no prompt, no leaving after a mount that stands.
import { constants } from "node:os";
import { O2cbError } from "../errors.ts";
import { aborted, beginGroupJoin, throwIfAborted, type GroupJoin } from "../membership.ts";
import type { Native } from "../native-types.ts";
import { HIGHEST_LEVEL, raisePriority } from "../region/priority.ts";
import { sameDevice } from "../region/superblock.ts";
import { MOUNT_SERVICE } from "../stack/cluster-stack.ts";
import { emit, type OnStep } from "../steps.ts";
import { CLASSIC_STACK, openVolume, type Volume } from "../volume.ts";
import { callKernel, type MountPlan } from "./call-kernel.ts";
import { checkVolume, refuseDeadlyReadOnly } from "./check-volume.ts";
import { kernelOptions, parseMountOptions } from "./options.ts";
import { MS_RDONLY, type Performed } from "./perform.ts";
import { mountAt, remountVolume } from "./remount.ts";
import { checkDevice, checkDirectory } from "./target.ts";

export interface MountVolumeRequest {
  device: string;
  directory: string;
  /** as after `-o`; default none */
  options?: string | undefined;
  /** everything but the join and mount(2) */
  fake?: boolean | undefined;
  /** path of the mount namespace to mount in; the cluster's side stays in this one */
  namespace?: string | null | undefined;
  /** leave out file system options that are not known, instead of letting the kernel refuse them */
  sloppy?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
  /** how long an abort waits for the kernel's answer to mount(2); default 3000 */
  abortGraceMs?: number | undefined;
}

export interface MountVolumeResult {
  device: string;
  directory: string;
  /** what the kernel was given */
  options: string[];
  readOnly: boolean;
  uuid: string;
  /** the region whose heartbeat the mount relies on; null without a cluster */
  region: string | null;
  fake: boolean;
  remount: boolean;
}

/**
 * Mounts an OCFS2 volume and joins its group. On failure nothing is mounted and nothing is held.
 * Errors: O2CB_BAD_MOUNT_OPTION, O2CB_BAD_MOUNT_POINT, O2CB_BAD_DEVICE, those of openVolume and beginGroupJoin,
 * O2CB_MOUNT_FAILED (the kernel refused; the message names the likely cause), O2CB_ABORTED with `outcome`.
 */
export async function mountVolume(native: Native, request: MountVolumeRequest): Promise<MountVolumeResult> {
  const { signal, onStep } = request;
  throwIfAborted(signal, "mount");
  const parsed = parseMountOptions(request.options ?? "", { sloppy: request.sloppy ?? false });
  if (parsed.remount) return remountVolume(native, request, parsed);
  const namespace = request.namespace ?? null;
  const directory = await checkDirectory(native, request.directory, namespace, signal);
  const device = await checkDevice(native, request.device, signal);
  const volume = await openVolume(native, device.path, { signal, onStep });
  await refuseSecondLayer(native, volume, directory.path, namespace, signal);
  const readOnly = (parsed.flags & MS_RDONLY) !== 0;
  const clustered = checkVolume(volume, readOnly);
  if (volume.isReadOnly) await refuseDeadlyReadOnly(native, volume);
  const options = kernelOptions(parsed, {
    local: volume.isLocal,
    hardReadOnly: volume.isReadOnly,
    stackLabel: volume.stack,
    globalHeartbeat: volume.heartbeatMode === "global",
  });
  const result: MountVolumeResult = {
    device: device.path,
    directory: directory.path,
    options,
    readOnly,
    uuid: volume.uuid,
    region: clustered ? volume.uuid : null,
    fake: request.fake ?? false,
    remount: false,
  };
  if (result.fake) return result;
  const plan: MountPlan = {
    native,
    request,
    parsed,
    volume,
    options,
    device: device.path,
    directory: directory.path,
    namespace,
    readOnly,
  };
  if (!clustered) await mountAlone(plan);
  else await mountInGroup(plan);
  return result;
}

/** mount(2) refuses the same volume on the same directory with EBUSY; the newer calls would stack it without a word. */
async function refuseSecondLayer(
  native: Native,
  volume: Volume,
  directory: string,
  namespace: string | null,
  signal?: AbortSignal,
): Promise<void> {
  const there = await mountAt(native, directory, namespace, signal);
  if (there === null || !sameDevice(there.device, volume.deviceNumber)) return;
  throw new O2cbError("O2CB_MOUNT_FAILED", `'${volume.device}' is mounted on '${directory}' already`, {
    operation: "mount",
    errno: -constants.errno.EBUSY,
    path: directory,
    region: volume.uuid,
    remedy: "nothing needs to be done; to change its options use mount -o remount",
  });
}

async function mountAlone(plan: MountPlan): Promise<void> {
  const done = await callKernel(plan);
  if (done.result === "mounted") return;
  const settled = done.settled.then((end) => (end === "mounted" ? unmountAgain(plan) : undefined));
  throw aborted("mount", "in-kernel", { path: plan.directory, settled });
}

async function mountInGroup(plan: MountPlan): Promise<void> {
  const { native, request, volume } = plan;
  const join = await beginGroupJoin(native, {
    volume,
    service: MOUNT_SERVICE,
    directory: plan.directory,
    signal: request.signal,
    onStep: request.onStep,
  });
  let done: Performed;
  try {
    if (request.signal !== undefined) await letEventsIn();
    throwIfAborted(request.signal, "mount");
    done = await callKernel(plan);
  } catch (error) {
    await undo(join, error);
    throw error;
  }
  if (done.result === "in-kernel") {
    const settled = done.settled.then(async (end) => {
      if (end === "mounted") await unmountAgain(plan);
      await undo(join, new Error("given up"));
    });
    throw aborted("mount", "in-kernel", { path: plan.directory, region: volume.uuid, settled });
  }
  try {
    await join.complete(0);
  } catch (error) {
    // A mount without a confirmed reference would lose its heartbeat with this process: it does not stand.
    const failure =
      error instanceof O2cbError
        ? error
        : new O2cbError("O2CB_INTERNAL_FAILURE", "the join could not be confirmed", {
            operation: "complete-join",
            region: volume.uuid,
            cause: error,
          });
    try {
      await unmountAgain(plan);
    } catch (rollbackError) {
      failure.rollbackError = rollbackError;
      throw failure;
    }
    await undo(join, failure);
    throw failure;
  }
  await raiseHeartbeatPriority(plan, join);
}

/**
 * Lets the event loop poll once. A process signal that came during the join waits there for its handler; without this it would
 * be heard only after mount(2), which cannot be taken back as cheaply.
 */
async function letEventsIn(): Promise<void> {
  for (const _turn of ["the rest of this turn", "a poll"])
    await new Promise((resolve) => setImmediate(resolve));
}

/** Undoes begin; a second try, since the join is kept when the first fails and nothing else will undo it before we end. */
async function undo(join: GroupJoin, error: unknown): Promise<void> {
  for (const last of [false, true]) {
    try {
      await join.complete(error instanceof Error ? error : constants.errno.EIO);
      return;
    } catch (rollbackError) {
      if (last && error instanceof O2cbError) error.rollbackError ??= rollbackError;
    }
  }
}

async function unmountAgain(plan: MountPlan): Promise<void> {
  const unmount = { target: plan.directory, flags: 0, namespace: plan.namespace };
  try {
    await plan.native.unmount(unmount);
  } catch {
    await plan.native.unmount(unmount);
  }
}

/** As the C tool does through ionice, but without it; only schedulers that know priorities heed it, so failure is a remark. */
async function raiseHeartbeatPriority(plan: MountPlan, join: GroupJoin): Promise<void> {
  const { native, volume, request } = plan;
  if (volume.stack !== CLASSIC_STACK || volume.heartbeatMode !== "local" || join.directory === null) return;
  try {
    const pid = await raisePriority(native, join.directory, HIGHEST_LEVEL);
    if (pid !== null) emit(request.onStep, { step: "io-priority", region: volume.uuid, pid });
  } catch (error) {
    emit(request.onStep, {
      step: "warning",
      code: "O2CB_IO",
      message: `the heartbeat's I/O priority could not be raised (${(error as Error).message}), ignoring`,
    });
  }
}
