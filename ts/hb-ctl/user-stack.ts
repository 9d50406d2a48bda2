// What starting and stopping a service means on a node of a userspace stack, where no heartbeat of the kernel's is: nothing where the kernel joins
// by itself, a message to the control daemon where that holds the groups.
//
// Facts relied on: userspace-stack 3.4 (the kernel runs the helper with `-K -u UUID` at the end of every clustered superblock, and waits for it), 4.2 (one
// predicate for begin and leave), 7.8 (quick and silent where there is nothing to do). A heartbeat region can be left of the classic stack after the
// label was changed: then it is that stack's business.
import { exists, readHint } from "../attributes.ts";
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { allMounts, judgeLiveness } from "../region/liveness.ts";
import { registeredCluster } from "../region/regions.ts";
import { MOUNT_SERVICE } from "../stack/cluster-stack.ts";
import { STACK_FILE } from "../stack/detect.ts";
import { leaveControldMount } from "../stack/leave-controld.ts";
import { transportOf } from "../stack/transport.ts";
import type { OnStep } from "../steps.ts";
import { CLASSIC_STACK } from "../volume.ts";

export interface UserStackStop {
  region: string;
  service: string;
  /** `kernel`: the end of a superblock, which is taken as said */
  caller: "kernel" | "program";
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

/** The label of the userspace stack that a region is looked for on; null where the classic stack is to be asked. */
export async function userStackOf(native: Native, region: string): Promise<string | null> {
  const label = (await readHint(native, STACK_FILE))?.trim() ?? "";
  if (label === "" || label === CLASSIC_STACK) return null;
  const cluster = await registeredCluster(native);
  const isClassic =
    (cluster !== null && (await exists(native, `${cluster.heartbeatDirectory}/${region}`))) ||
    (await native.regionSemaphores(region)) !== null;
  return isClassic ? null : label;
}

/**
 * Ends the membership of a service; of none is success.
 * Errors: O2CB_REGION_IN_USE (the volume is mounted, and the service is that of mounts), those of leaveControldMount.
 */
export async function stopOnUserStack(
  native: Native,
  label: string,
  { region, service, caller, signal, onStep }: UserStackStop,
): Promise<{ stopped: boolean }> {
  if ((await transportOf(native, label, signal)) === "kernel") return { stopped: false };
  if (caller !== "kernel" && service === MOUNT_SERVICE) await refuseMounted(native, region, label);
  const leave = {
    region,
    clusterStack: label,
    service,
    device: null,
    deviceNumber: null,
    patienceMs: 0,
  };
  await leaveControldMount(native, leave, { signal, onStep });
  return { stopped: true };
}

/** Without the group a mounted volume would go on, and the other nodes would not hear of this one's death. */
async function refuseMounted(native: Native, region: string, clusterStack: string): Promise<void> {
  const subject = { region, disk: null, device: null };
  const { state } = await judgeLiveness(native, subject, await allMounts(native));
  if (state === "dead") return;
  throw new O2cbError(
    "O2CB_REGION_IN_USE",
    state === "alive"
      ? `the volume '${region}' is mounted on this node, and its membership is the mount's`
      : `whether the volume '${region}' is mounted on this node cannot be told without debugfs, so its membership is kept`,
    {
      operation: "stop-service",
      region,
      clusterStack,
      remedy:
        state === "alive"
          ? "unmount the volume; its membership goes with it"
          : "mount debugfs (mount -t debugfs none /sys/kernel/debug), then try again",
    },
  );
}
