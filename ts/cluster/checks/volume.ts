// A named device against this host: is a volume on it, does its stamp fit what runs, can its heartbeat area be used, is it the right
// path to the disk?
//
// Facts relied on: the kernel compares neither the cluster's name nor the mode with the volume before it is too late (kernel-abi 1.3, 7.2),
// so this is told here first (users 1.3, M1). disk-format 2.4: the heartbeat area is one extent, and a block is one sector.
// sysfs: `holders` names what a device is a part of. kernel-abi 7.4: a kernel may refuse to mount a device that has a writer.
import { readHint } from "../../attributes.ts";
import { isCode, isErrno, type O2cbError } from "../../errors.ts";
import { kernelRelease } from "../../kernel-release.ts";
import type { Native } from "../../native-types.ts";
import { findDevice } from "../../region/find-device.ts";
import { registeredCluster } from "../../region/regions.ts";
import { kernelName } from "../../region/superblock.ts";
import { STACK_FILE } from "../../stack/detect.ts";
import { userClusterName } from "../../stack/user-cluster.ts";
import { CLASSIC_STACK, heartbeatGeometry, openVolume, type Volume } from "../../volume.ts";
import { failure, good, warning, type Check, type CheckContext, type Finding } from "./finding.ts";
import { slotFindings } from "./slots.ts";

export const volumeChecks: readonly Check[] = [
  { id: "volume", look: (context) => eachDevice(context, openFindings) },
  { id: "volume-stamp", look: (context) => eachVolume(context, "volume-stamp", stampFinding) },
  { id: "heartbeat-area", look: (context) => eachVolume(context, "heartbeat-area", areaFinding) },
  { id: "heartbeat-slots", look: (context) => eachVolume(context, "heartbeat-slots", slotFindings) },
  { id: "device-holders", look: (context) => eachVolume(context, "device-holders", holdersFinding) },
  { id: "device-copies", look: (context) => eachVolume(context, "device-copies", copiesFinding) },
  { id: "write-mounted", look: writeMounted },
];

type Look = (volume: Volume, context: CheckContext) => Promise<readonly Finding[]>;

async function eachDevice(
  context: CheckContext,
  look: (device: string, context: CheckContext) => Promise<readonly Finding[]>,
): Promise<Finding[]> {
  return (await Promise.all(context.devices.map((device) => look(device, context)))).flat();
}

/** Devices without a readable volume are the subject of the check `volume`; volumes without a cluster have no more to be looked at. */
function eachVolume(context: CheckContext, id: string, look: Look): Promise<Finding[]> {
  return eachDevice(context, async (device) => {
    const volume = await openVolume(context.native, device, { signal: context.signal }).catch(() => null);
    if (volume === null || volume.isLocal) return [];
    try {
      return await look(volume, context);
    } catch (error) {
      if (isCode(error, "O2CB_ABORTED")) throw error;
      return [warning(id, `it could not be looked at: ${(error as Error).message}`, null, device)];
    }
  });
}

async function openFindings(device: string, { native, signal }: CheckContext): Promise<Finding[]> {
  const id = "volume";
  try {
    const volume = await openVolume(native, device, { signal });
    if (!volume.isBlockDevice)
      return [failure(id, `'${device}' is an image file, not a block device`, "name a block device", device)];
    const kind = volume.isLocal
      ? "formatted for one node, without a cluster"
      : volume.isHeartbeatDevice
        ? "a heartbeat device"
        : `formatted for ${volume.maxSlots} nodes`;
    return [
      good(
        id,
        `'${device}' holds the volume ${volume.uuid}${volume.label === "" ? "" : ` ('${volume.label}')`}, ${kind}`,
        device,
      ),
      ...(volume.isReadOnly
        ? [
            warning(
              id,
              `'${device}' refuses writes, so no heartbeat can be written to it`,
              "make it writable, or mount it with ro only",
              device,
            ),
          ]
        : []),
    ];
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    const { message, remedy } = error as O2cbError;
    const say = isErrno(error, "EACCES", "EPERM") ? warning : failure;
    return [say(id, message, remedy ?? "check the device's name, and the path to the disk", device)];
  }
}

const stampFinding: Look = async (volume, { native, signal }) => {
  const id = "volume-stamp";
  const { device, stack, cluster, heartbeatMode } = volume;
  const stamp = volume.hasClusterInfo
    ? `'${device}' is formatted for stack '${stack}', cluster '${cluster ?? ""}'${stack === CLASSIC_STACK ? `, heartbeat ${heartbeatMode}` : ""}`
    : `'${device}' carries no cluster's stamp: any classic cluster with local heartbeat may use it`;
  const running = (await readHint(native, STACK_FILE)) ?? CLASSIC_STACK;
  const restamp = "give the volume the running cluster's stamp with tunefs.ocfs2 --update-cluster-stack";
  const danger = "only while no node has it mounted";
  if (stack !== running)
    return [
      failure(
        id,
        `${stamp}, and stack '${running}' runs here`,
        `switch this host to '${stack}' (o2cb set-stack ${device}), or ${restamp}, ${danger}`,
        device,
      ),
    ];
  if (stack !== CLASSIC_STACK) return [await userStamp(volume, stamp, native, signal)];
  const registered = await registeredCluster(native);
  if (registered === null)
    return [warning(id, `${stamp}, and no cluster is registered here`, "start it: o2cb online", device)];
  const here = `cluster '${registered.name}' with heartbeat ${registered.mode} runs here`;
  if (cluster !== null && cluster !== registered.name)
    return [
      failure(
        id,
        `${stamp}, and ${here}: the kernel would not notice, and two clusters could write to it`,
        `register the cluster '${cluster}', or ${restamp}, ${danger}`,
        device,
      ),
    ];
  if (heartbeatMode !== registered.mode)
    return [
      failure(
        id,
        `${stamp}, and ${here}`,
        `change the cluster's mode (o2cb heartbeat-mode, with downtime), or ${restamp}, ${danger}`,
        device,
      ),
    ];
  return [good(id, `${stamp}, and ${here}`, device)];
};

