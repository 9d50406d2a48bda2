// Making a cluster stack this node's, by its label or as a volume's stamp wants it, and telling what is missing still before a volume can be mounted.
//
// Facts relied on: stack/setup.ts (who keeps a stack from being changed), group-api 4.1 (a classic volume's cluster has to be the registered one, in its
// heartbeat mode), userspace-stack 5 (what a user stack needs). A mount does the same by itself; this is for who wants to know before, and for the C
// tools, which do not load the plugin.
//
// What is missing is no failure: services start in their own order, and the stack is set.
import { O2cbError, type ErrorCode } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { registeredCluster } from "../region/regions.ts";
import { readLabel } from "../stack/detect.ts";
import { CLASSIC_STACK, openVolume, type Volume } from "../volume.ts";
import { useStack } from "./use-stack.ts";
import { missingDaemon, requireUserServices } from "./user-stack.ts";
import { KernelWrites, type KernelWrite, type WriteOptions } from "./writes.ts";

export interface SetStackOptions extends WriteOptions {
  /** 4 bytes; or else the stack of the volume on `device` */
  stack?: string | undefined;
  device?: string | undefined;
  /** load missing kernel modules; default true */
  loadModules?: boolean | undefined;
}

export interface MissingPart {
  code: ErrorCode;
  message: string;
  remedy: string | null;
}

export interface SetStackResult {
  stack: string;
  /** the label before; null where no driver was loaded */
  previous: string | null;
  /** the running cluster; null where it is not known */
  cluster: string | null;
  /** what keeps volumes of the stack, or the volume that was named, from being mounted */
  missing: MissingPart[];
  writes: KernelWrite[];
}

/**
 * Errors: TypeError for a label that is none; O2CB_INVALID_STACK_NAME (another stack is in use: by whom), O2CB_MODULE_NOT_LOADED, O2CB_BAD_DEVICE (a volume
 * for one node), those of openVolume.
 */
export async function setStack(native: Native, options: SetStackOptions): Promise<SetStackResult> {
  const { stack: label, device, loadModules = true } = options;
  if ((label === undefined) === (device === undefined))
    throw new TypeError("setStack: either a stack or a device is expected");
  if (label !== undefined && !/^[!-.0-~]{4}$/.test(label))
    throw new TypeError(`setStack: '${label}' is no stack's label, which has 4 characters`);
  const writes = KernelWrites.of(native, options);
  const { signal } = writes;
  const volume = device === undefined ? null : await clusterVolume(native, device, signal);
  const stack = volume?.stack ?? label ?? CLASSIC_STACK;
  return writes.exclusively(async () => {
    const begun = writes.done.length;
    const previous = await readLabel(writes.native, signal);
    const named = volume === null ? {} : { volume };
    await useStack(writes, stack, { operation: "set-stack", loadModules, ...named });
    const { cluster, missing } = await lookAround(writes.native, stack, volume, signal);
    return { stack, previous, cluster, missing, writes: writes.done.slice(begun) };
  });
}

async function clusterVolume(
  native: Native,
  device: string,
  signal: AbortSignal | undefined,
): Promise<Volume> {
  const volume = await openVolume(native, device, { signal });
  if (!volume.isLocal) return volume;
  throw new O2cbError(
    "O2CB_BAD_DEVICE",
    `the volume on '${device}' is for one node: it needs no cluster stack`,
    {
      operation: "set-stack",
      path: device,
      region: volume.uuid,
    },
  );
}

async function lookAround(
  native: Native,
  stack: string,
  volume: Volume | null,
  signal: AbortSignal | undefined,
): Promise<Pick<SetStackResult, "cluster" | "missing">> {
  let cluster: string | null = null;
  try {
    const user =
      stack === CLASSIC_STACK
        ? null
        : await requireUserServices(native, stack, { operation: "set-stack", signal });
    cluster = user?.cluster ?? (await classicCluster(native, volume));
    if (volume !== null) requireFit(volume, cluster);
    const daemon = user === null ? null : missingDaemon(stack, user);
    if (daemon !== null) throw daemon;
    return { cluster, missing: [] };
  } catch (error) {
    if (!(error instanceof O2cbError) || error.code === "O2CB_ABORTED") throw error;
    const { code, message, remedy = null } = error;
    return { cluster: cluster ?? error.cluster ?? null, missing: [{ code, message, remedy }] };
  }
}

/** Errors: O2CB_SERVICE_UNAVAILABLE, O2CB_INVALID_HEARTBEAT_MODE. */
async function classicCluster(native: Native, volume: Volume | null): Promise<string> {
  const cluster = await registeredCluster(native);
  if (cluster === null)
    throw new O2cbError("O2CB_SERVICE_UNAVAILABLE", "no cluster of o2cb is registered on this node", {
      operation: "set-stack",
      remedy: "bring it online: o2cb online",
    });
  const { name, mode } = cluster;
  if (
    volume !== null &&
    (volume.cluster === null || volume.cluster === name) &&
    volume.heartbeatMode !== mode
  )
    throw new O2cbError(
      "O2CB_INVALID_HEARTBEAT_MODE",
      `the volume on '${volume.device}' is for ${volume.heartbeatMode} heartbeat, and the cluster '${name}' has ${mode} heartbeat`,
      { operation: "set-stack", cluster: name, path: volume.device },
    );
  return name;
}

/** Errors: O2CB_INVALID_CLUSTER_NAME. */
function requireFit({ device, stack, cluster: wanted }: Volume, running: string): void {
  // A classic volume without a stamp is at home in any cluster; a user stack's always names one.
  if (wanted === running || (wanted === null && stack === CLASSIC_STACK)) return;
  throw new O2cbError(
    "O2CB_INVALID_CLUSTER_NAME",
    `the volume on '${device}' belongs to the cluster '${wanted ?? ""}', and '${running}' is running here`,
    {
      operation: "set-stack",
      cluster: running,
      path: device,
      remedy: `run the cluster that the volume names, or give the volume the running one's stamp while no node has it mounted: tunefs.ocfs2 --update-cluster-stack ${device}`,
    },
  );
}
