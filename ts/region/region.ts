// One heartbeat region of a local-heartbeat cluster: start, adopt. Every function runs under the region's mutex and receives the
// lock; none of them waits for it. Stopping is in stop-region.ts.
//
// Facts relied on: group-api 3.3, 3.5 and K5-K10 (the writes, their order, what the C tools expect beside us), 3.10 and
// B3-B7 (what they get wrong), kernel-abi 1.6 (after any failed write of `dev` the directory must go; `dev` and `pid` read
// non-empty once a thread exists; rmdir gives EBUSY while a DLM domain of the same name lives) and 1.8 (how long a start takes).
import { readOptional, exists } from "../attributes.ts";
import { isCode, isErrno, O2cbError } from "../errors.ts";
import { kernelRelease } from "../kernel-release.ts";
import type { HeartbeatSlot, Native, RegionGeometry, RegionLock } from "../native-types.ts";
import { isLive, type LocalNode, type RunningCluster } from "../stack/cluster.ts";
import { emit, type OnStep } from "../steps.ts";
import { heartbeatGeometry, type Volume } from "../volume.ts";
import { seePeers } from "./peers.ts";
import { removeRegion } from "./stop-region.ts";
import { kernelName } from "./superblock.ts";

const ITERATION_MS = 2000;
/** Iterations without change that the kernel wants before `dev` returns, in local mode. */
const STEADY_ITERATIONS = 3;

