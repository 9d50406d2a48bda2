// What is on the disk, judged: identity, cluster stamp and where the heartbeat area lies in units the kernel wants.
//
// Facts relied on (disk-format specification): stack and cluster fields count only with incompat 0x80 or 0x4000, the
// flags only with 0x4000; a volume without them is classic o2cb with local heartbeat (1.3). The heartbeat area is the
// heartbeat file's only extent, counted in sectors, 255 slots (2.4). The kernel compares neither the region's name with
// the volume nor the cluster's name with the stamp (kernel-abi 1.3, 1.6), so this is where it is looked at.
//
// Nothing here writes, and nothing asks the cluster.
import { isCode, O2cbError } from "./errors.ts";
import type { DeviceNumber, Native, RegionGeometry, VolumeFacts } from "./native-types.ts";
import { emit, type HeartbeatMode, type OnStep } from "./steps.ts";

/** Bits of the incompatible features (disk-format 1.4). */
export const INCOMPAT = {
  heartbeatDevice: 0x2,
  localMount: 0x8,
  userspaceStack: 0x80,
  extendedSlotMap: 0x100,
  clusterInfo: 0x4000,
} as const;
/** Bit of the stack's flags (disk-format 1.3). */
export const GLOBAL_HEARTBEAT = 0x1;

/** The kernel accepts 255 blocks at most, one for each node number (kernel-abi 1.6). */
const HEARTBEAT_BLOCKS = 255;

/** The stack of volumes without cluster information, and of the kernel's own heartbeat. */
export const CLASSIC_STACK = "o2cb";

export interface Volume {
  /** the path it was opened through */
  device: string;
  /** null for an image file */
  deviceNumber: DeviceNumber | null;
  isBlockDevice: boolean;
  /** the device itself refuses writes (BLKROGET) */
  isReadOnly: boolean;
  /** 32 upper-case hexadecimal digits: also the region's and the DLM domain's name */
  uuid: string;
  label: string;
  blockBytes: number;
  clusterBytes: number;
  sectorBytes: number;
  maxSlots: number;
  /** formatted for one node: no cluster, no heartbeat */
  isLocal: boolean;
  /** holds heartbeat slots only; can never be mounted */
  isHeartbeatDevice: boolean;
  /** whether the volume carries a stamp at all; without one it is classic */
  hasClusterInfo: boolean;
  /** 4 bytes; `o2cb` where the volume carries no stamp */
  stack: string;
  /** null where the volume carries no stamp: any running cluster may use it */
  cluster: string | null;
  heartbeatMode: HeartbeatMode;
  heartbeat: { startBlock: bigint; clusters: number } | null;
  heartbeatProblem: string | null;
}

export interface OpenVolumeOptions {
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
  /** take a stack's label that the kernel would refuse as it is: for those who put it right */
  anyStack?: boolean | undefined;
}

/**
 * Reads a volume's identity and stamp.
 * Errors: O2CB_BAD_SUPERBLOCK (no OCFS2 there, with the reason), O2CB_BAD_DEVICE, O2CB_IO, O2CB_PERMISSION_DENIED.
 */
export async function openVolume(
  native: Native,
  device: string,
  options: OpenVolumeOptions = {},
): Promise<Volume> {
  return (await openWithFacts(native, device, options)).volume;
}

/** The same, with what the disk says in its own terms. */
export async function openWithFacts(
  native: Native,
  device: string,
  options: OpenVolumeOptions = {},
): Promise<{ volume: Volume; facts: VolumeFacts }> {
  checkDevicePath("openVolume", device);
  emit(options.onStep, { step: "read-volume", device });
  const facts = await native.readVolume(device, { signal: options.signal });
  const volume = judge(facts, options.anyStack);
  emit(options.onStep, {
    step: "volume",
    device,
    uuid: volume.uuid,
    label: volume.label,
    stack: volume.stack,
    cluster: volume.cluster,
    mode: volume.isLocal ? "none" : volume.heartbeatMode,
  });
  return { volume, facts };
}

/** @throws TypeError, which names the function that was called */
export function checkDevicePath(caller: string, device: unknown): void {
  if (typeof device !== "string" || device === "" || device.includes("\0"))
    throw new TypeError(`${caller}: the device must be a non-empty path`);
}

