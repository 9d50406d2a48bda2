// Which block devices of this host can carry a volume of their own, and by which path.
//
// Facts relied on: a device that another stands on (paths of a multipath map, members of a mirror, physical volumes) shows the same bytes
// as that other or none of a volume; a whole disk with partitions likewise (kernel-abi knows neither: block layer, sysfs). The C tool
// leaves out what has no more than 1 MiB, counted in blocks of 4 KiB (measured). The kernel writes '!' where a name has a '/'.
import type { BlockDeviceFacts } from "../native-types.ts";

const BLOCK_BYTES = 4096n;
/** as much as a volume for heartbeat only has */
const SMALL_BLOCKS = 256n;

export interface Candidates {
  /** paths, in the kernel's order */
  devices: string[];
  /** what was left out, and why */
  skipped: { device: string; reason: string }[];
}

export function candidates(all: readonly BlockDeviceFacts[]): Candidates {
  const names = new Set(all.map(({ name }) => name));
  const partitioned = new Set(all.flatMap(({ parent }) => (parent === null ? [] : [parent])));
  const found: Candidates = { devices: [], skipped: [] };
  for (const one of all) {
    const device = devicePath(one);
    const holder = one.holders.find((name) => names.has(name));
    if (one.bytes / BLOCK_BYTES <= SMALL_BLOCKS)
      found.skipped.push({ device, reason: "it is too small for a volume" });
    else if (holder !== undefined)
      found.skipped.push({ device, reason: `${holder} stands on it, and is looked at` });
    else if (partitioned.has(one.name))
      found.skipped.push({ device, reason: "it has partitions, which are looked at" });
    else found.devices.push(device);
  }
  return found;
}

function devicePath({ name, mapperName }: BlockDeviceFacts): string {
  return mapperName === null ? `/dev/${name.replaceAll("!", "/")}` : `/dev/mapper/${mapperName}`;
}
