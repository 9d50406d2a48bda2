// ocfs2_hb_ctl -P: real-time I/O priority for the thread that beats a region, for disk schedulers that know priorities.
//
// Facts relied on: commands 1.6: class real-time, level 0 to 7; an empty `pid` read as 0 would change this process instead.
import { readOptional } from "../attributes.ts";
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { resolveRegion } from "../region/find-device.ts";
import { registeredCluster } from "../region/regions.ts";

export const IOPRIO_CLASS_REALTIME = 1;

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
  const path = cluster === null ? null : `${cluster.heartbeatDirectory}/${region}/pid`;
  const pid = path === null ? null : await readOptional(native, path, request.signal);
  if (pid === null || !/^[1-9]\d*$/.test(pid))
    throw new O2cbError("O2CB_SERVICE_UNAVAILABLE", `the region '${region}' does not beat on this node`, {
      operation: "set-priority",
      region,
      path: path ?? undefined,
      remedy: "mount the volume, or start its heartbeat with ocfs2_hb_ctl -S",
    });
  await native.setIoPriority(Number(pid), IOPRIO_CLASS_REALTIME, request.level);
  return { region, pid: Number(pid) };
}
