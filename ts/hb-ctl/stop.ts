// ocfs2_hb_ctl -K: drops one reference of a service and, with the last, stops the heartbeat. From configfs alone: it opens no device
// where a UUID is given, and works when the device is gone.
//
// Facts relied on: commands 3.2: the kernel runs `-K -u UUID` at the end of a superblock and waits for it, the device still claimed and
// perhaps a mount(2) waiting behind it, so its word is taken, and the volume's lock is not; 2.5: drivers that can pin refuse to remove
// a region that a mount relies on, older ones do not, and there the device is claimed first.
import { exists } from "../attributes.ts";
import { O2cbError } from "../errors.ts";
import { requireHostNamespaces } from "../namespaces.ts";
import type { Held, Native, RegionLock } from "../native-types.ts";
import { resolveRegion } from "../region/find-device.ts";
import { allMounts, judgeLiveness, pinsRegions, proveDeath, type Subject } from "../region/liveness.ts";
import { withRegionLock } from "../region/lock.ts";
import { mountAccount } from "../region/mount-account.ts";
import { forgetRecord } from "../region/record.ts";
import { deviceNumberOf, registeredCluster, startedRegions } from "../region/regions.ts";
import { dropReferences, type DropResult } from "../region/stop-region.ts";
import { lockVolume } from "../region/volume-lock.ts";
import { MOUNT_SERVICE } from "../stack/cluster-stack.ts";
import { dropMount } from "../stack/leave-mount.ts";
import { emit, type HeartbeatMode, type OnStep } from "../steps.ts";
import { stopOnUserStack, userStackOf } from "./user-stack.ts";

