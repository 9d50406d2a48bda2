// Real-time I/O priority for the thread that beats a region, for disk schedulers that know priorities.
//
// Facts relied on: commands 1.6: class real-time, level 0 (highest) to 7; an empty `pid` read as 0 would change this process instead.
import { readOptional } from "../attributes.ts";
import type { Native } from "../native-types.ts";

const IOPRIO_CLASS_REALTIME = 1;
export const HIGHEST_LEVEL = 0;

/** The thread's number; null where the region does not beat. Errors: what the kernel says. */
export async function raisePriority(
  native: Native,
  directory: string,
  level: number,
  signal?: AbortSignal,
): Promise<number | null> {
  const pid = await readOptional(native, `${directory}/pid`, signal);
  if (pid === null || !/^[1-9]\d*$/.test(pid)) return null;
  await native.setIoPriority(Number(pid), IOPRIO_CLASS_REALTIME, level);
  return Number(pid);
}
