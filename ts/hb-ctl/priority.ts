// ocfs2_hb_ctl -P: the I/O priority of a region's heartbeat.
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { resolveRegion } from "../region/find-device.ts";
import { raisePriority } from "../region/priority.ts";
import { registeredCluster } from "../region/regions.ts";

export interface PriorityRequest {
  device: string | null;
  uuid: string | null;
  /** 0 (highest) to 7 */
  level: number;
  signal?: AbortSignal | undefined;
}

/** Errors: O2CB_SERVICE_UNAVAILABLE where the region does not beat, O2CB_PERMISSION_DENIED, those of resolveRegion. */
export async function setRegionPriority(
  native: Native,
  request: PriorityRequest,
): Promise<{ region: string; pid: number }> {
  const region = await resolveRegion(native, request, request.signal);
  const cluster = await registeredCluster(native);
  const directory = cluster === null ? null : `${cluster.heartbeatDirectory}/${region}`;
  const pid =
    directory === null ? null : await raisePriority(native, directory, request.level, request.signal);
  if (pid === null)
    throw new O2cbError("O2CB_SERVICE_UNAVAILABLE", `the region '${region}' does not beat on this node`, {
      operation: "set-priority",
      region,
      path: directory ?? undefined,
      remedy: "mount the volume, or start its heartbeat with ocfs2_hb_ctl -S",
    });
  return { region, pid };
}