export interface RegionContext {
  native: Native;
  cluster: RunningCluster;
  volume: Volume;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

/** What `ensureRegion` found or made: undoing removes only what this call created. */
export type RegionOrigin = "created" | "adopted";

export function regionDirectory(cluster: RunningCluster, region: string): string {
  return `${cluster.heartbeatDirectory}/${region}`;
}

/**
 * Makes sure that the volume's region beats, and that the kernel sees every node that beats there too. Where nobody holds a reference and what is there cannot be trusted (half made,
 * another device, no thread), it is removed and made again; where somebody does, a difference is an error.
 * Errors: O2CB_REGION_MISMATCH, O2CB_HEARTBEAT_FAILED, O2CB_INVALID_BLOCK_SIZE, O2CB_REGION_IN_USE, O2CB_ABORTED, those of seePeers.
 */
export async function ensureRegion(
  context: RegionContext,
  node: LocalNode,
  lock: RegionLock,
): Promise<RegionOrigin> {
  const { native, cluster, volume, onStep } = context;
  const directory = regionDirectory(cluster, volume.uuid);
  const geometry = heartbeatGeometry(volume);
  if (await exists(native, directory, context.signal)) {
    const references = lock.references();
    const fault = await findFault(context, directory, geometry);
    if (fault === null) {
      const reason = references > 0 ? "others use it" : "it was left running by a process that died";
      emit(onStep, { step: "adopt-region", region: volume.uuid, references, reason });
      await seePeers(peersOf(context, node, geometry, null));
      return "adopted";
    }
    if (references > 0) {
      throw new O2cbError(
        "O2CB_REGION_MISMATCH",
        `the heartbeat region of '${volume.device}' is in use with other settings: ${fault}`,
        {
          operation: "adopt-region",
          region: volume.uuid,
          cluster: cluster.name,
          path: directory,
        },
      );
    }
    emit(onStep, { step: "discard-region", region: volume.uuid, reason: fault });
    await removeRegion(context.native, directory, volume.uuid);
  }
  await createRegion(context, node, directory, geometry);
  return "created";
}

/** Why an existing region cannot be used as it is; null where it can. */
async function findFault(
  context: RegionContext,
  directory: string,
  geometry: RegionGeometry,
): Promise<string | null> {
  const { native, volume, signal } = context;
  const dev = (await readOptional(native, `${directory}/dev`, signal)) ?? "";
  if (dev === "") return "its heartbeat was never started";
  // Drivers before 2.6.20 or so have no `pid`; there `dev` alone must do (kernel-abi 8).
  const pid = await readOptional(native, `${directory}/pid`, signal);
  if (pid === "" || pid === "0") return "its heartbeat thread does not run";
  const wanted = {
    block_bytes: String(geometry.blockBytes),
    start_block: String(geometry.startBlock),
    blocks: String(geometry.blocks),
  };
  for (const [name, value] of Object.entries(wanted)) {
    const found = await readOptional(native, `${directory}/${name}`, signal);
    if (found !== value) return `${name} is ${found ?? "missing"} instead of ${value}`;
  }
  const disk = volume.deviceNumber === null ? null : await kernelName(native, volume.deviceNumber, signal);
  if (disk !== null && disk !== dev) return `it beats on '${dev}' instead of '${disk}'`;
  return null;
}

async function createRegion(
  context: RegionContext,
  node: LocalNode,
  directory: string,
  geometry: RegionGeometry,
): Promise<void> {
  const { native, volume, signal, onStep } = context;
  const before = await slotsBefore(context, geometry);
  const expected = await predictStart(native, node, before);
  emit(onStep, { step: "create-region", region: volume.uuid });
  await native.makeDirectory(directory, { signal });
  try {
    await native.writeAttribute(`${directory}/block_bytes`, String(geometry.blockBytes), { signal });
    await native.writeAttribute(`${directory}/start_block`, String(geometry.startBlock), { signal });
    await native.writeAttribute(`${directory}/blocks`, String(geometry.blocks), { signal });
    emit(onStep, { step: "start-heartbeat", region: volume.uuid, device: volume.device, ...expected });
    const began = Date.now();
    const interruptible = signal === undefined || (await mayInterruptStart(native));
    await native.startHeartbeat(directory, volume.device, { signal: interruptible ? signal : undefined });
    if (signal?.aborted)
      throw new O2cbError("O2CB_ABORTED", "the start was given up", {
        operation: "start-heartbeat",
        cause: signal.reason,
      });
    // The write succeeding is not enough where a signal or another writer meddled (kernel-abi 1.6, success criterion).
    if (((await readOptional(native, `${directory}/dev`, signal)) ?? "") === "") {
      throw new O2cbError("O2CB_HEARTBEAT_FAILED", `the kernel started no heartbeat on '${volume.device}'`, {
        operation: "start-heartbeat",
        region: volume.uuid,
        path: directory,
      });
    }
    emit(onStep, { step: "heartbeat", region: volume.uuid, milliseconds: Date.now() - began });
    await seePeers(peersOf(context, node, geometry, before));
  } catch (error) {
    const failure = explainStart(error, context, directory);
    try {
      await removeRegion(native, directory, volume.uuid);
    } catch (rollbackError) {
      failure.rollbackError = rollbackError;
    }
    throw failure;
  }
}

/** What the kernel's errno on the region's attributes means (kernel-abi 1.6, group-api B15). */
function explainStart(error: unknown, context: RegionContext, directory: string): O2cbError {
  const { volume, cluster } = context;
  const fields = {
    operation: "start-heartbeat",
    region: volume.uuid,
    cluster: cluster.name,
    path: directory,
    cause: error,
    errno: (error as O2cbError).errno,
    syscall: (error as O2cbError).syscall,
    kernelMessages: (error as O2cbError).kernelMessages,
  };
  if (error instanceof O2cbError && isCode(error, "O2CB_ABORTED")) return error;
  if (isCode(error, "O2CB_HEARTBEAT_FAILED")) {
    return new O2cbError(
      "O2CB_HEARTBEAT_FAILED",
      `the heartbeat on '${volume.device}' did not become stable`,
      fields,
    );
  }
  if (isErrno(error, "EINVAL")) {
    return new O2cbError(
      "O2CB_HEARTBEAT_FAILED",
      `the kernel refused the heartbeat region on '${volume.device}': its sector size is not ${volume.sectorBytes}, it is no block device, or this host is no node of cluster '${cluster.name}'`,
      {
        ...fields,
        remedy:
          "look at the kernel log and compare the device and the registered nodes with /etc/ocfs2/cluster.conf",
      },
    );
  }
  if (error instanceof O2cbError) return error;
  return new O2cbError(
    "O2CB_INTERNAL_FAILURE",
    `the heartbeat on '${volume.device}' could not be started`,
    fields,
  );
}

function peersOf(
  { native, volume, cluster, signal, onStep }: RegionContext,
  node: LocalNode,
  geometry: RegionGeometry,
  before: readonly HeartbeatSlot[] | null,
): Parameters<typeof seePeers>[0] {
  const { device, uuid: region } = volume;
  return { native, device, region, geometry, node, cluster, before, signal, onStep };
}

/** The blocks before the start; null where they cannot be read: the start itself meets the same disk and says what is wrong with it. */
async function slotsBefore(
  { native, volume, signal }: RegionContext,
  geometry: RegionGeometry,
): Promise<HeartbeatSlot[] | null> {
  try {
    return await native.readHeartbeatSlots(volume.device, geometry, { signal });
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    return null;
  }
}

/**
 * How long the start will take by the kernel's own rule (kernel-abi 1.8): three steady iterations, one more on an area this
 * node never wrote, one more when no other region makes this node live. Peers that come or go add theirs.
 */
async function predictStart(
  native: Native,
  node: LocalNode,
  before: readonly HeartbeatSlot[] | null,
): Promise<{ expectedMs: number; reason: string }> {
  let iterations = STEADY_ITERATIONS;
  const reasons = [`${STEADY_ITERATIONS} steady rounds of ${ITERATION_MS / 1000} s`];
  if (before?.find(({ slot }) => slot === node.number)?.sequence === 0n) {
    iterations += 1;
    reasons.push("one more on a heartbeat area this node never used");
  }
  if ((await isLive(native, node)) !== true) {
    iterations += 1;
    reasons.push("one more as this node is not live yet");
  }
  return { expectedMs: (iterations - 1) * ITERATION_MS, reason: reasons.join(", ") };
}

/**
 * Whether the kernel survives a start that is interrupted: 6.12 and 7.2 do; 5.10.223 and 6.1.176 keep pointing at a thread that soon
 * ends (see refuseDeadThread in stop-region.ts), and it may end just before the region is removed. There a start is given up once it
 * has ended, some seconds later.
 */
async function mayInterruptStart(native: Native): Promise<boolean> {
  const release = await kernelRelease(native);
  return release === null || release.major > 6 || (release.major === 6 && release.minor >= 12);
}
