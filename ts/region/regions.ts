// The heartbeat regions in configfs, as directories: where they are, on what they beat. Reads only.
//
// Facts relied on: configfs is at one of two places, with at most one cluster in it (kernel-abi 1.2, 8).
import { readHint, readOptional } from "../attributes.ts";
import { isErrno } from "../errors.ts";
import type { DeviceNumber, Native } from "../native-types.ts";
import { CONFIGFS_BASES } from "../stack/detect.ts";
import type { HeartbeatMode } from "../steps.ts";

export interface RegisteredCluster {
  name: string;
  heartbeatDirectory: string;
  mode: HeartbeatMode;
}

export interface StartedRegion {
  name: string;
  directory: string;
  /** the kernel's name of the disk; empty where no heartbeat was started, null where the attribute is missing */
  dev: string | null;
}

/** The registered cluster; null where there is none. Unlike runningCluster this is no error: an audit works without. */
export async function registeredCluster(native: Native): Promise<RegisteredCluster | null> {
  for (const base of CONFIGFS_BASES) {
    const [name] = await listOrNone(native, `${base}/cluster`);
    if (name === undefined) continue;
    const heartbeatDirectory = `${base}/cluster/${name}/heartbeat`;
    const mode = (await readHint(native, `${heartbeatDirectory}/mode`))?.trim();
    return { name, heartbeatDirectory, mode: mode === "global" ? "global" : "local" };
  }
  return null;
}

/** Every region there is, whatever its name. */
export async function startedRegions(native: Native): Promise<StartedRegion[]> {
  const cluster = await registeredCluster(native);
  if (cluster === null) return [];
  const names = await listOrNone(native, cluster.heartbeatDirectory);
  return Promise.all(
    names.map(async (name) => {
      const directory = `${cluster.heartbeatDirectory}/${name}`;
      return { name, directory, dev: await readOptional(native, `${directory}/dev`) };
    }),
  );
}

/** The number of a disk by the kernel's name; null where the disk is gone. Throws where that cannot be told. */
export async function deviceNumberOf(native: Native, disk: string): Promise<DeviceNumber | null> {
  const text = await readOptional(native, `/sys/class/block/${disk}/dev`);
  const match = /^(\d+):(\d+)$/.exec(text?.trim() ?? "");
  return match === null ? null : { major: Number(match[1]), minor: Number(match[2]) };
}

/** The sub-directories; none where there is no such directory. */
export async function listOrNone(native: Native, path: string): Promise<string[]> {
  try {
    return await native.listDirectories(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}
