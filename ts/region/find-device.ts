// From a volume's UUID to the region's name and to the block device that carries the volume.
//
// Facts relied on: the C tool opens every device in turn and takes the first that matches, so that one path of a multipath
// device, or a clone, can get the heartbeat (commands 3.1, 6.2 row 11). Here a device that another one is made of
// (/sys/class/block/NAME/holders) is no candidate, and two that match are refused. Names in sysfs have `!` for a slash.
//
// Nothing is written, no module is loaded, and a device that cannot be read is none that carries the volume.
import { readHint } from "../attributes.ts";
import { isCode, isErrno, O2cbError } from "../errors.ts";
import { checkDevice } from "../mount/target.ts";
import type { Native } from "../native-types.ts";
import { openVolume, regionName } from "../volume.ts";

const BLOCK_CLASS = "/sys/class/block";
/** How many devices are read at the same time: a slow one keeps the others from nothing. */
const PARALLEL = 8;
/** Memory, floppies and optical media carry no cluster's volume, and reading an empty drive fills the kernel's log. */
const NEVER = /^(ram|fd|sr)\d+$/;

/** One of the two ways in which a command names a volume. */
export interface VolumeName {
  device: string | null;
  /** in any case, with or without dashes */
  uuid: string | null;
}

/**
 * The region's name: from the UUID without opening anything, else from the device's superblock.
 * Errors: O2CB_INVALID_REGION_NAME; those of openVolume.
 */
export async function resolveRegion(
  native: Native,
  { device, uuid }: VolumeName,
  signal?: AbortSignal,
): Promise<string> {
  if (uuid !== null) return regionName(uuid);
  if (device === null) throw new TypeError("resolveRegion: a device or a UUID has to be named");
  return (await openVolume(native, device, { signal })).uuid;
}

/**
 * The device that carries the region's volume.
 * Errors: O2CB_UNKNOWN_REGION (none does), O2CB_BAD_DEVICE (several do), O2CB_PERMISSION_DENIED, O2CB_ABORTED.
 */
export async function findDevice(native: Native, region: string, signal?: AbortSignal): Promise<string> {
  const waiting = await candidates(native, signal);
  const found = new Map<string, string>();
  let refusal: unknown = null;
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      try {
        const match = await readOne(native, name, region, signal);
        if (match !== null) found.set(match.number, match.path);
      } catch (error) {
        if (isCode(error, "O2CB_ABORTED")) throw error;
        if (isErrno(error, "EACCES", "EPERM")) refusal = error;
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));

  const [path, ...others] = [...found.values()].toSorted();
  const fields = { operation: "find-device", region };
  if (path !== undefined && others.length === 0) return path;
  if (path !== undefined) {
    throw new O2cbError(
      "O2CB_BAD_DEVICE",
      `several devices carry the volume ${region}: ${[path, ...others].join(", ")}`,
      {
        ...fields,
        remedy: "name the device that is meant, with -d; give a copy another UUID with tunefs.ocfs2 -U",
      },
    );
  }
  // Who may not look cannot say that there is none.
  if (refusal !== null) throw refusal;
  throw new O2cbError("O2CB_UNKNOWN_REGION", `no block device of this host carries the volume ${region}`, {
    ...fields,
    remedy: "check the UUID, and that the path to the disk is up",
  });
}

/** The kernel's names of all devices that could carry a volume. */
async function candidates(native: Native, signal?: AbortSignal): Promise<string[]> {
  const names = (await entries(native, BLOCK_CLASS, signal)).filter((name) => !NEVER.test(name));
  const usable = await Promise.all(
    names.map(async (name) => {
      const size = await readHint(native, `${BLOCK_CLASS}/${name}/size`);
      return size !== "0" && (await entries(native, `${BLOCK_CLASS}/${name}/holders`, signal)).length === 0;
    }),
  );
  return names.filter((_, index) => usable[index]);
}

/** Links and directories alike: which of them sysfs has depends on the kernel's age. */
async function entries(native: Native, path: string, signal?: AbortSignal): Promise<string[]> {
  try {
    const both = [native.listFiles(path, { signal }), native.listDirectories(path, { signal })];
    return (await Promise.all(both)).flat();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

async function readOne(
  native: Native,
  name: string,
  region: string,
  signal?: AbortSignal,
): Promise<{ path: string; number: string } | null> {
  const { path, facts } = await checkDevice(native, `/dev/${name.replaceAll("!", "/")}`, signal);
  const volume = await native.readVolume(path, { signal });
  const number = volume.deviceNumber ?? facts.represents;
  return volume.uuid === region ? { path, number: `${number?.major}:${number?.minor}` } : null;
}
