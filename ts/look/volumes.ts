// The volumes on this host's devices, and the nodes that their slot maps name: a look at many devices at once.
//
// Facts relied on: disk-format 1.3, 1.4, 3; the C tool tells what has a volume's signature, whatever else is wrong with it (measured).
// The slot map is all that is looked at for nodes: a node that died and was not recovered is still in it. `volumeHolders` knows more.
import type { Native, ScannedDevice, ScannedVolume, SlotOwner } from "../native-types.ts";
import { candidates } from "./candidates.ts";
import { corosyncNames, registeredNames, type NodeNames } from "./node-names.ts";
import { CLASSIC_STACK, GLOBAL_HEARTBEAT, INCOMPAT } from "../volume.ts";
import { unknownIncompat } from "./features.ts";

/** A device's answer is waited for, not computed. */
const THREADS = 16;

export interface DetectOptions {
  /** instead of every block device; each is told as it is given here */
  devices?: readonly string[] | undefined;
  /** read the slot maps, too; default false */
  slotMaps?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export interface DetectedVolume {
  device: string;
  uuid: string;
  /** bytes that are no UTF-8 are replaced; `labelBytes` has one character for each byte */
  label: string;
  labelBytes: string;
  /** null for a local volume, which has none */
  stack: string | null;
  cluster: string | null;
  clusterBytes: string;
  isGlobal: boolean;
  isHeartbeatDevice: boolean;
  /** the taken slots; null where they were not asked for, or cannot be read */
  slots: { slot: number; node: number; name: string | null }[] | null;
  /** what keeps it from being used, or its slot map from being read */
  problem: string | null;
  /** it has the signature and cannot be opened as a volume */
  isUnusable: boolean;
}

export interface DetectedVolumes {
  volumes: DetectedVolume[];
  /** devices that could not be read */
  failures: { device: string; code: string; message: string }[];
  skipped: { device: string; reason: string }[];
}

/** Errors: O2CB_ABORTED, and those of reading the list of devices. What is wrong with one device is among the results. */
export async function detectVolumes(
  native: Native,
  { devices, slotMaps = false, signal }: DetectOptions = {},
): Promise<DetectedVolumes> {
  const chosen =
    devices === undefined
      ? candidates(await native.listBlockDevices({ signal }))
      : { devices: [...devices], skipped: [] };
  const scanned = await native.scanVolumes(chosen.devices, slotMaps, THREADS, { signal });
  const volumes: DetectedVolume[] = [];
  const namesOf = namesByStack(native, signal);
  for (const { device, volume } of scanned) {
    if (volume === null) continue;
    const found = judged(device, volume);
    volumes.push({ ...found, slots: volume.slotMap && (await named(volume.slotMap, found, namesOf)) });
  }
  return {
    volumes,
    failures: scanned.flatMap(failureOf),
    skipped: chosen.skipped,
  };
}

async function named(
  owners: readonly SlotOwner[],
  volume: DetectedVolume,
  namesOf: NamesOf,
): Promise<DetectedVolume["slots"]> {
  const names = owners.length === 0 ? null : await namesOf(volume);
  return owners.map(({ slot, node }) => ({ slot, node, name: names?.get(node) ?? null }));
}

type NamesOf = (volume: Pick<DetectedVolume, "stack" | "cluster">) => Promise<NodeNames | null>;

/** Each source is asked once. As the C tool: of the cluster that is registered here, whichever a classic volume names. */
function namesByStack(native: Native, signal: AbortSignal | undefined): NamesOf {
  let registered: Promise<NodeNames | null> | null = null;
  const corosync = new Map<string | null, Promise<NodeNames | null>>();
  return ({ stack, cluster }) => {
    if (stack === null || stack === CLASSIC_STACK)
      return (registered ??= registeredNames(native).then((found) => found?.names ?? null));
    const known = corosync.get(cluster) ?? corosyncNames(native, cluster, signal);
    corosync.set(cluster, known);
    return known;
  };
}

function failureOf({ device, code, failure }: ScannedDevice): DetectedVolumes["failures"] {
  return code === null ? [] : [{ device, code, message: failure ?? "" }];
}

/** All but the names in its slot map. */
function judged(device: string, volume: ScannedVolume): DetectedVolume {
  const { featureIncompat, stackLabel, stackFlags } = volume;
  const isLocal = (featureIncompat & INCOMPAT.localMount) !== 0;
  const stack = stackLabel === null ? CLASSIC_STACK : utf8(stackLabel);
  const clusterBytes = isLocal ? "" : (volume.clusterName ?? "");
  const unknown = unknownIncompat(featureIncompat);
  const strange = unknown === 0 ? null : `its features 0x${unknown.toString(16)} are unknown`;
  return {
    device,
    uuid: volume.uuid,
    label: utf8(volume.label),
    labelBytes: volume.label,
    stack: isLocal ? null : stack,
    cluster: clusterBytes === "" ? null : utf8(clusterBytes),
    clusterBytes,
    isGlobal: !isLocal && stack === CLASSIC_STACK && (stackFlags & GLOBAL_HEARTBEAT) !== 0,
    isHeartbeatDevice: (featureIncompat & INCOMPAT.heartbeatDevice) !== 0,
    slots: null,
    problem: volume.problem ?? strange ?? volume.slotMapProblem,
    isUnusable: volume.problem !== null || unknown !== 0,
  };
}

const utf8 = (bytes: string): string => Buffer.from(bytes, "latin1").toString();
