// What runs on this node, asked after a mount on a userspace stack was refused: the kernel gives an errno, and the names are here.
//
// Facts relied on: userspace-stack 8 (EBUSY for another stack, EBADR for another cluster), 9.5. Everything is a hint for a sentence: what cannot be
// read is not said.
import { readHint } from "../attributes.ts";
import type { Native } from "../native-types.ts";
import { STACK_FILE } from "../stack/detect.ts";
import { readDlmSettings } from "../stack/transport.ts";
import { CLASSIC_STACK } from "../volume.ts";
import type { MountFacts } from "./errno-clues.ts";

/** Nothing for the classic stack, whose join has compared all names already. */
export async function runningFacts(native: Native, stack: string): Promise<Partial<MountFacts>> {
  if (stack === CLASSIC_STACK || stack === "") return {};
  const settings = await readDlmSettings(native).catch(() => null);
  return {
    runningStack: (await readHint(native, STACK_FILE))?.trim() || null,
    runningCluster: settings?.clusterName || null,
    hasRecoveryCallbacks: settings === null ? undefined : settings.recoverCallbacks !== "0",
  };
}
