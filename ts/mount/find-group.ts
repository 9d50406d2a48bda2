// Which group a mount relies on, found before umount2(2): after it nothing else would lead there.
//
// Facts relied on: commands 2.6, S2 (what the superblock's options tell), userspace-stack 3.4 (the last unmount is a leave there too), 4.2 (one
// predicate for begin and leave). What is needed comes from mountinfo and configfs, and only if they do not tell from the disk.
//
// Never throws: what cannot be found out is told after the unmount. Looks twice, since a mount of these kinds has a group.
import { O2cbError } from "../errors.ts";
import type { MountEntry, Native } from "../native-types.ts";
import { startedRegions, type StartedRegion } from "../region/regions.ts";
import { devicePath, kernelName } from "../region/superblock.ts";
import { transportOf } from "../stack/transport.ts";
import { CLASSIC_STACK, isRegionName } from "../volume.ts";
import { stackOfMount } from "./remount.ts";

export type MountGroup =
  /** a local volume, global heartbeat, or a userspace stack that the kernel leaves by itself */
  | { kind: "none"; region: null }
  /** a heartbeat region of its own, with its directory in configfs */
  | { kind: "region"; region: string; directory: string }
  /** a mount group of the control daemon */
  | { kind: "controld"; region: string; clusterStack: string }
  | { kind: "unknown"; region: null; problem: O2cbError };

const NONE: MountGroup = { kind: "none", region: null };

export async function findGroup(native: Native, entry: MountEntry): Promise<MountGroup> {
  const label = stackOfMount(entry);
  const isUserStack = label !== CLASSIC_STACK;
  if (!isUserStack && !entry.superOptions.split(",").includes("heartbeat=local")) return NONE;
  const what = isUserStack ? "mount group" : "heartbeat region";
  for (const last of [false, true]) {
    try {
      if (isUserStack) return await findMountGroup(native, entry, label);
      const own = await findRegion(native, entry);
      if (own !== null) return { kind: "region", region: own.name, directory: own.directory };
    } catch (cause) {
      const message = `the ${what} of '${entry.target}' could not be found: ${(cause as Error).message}`;
      const fields = { operation: "find-region", path: entry.source, cause };
      if (last)
        return {
          kind: "unknown",
          region: null,
          problem: new O2cbError("O2CB_UNKNOWN_REGION", message, fields),
        };
    }
  }
  return NONE;
}

async function findMountGroup(native: Native, entry: MountEntry, clusterStack: string): Promise<MountGroup> {
  if ((await transportOf(native, clusterStack)) === "kernel") return NONE;
  const path = (await devicePath(native, entry.device, entry.source)) ?? entry.source;
  const { uuid, isReadOnly } = await native.readVolume(path);
  // Of a device that refuses writes the kernel makes a mount without the cluster (check-volume.ts).
  return isReadOnly ? NONE : { kind: "controld", region: uuid, clusterStack };
}

async function findRegion(native: Native, entry: MountEntry): Promise<StartedRegion | null> {
  const disk = await kernelName(native, entry.device);
  const regions = await startedRegions(native);
  const beating =
    disk === null ? [] : regions.filter((region) => region.dev === disk && isRegionName(region.name));
  if (beating.length === 1) return beating[0] ?? null;
  if (regions.length === 0) return null;
  // No region, or several, on this device: the superblock says which is the volume's.
  const path = await devicePath(native, entry.device, entry.source);
  const facts = path === null ? null : await native.readVolume(path);
  return regions.find((region) => region.name === facts?.uuid) ?? null;
}
