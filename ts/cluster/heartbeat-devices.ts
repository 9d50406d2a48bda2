// The devices of global heartbeat regions: found by their superblocks, and waited for a little.
//
// Facts relied on: group-api 4.6 (the C tool looks again after 1, 3 and 5 s: udev may be late while a host boots; it knows some names of
// disks only, while any block device will do here).
import { isCode, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { pause } from "../pause.ts";
import { findDevice } from "../region/find-device.ts";
import { openVolume, type Volume } from "../volume.ts";
import type { ClusterState } from "./registered.ts";
import type { KernelWrites } from "./writes.ts";

const LATE_DEVICES_MS: readonly number[] = [1000, 3000, 5000];

/** The volume of each region. Errors: O2CB_UNKNOWN_REGION, O2CB_BAD_DEVICE, O2CB_INVALID_CLUSTER_NAME, O2CB_ABORTED. */
export async function findVolumes(
  native: Native,
  cluster: string,
  regions: readonly string[],
  state: ClusterState | null,
  { signal }: KernelWrites,
  pauses: readonly number[] = LATE_DEVICES_MS,
): Promise<Volume[]> {
  const look = async (region: string): Promise<Volume> => {
    // One that beats says itself where: a scan could find a second path to the disk.
    const disk = state?.regions.find(({ name }) => name === region)?.disk ?? null;
    const beating =
      disk === null ? null : await volumeOn(native, `/dev/${disk.replaceAll("!", "/")}`, region);
    return beating ?? openVolume(native, await findDevice(native, region, signal), { signal });
  };
  for (let round = 0; ; round += 1) {
    try {
      const found = await Promise.all(regions.map(look));
      for (const volume of found) checkHeartbeatVolume(volume, cluster);
      return found;
    } catch (error) {
      const wait = pauses[round];
      if (!isCode(error, "O2CB_UNKNOWN_REGION") || wait === undefined) throw error;
      await sleep(wait, signal);
    }
  }
}

async function volumeOn(native: Native, path: string, region: string): Promise<Volume | null> {
  try {
    const volume = await openVolume(native, path);
    return volume.uuid === region ? volume : null;
  } catch {
    return null;
  }
}

function checkHeartbeatVolume(volume: Volume, cluster: string): void {
  if (volume.cluster === null || volume.cluster === cluster) return;
  throw new O2cbError(
    "O2CB_INVALID_CLUSTER_NAME",
    `the heartbeat device '${volume.device}' belongs to cluster '${volume.cluster}', not to '${cluster}'`,
    {
      operation: "start-heartbeat",
      path: volume.device,
      region: volume.uuid,
      cluster,
      remedy:
        "name another device in the configuration, or give this one the cluster's stamp with tunefs.ocfs2 --update-cluster-stack",
    },
  );
}

/** Errors: O2CB_ABORTED. */
async function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await pause(milliseconds, signal);
  if (!signal?.aborted) return;
  throw new O2cbError("O2CB_ABORTED", "the search for heartbeat devices was given up", {
    operation: "start-heartbeat",
    cause: signal.reason,
  });
}
