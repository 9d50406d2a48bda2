// The kernel's miscellaneous devices, which the DLM and the plugin of userspace stacks are controlled through: their numbers and their nodes.
//
// Facts relied on: /proc/misc has a line `MINOR NAME` for each; they have major number 10. udev links a device into /dev/misc; devtmpfs makes it in
// /dev. A node that an earlier boot left may be another device's.
import { isErrno } from "../errors.ts";
import type { Native } from "../native-types.ts";

/** the DLM's */
export const DLM_CONTROL = "dlm-control";
/** that of the plugin for userspace stacks */
export const PLUGIN_CONTROL = "ocfs2_control";
export const MISC_FILE = "/proc/misc";
export const MISC_MAJOR = 10;

/** The number of a device in the text of MISC_FILE; null where the kernel has none of that name. */
export function miscMinor(text: string, name: string): number | null {
  const line = text.split("\n").find((one) => one.trim().split(/\s+/)[1] === name);
  return line === undefined ? null : Number.parseInt(line, 10);
}

/** Where its node can be: as udev links it, and as devtmpfs makes it. */
export function miscPlaces(name: string): readonly [string, string] {
  return [`/dev/misc/${name}`, `/dev/${name}`];
}

/** Whether the node at `path` is this very device; false where there is none. */
export async function isMiscDevice(
  native: Native,
  path: string,
  minor: number,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    const { kind, represents } = await native.inspectPath(path, null, { signal });
    return kind === "character" && represents?.major === MISC_MAJOR && represents.minor === minor;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) return false;
    throw error;
  }
}