export interface StopServiceRequest {
  device: string | null;
  uuid: string | null;
  /** null: a mount, as the kernel and 1.2's tools mean it */
  service: string | null;
  /** `kernel`: the end of a superblock, which is taken as said */
  caller: "kernel" | "program";
  /** drop a reference that is not the service's by any note; never the last one of a volume that is mounted */
  force?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

export interface StopServiceResult {
  region: string;
  references: number;
  stopped: boolean;
  /** `none`: a userspace stack, which has no heartbeat of the kernel's */
  mode: HeartbeatMode | "none";
}

interface Place extends Subject {
  directory: string;
}

/** How long a mutex may be held by somebody else: a start takes 30 s at most (kernel-abi 1.8). */
const LOCK_LIMIT_MS = 60_000;

/**
 * Nothing there is success.
 * Errors: O2CB_REGION_IN_USE (a mount or a DLM domain relies on the region), O2CB_NOT_JOINED (the service holds nothing),
 * O2CB_SERVICE_UNAVAILABLE (no cluster is registered; no control daemon), O2CB_NAMESPACE, O2CB_TIMEOUT, those of resolveRegion.
 */
export async function stopService(native: Native, request: StopServiceRequest): Promise<StopServiceResult> {
  const { signal, onStep } = request;
  const service = request.service ?? MOUNT_SERVICE;
  const region = await resolveRegion(native, request, signal);
  const label = await userStackOf(native, region);
  if (label !== null) {
    const { stopped } = await stopOnUserStack(native, label, { ...request, region, service });
    return { region, references: 0, stopped, mode: "none" };
  }
  const cluster = await registeredCluster(native);
  if (cluster === null)
    throw new O2cbError(
      "O2CB_SERVICE_UNAVAILABLE",
      "no cluster is registered on this node, so no region can beat",
      {
        operation: "stop-service",
        region,
      },
    );
  if (cluster.mode === "global") return { region, references: 0, stopped: false, mode: "global" };
  await requireHostNamespaces(native, "stop-service", signal);
  const disk = (await startedRegions(native)).find(({ name }) => name === region)?.dev || null;
  const place: Place = {
    region,
    directory: `${cluster.heartbeatDirectory}/${region}`,
    disk,
    device: disk === null ? null : await deviceNumberOf(native, disk),
  };
  const hasSet = (await native.regionSemaphores(region)) !== null;
  if (!hasSet && !(await exists(native, place.directory)))
    return { region, references: 0, stopped: false, mode: "local" };
  const locked = { signal, onStep, limitMs: LOCK_LIMIT_MS };
  const work = (drop: (lock: RegionLock) => Promise<DropResult>): Promise<StopServiceResult> =>
    withRegionLock(native, region, true, locked, async (lock) => ({
      region,
      mode: "local",
      ...(await drop(lock)),
    }));
  if (request.caller === "kernel") return work((lock) => dropMount(native, place, lock, onStep));
  const volumeLock = await lockVolume(native, region, request);
  let claim: Held | null = null;
  try {
    const isAlive = await looksAlive(native, place, cluster.heartbeatDirectory, (held) => (claim = held));
    return await work((lock) => dropService(native, place, service, lock, { ...request, isAlive }));
  } finally {
    (claim as Held | null)?.release();
    volumeLock.release();
  }
}

/** Without opening the device where the driver can pin: a region in use is refused by the kernel itself then. */
async function looksAlive(
  native: Native,
  place: Place,
  heartbeatDirectory: string,
  keep: (claim: Held | null) => void,
): Promise<boolean> {
  const judged = await judgeLiveness(native, place, await allMounts(native));
  if (judged.state !== "unknown") return judged.state === "alive";
  if (place.disk === null || (await pinsRegions(native, heartbeatDirectory))) return false;
  const death = await proveDeath(native, place, { patienceMs: 1000, canPin: false });
  keep(death.claim);
  return death.state !== "dead";
}

/** Under the mutex: one reference of the service goes, never that of a live mount, nor another's. */
async function dropService(
  native: Native,
  place: Place,
  service: string,
  lock: RegionLock,
  options: { isAlive: boolean; force?: boolean | undefined; onStep?: OnStep | undefined },
): Promise<DropResult> {
  const { isAlive, force = false, onStep } = options;
  const references = lock.references();
  const { holders, records, staleRecords, stale, own } = await mountAccount(
    native,
    place,
    references,
    isAlive ? "alive" : "dead",
  );
  const record = records.find((one) => one.persistent && one.service === service) ?? null;
  const others = holders
    // A live mount's is never dropped here, but one that was handed out for a mount to come is.
    .filter(
      (holder) =>
        holder.service !== service || holder.kind === "process" || (isAlive && holder.kind === "mount"),
    )
    .reduce((sum, holder) => sum + Math.max(holder.references, holder.kind === "mount" ? 1 : 0), 0);
  const isOthers = (references > 0 || isAlive) && references <= others;
  if (record !== null && isOthers && !force && !(isAlive && service === MOUNT_SERVICE)) {
    // A -K that was killed after the drop left the note: what is counted is the others', and is not the service's to drop.
    await forgetRecord(native, record.id, onStep);
    emit(onStep, { step: "leave", region: place.region, references });
    return { references, stopped: false };
  }
  // The last one under a live superblock is refused with force as well: drivers that do not pin would stop its heartbeat.
  const isLastOfMount = isAlive && references <= 1;
  if (isLastOfMount || (!force && isOthers)) {
    const isMount = own !== null && isAlive;
    throw new O2cbError(
      isMount ? "O2CB_REGION_IN_USE" : "O2CB_NOT_JOINED",
      isMount
        ? `the volume of region '${place.region}' is mounted on this node, and the reference left is the mount's`
        : `'${service}' holds no reference of region '${place.region}': ${holders.map((holder) => holder.service).join(", ")} ${holders.length === 1 ? "does" : "do"}`,
      {
        operation: "stop-service",
        region: place.region,
        path: place.directory,
        remedy: isMount
          ? "unmount the volume; its reference goes with it"
          : "name the service that holds it; ocfs2_hb_ctl --audit shows who does",
      },
    );
  }
  const result = await dropReferences(native, place.directory, lock, { count: 1, undo: false }, onStep);
  const isOver = record !== null && (result.references < references || references === 0);
  if (isOver) await forgetRecord(native, record.id, onStep);
  if (stale === 0 || result.references === 0)
    for (const id of staleRecords) await forgetRecord(native, id, onStep);
  return result;
}
