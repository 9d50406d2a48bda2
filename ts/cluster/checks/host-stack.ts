// Which cluster stack this host is meant for: what runs, and else what the service's settings say.
import { readSysconfig } from "../../config/sysconfig.ts";
import type { Native } from "../../native-types.ts";
import { registeredCluster } from "../../region/regions.ts";
import { readLabel } from "../../stack/detect.ts";
import { CLASSIC_STACK } from "../../volume.ts";

/** A user stack's label; null for a host of the classic stack. */
export async function hostUserStack(native: Native, signal?: AbortSignal): Promise<string | null> {
  const running = await readLabel(native, signal).catch(() => null);
  if (running !== null && running !== CLASSIC_STACK) return running;
  const { stack } = (await readSysconfig(native, { signal })).values;
  return stack === CLASSIC_STACK ? null : stack;
}

/** A host whose clusters are not o2cb's: what those need is no question there. */
export async function isUserHost(native: Native, signal?: AbortSignal): Promise<boolean> {
  try {
    return (await hostUserStack(native, signal)) !== null && (await registeredCluster(native)) === null;
  } catch {
    // Then everything is asked.
    return false;
  }
}
