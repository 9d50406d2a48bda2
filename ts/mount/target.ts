// What a mount is asked to use: the directory and the device, looked at before anything is begun.
//
// Facts relied on: the C tool exits 0 when the directory is missing or is none (commands 6.2, 1); mount(2) names a
// device-mapper node by the path it is given, so `dm-N` becomes its name in /dev/mapper, as libmount shows it (commands 1.3, 13).
import { readHint } from "../attributes.ts";
import { isErrno, O2cbError } from "../errors.ts";
import type { Native, PathFacts } from "../native-types.ts";

export interface MountDirectory {
  path: string;
  facts: PathFacts;
}

/** Errors: O2CB_BAD_MOUNT_POINT (missing, dangling, no directory). */
export async function checkDirectory(
  native: Native,
  directory: string,
  namespace: string | null,
  signal?: AbortSignal,
): Promise<MountDirectory> {
  const fields = { operation: "check-directory", path: directory };
  let facts: PathFacts;
  try {
    facts = await native.inspectPath(directory, namespace, { signal });
  } catch (error) {
    const errno = (error as O2cbError).errno;
    if (isErrno(error, "ENOENT"))
      throw new O2cbError("O2CB_BAD_MOUNT_POINT", `the mount point '${directory}' does not exist`, {
        ...fields,
        errno,
        cause: error,
      });
    if (isErrno(error, "ENOTDIR"))
      throw new O2cbError(
        "O2CB_BAD_MOUNT_POINT",
        `a part of the mount point's path '${directory}' is not a directory`,
        { ...fields, errno, cause: error },
      );
    if (isErrno(error, "ELOOP"))
      throw new O2cbError(
        "O2CB_BAD_MOUNT_POINT",
        `the mount point '${directory}' is a chain of links without end`,
        { ...fields, errno, cause: error },
      );
    throw error;
  }
  if (facts.kind !== "directory") {
    throw new O2cbError("O2CB_BAD_MOUNT_POINT", `the mount point '${directory}' is not a directory`, fields);
  }
  return { path: facts.realPath, facts };
}

/** The device's path as mount(2) shall see it. Errors: O2CB_BAD_DEVICE (missing, or no block device). */
export async function checkDevice(
  native: Native,
  device: string,
  signal?: AbortSignal,
): Promise<{ path: string; facts: PathFacts }> {
  const fields = { operation: "check-device", path: device };
  let facts: PathFacts;
  try {
    facts = await native.inspectPath(device, null, { signal });
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error;
    throw new O2cbError("O2CB_BAD_DEVICE", `the device '${device}' does not exist`, {
      ...fields,
      errno: (error as O2cbError).errno,
      remedy: "check the name, and that the path to the disk is up",
      cause: error,
    });
  }
  if (facts.kind !== "block") {
    throw new O2cbError("O2CB_BAD_DEVICE", `'${device}' is not a block device`, {
      ...fields,
      remedy:
        facts.kind === "file"
          ? "an image file needs a loop device: losetup --find --show FILE"
          : "name the block device that holds the volume",
    });
  }
  const leaf = /^\/dev\/(dm-\d+)$/.exec(facts.realPath)?.[1];
  const mapped = leaf === undefined ? null : await readHint(native, `/sys/block/${leaf}/dm/name`);
  return { path: mapped ? `/dev/mapper/${mapped}` : facts.realPath, facts };
}
