// What can be known of a volume before it is mounted: whether it can be, and whether that needs the group.
//
// Facts relied on: kernel-abi 7.1 and 7.2: the kernel answers all that is refused here with a bare EINVAL or EACCES, or with a crash.
import { constants } from "node:os";
import { O2cbError } from "../errors.ts";
import { kernelRelease } from "../kernel-release.ts";
import type { Native } from "../native-types.ts";
import type { Volume } from "../volume.ts";

/** Whether the mount needs the group. The kernel would answer the cases refused here with a bare EINVAL or EACCES. */
export function checkVolume(volume: Volume, readOnly: boolean): boolean {
  const fields = { operation: "check-volume", path: volume.device, region: volume.uuid };
  if (volume.isHeartbeatDevice) {
    throw new O2cbError(
      "O2CB_BAD_DEVICE",
      `'${volume.device}' holds heartbeat slots only and can never be mounted`,
      { ...fields, remedy: "name the device of a volume made without mkfs.ocfs2 -H" },
    );
  }
  if (volume.isReadOnly && !readOnly) {
    throw new O2cbError("O2CB_BAD_DEVICE", `the device '${volume.device}' is read-only`, {
      ...fields,
      errno: -constants.errno.EACCES,
      remedy: "mount it with -o ro, or make the device writable (blockdev --setrw)",
    });
  }
  // On a read-only device the kernel mounts without any cluster service (kernel-abi 7.1).
  return !volume.isLocal && !volume.isReadOnly;
}

/**
 * On kernel 6.1 the end of a mount on a read-only device is a null pointer in ocfs2_clear_inode, and OCFS2's hosts panic on an
 * oops: measured in the lab on Debian's 6.1.176, with the bare mount(2) as well; 5.10.223, 6.12.117 and 7.2.12 end it cleanly.
 */
export async function refuseDeadlyReadOnly(native: Native, volume: Volume): Promise<void> {
  const release = await kernelRelease(native);
  if (release?.major !== 6 || release.minor !== 1) return;
  throw new O2cbError(
    "O2CB_BAD_DEVICE",
    `the device '${volume.device}' is read-only, and this kernel (${release.text}) crashes when a mount of such a device ends`,
    {
      operation: "check-volume",
      path: volume.device,
      region: volume.uuid,
      remedy: "mount it on a host with another kernel, or through a writable snapshot of the device",
    },
  );
}