/** The kernel's DLM compares the names at the mount. */
async function userStamp(
  { device, stack, cluster }: Volume,
  stamp: string,
  native: Native,
  signal: AbortSignal | undefined,
): Promise<Finding> {
  const id = "volume-stamp";
  const running = await userClusterName(native, signal);
  if (running === null)
    return warning(
      id,
      `${stamp}, and no cluster of '${stack}' runs here`,
      "start corosync and dlm_controld",
      device,
    );
  if (running === cluster) return good(id, `${stamp}, as runs here`, device);
  return failure(
    id,
    `${stamp}, and cluster '${running}' runs here: the kernel refuses to mount it`,
    "run the cluster that the volume names, or give the volume the running one's stamp with tunefs.ocfs2 --update-cluster-stack, only while no node has it mounted",
    device,
  );
}

const areaFinding: Look = async (volume) => {
  const id = "heartbeat-area";
  if (volume.stack !== CLASSIC_STACK) return [];
  try {
    const { startBlock, blockBytes, blocks } = heartbeatGeometry(volume);
    return [
      good(
        id,
        `the heartbeat area of '${volume.device}' has ${blocks} blocks of ${blockBytes} bytes from block ${startBlock}`,
        volume.device,
      ),
    ];
  } catch (error) {
    const { message, remedy, code } = error as O2cbError;
    const advice =
      code === "O2CB_INVALID_BLOCK_SIZE"
        ? "format the volume with a block size that is not below the sector size (mkfs.ocfs2 -b)"
        : remedy;
    return [failure(id, message, advice ?? "run fsck.ocfs2 on the volume", volume.device)];
  }
};

const holdersFinding: Look = async (volume, { native }) => {
  const id = "device-holders";
  const name = volume.deviceNumber === null ? null : await kernelName(native, volume.deviceNumber);
  if (name === null)
    return [warning(id, `sysfs does not know the disk of '${volume.device}'`, null, volume.device)];
  const directory = `/sys/class/block/${name}/holders`;
  const holders = await Promise.all([native.listFiles(directory), native.listDirectories(directory)]).catch(
    (error: unknown) => {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return [[], []];
      throw error;
    },
  );
  const names = holders.flat();
  if (names.length === 0) return [good(id, `nothing is built on '${volume.device}'`, volume.device)];
  return [
    failure(
      id,
      `'${volume.device}' is a part of ${names.join(", ")}: one path of it can fail while the others work`,
      `use /dev/${names[0]} instead`,
      volume.device,
    ),
  ];
};

const copiesFinding: Look = async (volume, { native, signal }) => {
  const id = "device-copies";
  try {
    const found = await findDevice(native, volume.uuid, signal);
    return [good(id, `only ${found} carries the volume ${volume.uuid}`, volume.device)];
  } catch (error) {
    if (isCode(error, "O2CB_BAD_DEVICE"))
      return [
        failure(
          id,
          (error as O2cbError).message,
          "give a copy another UUID with tunefs.ocfs2 -U, or detach it",
          volume.device,
        ),
      ];
    if (isCode(error, "O2CB_UNKNOWN_REGION"))
      return [
        warning(
          id,
          `${(error as O2cbError).message} but '${volume.device}', which sysfs does not list as usable`,
          "check what the device is a part of",
          volume.device,
        ),
      ];
    throw error;
  }
};

/** Whether this kernel would refuse to mount a device on which the heartbeat writes. */
async function writeMounted({ native }: CheckContext): Promise<Finding[]> {
  const id = "write-mounted";
  const line = (await native.readAttribute("/proc/cmdline")).trim();
  const value = [...line.matchAll(/(?:^|\s)bdev_allow_write_mounted(?:=(\S*))?(?=\s|$)/g)].at(-1)?.[1];
  if (value !== undefined && /^(0|n|no|f|false|off)$/i.test(value)) {
    const cluster = await registeredCluster(native);
    if (cluster?.mode === "global")
      return [
        good(id, "the kernel keeps writers away from mounted devices, which global heartbeat is not hurt by"),
      ];
    return [
      failure(
        id,
        `the kernel was booted with bdev_allow_write_mounted=${value}: it refuses to mount a device on which a local heartbeat writes`,
        "remove that from the boot line, or use global heartbeat on devices of its own",
      ),
    ];
  }
  const release = await kernelRelease(native);
  if (release !== null && (release.major < 6 || (release.major === 6 && release.minor < 8)))
    return [good(id, `kernel ${release.text} lets a heartbeat write to a mounted device`)];
  return [good(id, "the boot line does not keep the heartbeat from writing to mounted devices")];
}

/** Used by other checks that need the disks behind the named devices. */
export async function namedDisks(context: CheckContext): Promise<{ device: string; disk: string }[]> {
  const found = await Promise.all(
    context.devices.map(async (device) => {
      const facts = await context.native
        .inspectPath(device, null, { signal: context.signal })
        .catch(() => null);
      const disk = facts?.represents ? await diskOf(context.native, facts.represents) : null;
      return disk === null ? [] : [{ device, disk }];
    }),
  );
  return found.flat();
}

async function diskOf(native: Native, number: { major: number; minor: number }): Promise<string | null> {
  return kernelName(native, number).catch(() => null);
}
