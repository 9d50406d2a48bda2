// Where this node has a volume mounted, in words, for the sentence that refuses something to whoever wants it for himself.
//
// Facts relied on: mountinfo (of this process's namespace, and of the others that have a process) shows a mount's device.
import { isCode } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { allMounts } from "../region/liveness.ts";
import { sameDevice } from "../region/superblock.ts";
import type { Volume } from "../volume.ts";

/** `'/vol'`, `'/vol' (in /proc/17/ns/mnt)`; none where no mount of it can be seen. Errors: O2CB_ABORTED. */
export async function mountedHere(
  native: Native,
  { deviceNumber }: Pick<Volume, "deviceNumber">,
  signal?: AbortSignal,
): Promise<string[]> {
  try {
    const mounts = await allMounts(native, signal);
    return mounts
      .filter(({ entry }) => sameDevice(entry.device, deviceNumber))
      .map(({ directory, namespace }) => `'${directory}'${namespace === null ? "" : ` (in ${namespace})`}`);
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    return [];
  }
}