function judge(facts: VolumeFacts, anyStack = false): Volume {
  if (!isRegionName(facts.uuid)) {
    throw new O2cbError("O2CB_BAD_SUPERBLOCK", `the superblock of '${facts.device}' carries no usable UUID`, {
      operation: "open-volume",
      path: facts.device,
    });
  }
  const hasClusterInfo = (facts.featureIncompat & (INCOMPAT.userspaceStack | INCOMPAT.clusterInfo)) !== 0;
  const stack = hasClusterInfo ? (facts.stackLabel ?? "") : CLASSIC_STACK;
  // The kernel refuses a label with a NUL inside its four bytes (disk-format 1.3).
  if (Buffer.byteLength(stack) !== 4 && !anyStack) {
    throw new O2cbError(
      "O2CB_BAD_SUPERBLOCK",
      `the volume on '${facts.device}' names a cluster stack of ${Buffer.byteLength(stack)} bytes instead of 4`,
      {
        operation: "open-volume",
        path: facts.device,
        remedy: "write the cluster's stamp again with tunefs.ocfs2 --update-cluster-stack",
      },
    );
  }
  const isGlobal =
    (facts.featureIncompat & INCOMPAT.clusterInfo) !== 0 &&
    stack === CLASSIC_STACK &&
    (facts.stackFlags & GLOBAL_HEARTBEAT) !== 0;
  return {
    device: facts.device,
    deviceNumber: facts.deviceNumber,
    isBlockDevice: facts.isBlockDevice,
    isReadOnly: facts.isReadOnly,
    uuid: facts.uuid,
    label: facts.label,
    blockBytes: facts.blockBytes,
    clusterBytes: facts.clusterBytes,
    sectorBytes: facts.sectorBytes,
    maxSlots: facts.maxSlots,
    isLocal: (facts.featureIncompat & INCOMPAT.localMount) !== 0,
    isHeartbeatDevice: (facts.featureIncompat & INCOMPAT.heartbeatDevice) !== 0,
    hasClusterInfo,
    stack,
    cluster: hasClusterInfo ? facts.clusterName || null : null,
    heartbeatMode: isGlobal ? "global" : "local",
    heartbeat: facts.heartbeat,
    heartbeatProblem: facts.heartbeatProblem,
  };
}

/**
 * Where the volume's heartbeat area lies, in the kernel's units.
 * Errors: O2CB_BAD_HEARTBEAT_FILE, O2CB_INVALID_BLOCK_SIZE (a file system block smaller than the device's sector).
 */
export function heartbeatGeometry(volume: Volume): RegionGeometry {
  const fail = (code: "O2CB_BAD_HEARTBEAT_FILE" | "O2CB_INVALID_BLOCK_SIZE", message: string): never => {
    throw new O2cbError(code, message, {
      operation: "heartbeat-geometry",
      path: volume.device,
      region: volume.uuid,
    });
  };
  const { heartbeat, sectorBytes, blockBytes, clusterBytes } = volume;
  if (heartbeat === null) {
    return fail(
      "O2CB_BAD_HEARTBEAT_FILE",
      `the heartbeat file on '${volume.device}' cannot be used: ${volume.heartbeatProblem ?? "it has no extent"}`,
    );
  }
  if (blockBytes < sectorBytes) {
    return fail(
      "O2CB_INVALID_BLOCK_SIZE",
      `the volume's block of ${blockBytes} bytes is smaller than the sector of ${sectorBytes} bytes of '${volume.device}'`,
    );
  }
  // Counted in file system blocks, as libocfs2 does, whatever the sector size (group-api 2.3, step 5).
  if ((BigInt(heartbeat.clusters) * BigInt(clusterBytes)) / BigInt(blockBytes) < BigInt(HEARTBEAT_BLOCKS)) {
    return fail(
      "O2CB_BAD_HEARTBEAT_FILE",
      `the heartbeat file on '${volume.device}' has room for fewer than ${HEARTBEAT_BLOCKS} nodes`,
    );
  }
  const startBlock = (heartbeat.startBlock * BigInt(blockBytes)) / BigInt(sectorBytes);
  // The kernel refuses block 0, where no heartbeat file can lie (kernel-abi 1.6).
  if (startBlock === 0n)
    return fail("O2CB_BAD_HEARTBEAT_FILE", `the heartbeat file on '${volume.device}' begins at block 0`);
  return { startBlock, blockBytes: sectorBytes, blocks: HEARTBEAT_BLOCKS };
}

/** The same, or why there is no area that can be used. */
export function heartbeatArea(volume: Volume): { geometry: RegionGeometry } | { why: string } {
  try {
    return { geometry: heartbeatGeometry(volume) };
  } catch (error) {
    if (isCode(error, "O2CB_BAD_HEARTBEAT_FILE", "O2CB_INVALID_BLOCK_SIZE"))
      return { why: (error as Error).message };
    throw error;
  }
}

/** Whether a text can be a region's name: 32 upper-case hexadecimal digits (group-api K8, B10). */
export function isRegionName(name: string): boolean {
  return /^[0-9A-F]{32}$/.test(name);
}

/**
 * A UUID in any case, with or without dashes, as the region name it stands for.
 * Errors: O2CB_INVALID_REGION_NAME.
 */
export function regionName(uuid: string): string {
  const name = uuid.replaceAll("-", "").toUpperCase();
  if (isRegionName(name)) return name;
  throw new O2cbError(
    "O2CB_INVALID_REGION_NAME",
    `'${uuid}' is not a volume's UUID: 32 hexadecimal digits are expected, with or without dashes`,
    {
      operation: "region-name",
    },
  );
}
