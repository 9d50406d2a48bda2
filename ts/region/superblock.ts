// Block devices and the mounts on them: numbers, names, paths. Whether a superblock is alive is asked in liveness.ts.
//
// Facts relied on: /sys/dev/block/M:m leads to the kernel's name of a disk (proc and sysfs ABI), and is gone with the disk.
import { isErrno } from "../errors.ts";
import type { DeviceNumber, MountEntry, Native } from "../native-types.ts";

export const FILESYSTEM_TYPE = "ocfs2";

export function sameDevice(a: DeviceNumber | null, b: DeviceNumber | null): boolean {
  return a !== null && b !== null && a.major === b.major && a.minor === b.minor;
}

/** The mounts of the superblock on this device that this namespace can see, oldest first. */
export async function visibleMounts(
  native: Native,
  device: DeviceNumber,
  namespace: string | null = null,
  signal?: AbortSignal,
): Promise<MountEntry[]> {
  const all = await native.mounts(namespace, { signal });
  return all.filter((entry) => entry.type === FILESYSTEM_TYPE && sameDevice(entry.device, device));
}

/** The kernel's name of a block device (`sda1`, `dm-0`), as regions report it in `dev`; null where the device is gone. */
export async function kernelName(
  native: Native,
  device: DeviceNumber,
  signal?: AbortSignal,
): Promise<string | null> {
  try {
    const link = await native.readLink(`/sys/dev/block/${device.major}:${device.minor}`, { signal });
    return link.slice(link.lastIndexOf("/") + 1) || null;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "EINVAL")) return null;
    throw error;
  }
}

/** A path in /dev that is this very device; null where there is none. */
export async function devicePath(
  native: Native,
  device: DeviceNumber,
  hint: string | null,
  signal?: AbortSignal,
): Promise<string | null> {
  const candidates = [hint, `/dev/block/${device.major}:${device.minor}`];
  const name = await kernelName(native, device, signal);
  // The kernel writes `!` for a slash in a disk's name (cciss!c0d0).
  if (name !== null) candidates.push(`/dev/${name.replaceAll("!", "/")}`);
  for (const path of candidates) {
    if (path === null || !path.startsWith("/")) continue;
    try {
      const facts = await native.inspectPath(path, null, { signal });
      if (facts.kind === "block" && sameDevice(facts.represents, device)) return path;
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR", "EACCES", "ENXIO", "ENODEV")) throw error;
    }
  }
  return null;
}
