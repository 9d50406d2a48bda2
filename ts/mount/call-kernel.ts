// The moment of mount(2): what is told before and after it, what it waits for meanwhile, and what its refusal means.
//
// Facts relied on: userspace-stack 6.1: on a userspace stack mount(2) is the join, and waits where no signal reaches it. The call has a thread of its own,
// so the process stays usable; giving up waits for the kernel's answer all the same, since only then it can be undone.
import { O2cbError } from "../errors.ts";
import { aborted } from "../membership.ts";
import type { Native } from "../native-types.ts";
import { FILESYSTEM_TYPE } from "../region/superblock.ts";
import { tellLockspaceWaits } from "../stack/lockspace-progress.ts";
import { emit } from "../steps.ts";
import { CLASSIC_STACK, type Volume } from "../volume.ts";
import { explainMountFailure } from "./errno-guide.ts";
import type { MountVolumeRequest } from "./mount-volume.ts";
import type { ParsedMountOptions } from "./options.ts";
import { performMount, wasInterrupted, type Performed } from "./perform.ts";
import { runningFacts } from "./running-facts.ts";

export interface MountPlan {
  native: Native;
  request: MountVolumeRequest;
  parsed: ParsedMountOptions;
  volume: Volume;
  options: string[];
  device: string;
  directory: string;
  namespace: string | null;
  readOnly: boolean;
}

const DEFAULT_GRACE_MS = 3000;

/** Errors: O2CB_MOUNT_FAILED; O2CB_ABORTED where the kernel gave up because it was asked to. */
export async function callKernel(plan: MountPlan): Promise<Performed> {
  const { native, request, parsed, volume } = plan;
  const { signal, onStep } = request;
  emit(onStep, {
    step: "mount",
    device: plan.device,
    directory: plan.directory,
    options: plan.options,
    readOnly: plan.readOnly,
  });
  const began = Date.now();
  const joinsInside = volume.stack !== CLASSIC_STACK && !volume.isLocal;
  const stopTelling =
    joinsInside && onStep !== undefined ? tellLockspaceWaits(native, volume.uuid, { onStep }) : () => {};
  try {
    const performed = await performMount(
      native,
      {
        source: plan.device,
        target: plan.directory,
        type: FILESYSTEM_TYPE,
        flags: parsed.flags,
        options: plan.options,
        namespace: plan.namespace,
      },
      request.abortGraceMs ?? DEFAULT_GRACE_MS,
      signal,
    );
    if (performed.result === "mounted") {
      stopTelling();
      emit(onStep, {
        step: "mounted",
        device: plan.device,
        directory: plan.directory,
        milliseconds: Date.now() - began,
      });
    } else {
      void performed.settled.then(stopTelling);
      const reason = joinsInside
        ? "mount(2) waits for the lock manager, where no signal reaches it"
        : "mount(2) has not returned";
      emit(onStep, { step: "waiting-for-kernel", operation: "mount", reason });
    }
    return performed;
  } catch (error) {
    stopTelling();
    if (signal?.aborted && wasInterrupted(error))
      throw aborted("mount", "rolled-back", { cause: error, path: plan.directory, region: volume.uuid });
    throw await mountFailure(error, plan);
  }
}

async function mountFailure(error: unknown, plan: MountPlan): Promise<O2cbError> {
  const { native, volume } = plan;
  const failure = error as O2cbError;
  const { cause, remedy } = explainMountFailure(error, {
    device: plan.device,
    uuid: volume.uuid,
    directory: plan.directory,
    stack: volume.stack,
    cluster: volume.cluster,
    isLocal: volume.isLocal,
    readOnlyDevice: volume.isReadOnly,
    readOnly: plan.readOnly,
    options: plan.options,
    ...(await runningFacts(native, volume.stack)),
  });
  return new O2cbError(
    "O2CB_MOUNT_FAILED",
    `the kernel refused to mount '${plan.device}' on '${plan.directory}': ${cause}`,
    {
      operation: "mount",
      errno: failure.errno,
      syscall: failure.syscall,
      path: plan.directory,
      region: volume.uuid,
      clusterStack: volume.stack,
      kernelMessages: failure.kernelMessages,
      remedy,
      cause: error,
    },
  );
}
