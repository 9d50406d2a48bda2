// Is there a live superblock on a device? The kernel is asked, never a mount table alone: mount points can be detached,
// hidden in other namespaces or held by a file, and the superblock lives on.
//
// Facts relied on (commands 2.5, measured): `/sys/fs/ocfs2/<disk>` exists from mount to the beginning of the dismount, for
// every way a superblock can be held; kernels before about 4.7 do not have it. An exclusive open is refused while anything
// claims the device, and free again only when the superblock is completely gone: the strongest sign of death, and while it
// is held no mount can begin. umount(2) of the last plain mount returns after the claim is free; a dying superblock of a
// lazy unmount frees it up to some seconds after the last user.
import { exists } from "../attributes.ts";
import { isErrno } from "../errors.ts";
import type { DeviceNumber, Held, MountEntry, Native } from "../native-types.ts";

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

/**
 * Whether a live superblock is on the device that a new mount(2) would share. False for one that is being dismounted: a new
 * mount waits for its end and then makes a superblock of its own.
 */
export async function hasLiveSuperblock(
  native: Native,
  device: DeviceNumber,
  signal?: AbortSignal,
): Promise<boolean> {
  if ((await visibleMounts(native, device, null, signal)).length > 0) return true;
  const disk = await kernelName(native, device, signal);
  return disk !== null && exists(native, `/sys/fs/ocfs2/${disk}`, signal);
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

/**
 * Proves that the superblock is gone by claiming the device; the claim is returned and keeps mounts away until released.
 * Tries for `patienceMs`; null where the device stays claimed.
 */
export async function claimDeadDevice(
  native: Native,
  path: string,
  patienceMs: number,
  signal?: AbortSignal,
): Promise<Held | null> {
  const end = Date.now() + patienceMs;
  for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 2, 250)) {
    const claim = await native.claimDevice(path, { signal });
    if (claim !== null || Date.now() >= end) return claim;
    // No event tells of the claim's end; the wait is bounded by the caller's patience.
    await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, Math.max(1, end - Date.now()))));
  }
}
