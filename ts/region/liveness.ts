// Is the superblock of a region's volume alive? One answer, and how it is known.
//
// Facts relied on (commands 2.5; kernel-abi 1.7): debugfs has a directory `ocfs2/<UUID>` from early in a mount until its DLM domain
// is left, seen from every namespace and for detached mounts too. /sys/fs/ocfs2/<disk> exists while mounted and goes at the very
// beginning of the dismount: its presence proves life, its absence nothing. A mount table shows what is attached, of one
// namespace. An exclusive open is refused while anything claims the device and free again when the superblock is completely
// gone: the one proof of death, and while it is held no mount can begin. Drivers that can pin a region (they have
// `heartbeat/mode`, both came with 2.6.37) refuse to remove one that a mount relies on; older ones stop it.
//
// So: signs of life first, from the widest view; death by debugfs where nothing else is asked for (an audit opens no device);
// the claim where something is to be dropped. Where the device is gone nothing can be claimed: then debugfs and the pin are the proof,
// and on a driver that knows neither the answer stays `unknown`.
import { exists, readHint } from "../attributes.ts";
import { isErrno } from "../errors.ts";
import type { DeviceNumber, Held, MountEntry, Native } from "../native-types.ts";
import { pause } from "../pause.ts";
import type { Evidence, Liveness } from "./audit-types.ts";
import { devicePath, FILESYSTEM_TYPE, kernelName, sameDevice, visibleMounts } from "./superblock.ts";

const DEBUG = "/sys/kernel/debug";
/** the source of the proof that is none before rmdir has succeeded */
const PIN = "rmdir";

export interface Subject {
  /** the volume's UUID as its region is named */
  region: string;
  /** the kernel's name of the disk; null where it is not known */
  disk: string | null;
  device: DeviceNumber | null;
}

export interface MountSeen {
  directory: string;
  /** path of the namespace it was seen in; null for this process's own */
  namespace: string | null;
  entry: MountEntry;
}

/** Everything attached, in every namespace that has a process: one look for many regions. */
export async function allMounts(native: Native, signal?: AbortSignal): Promise<MountSeen[]> {
  const own = await native.mounts(null, { signal });
  const seen = own.map((entry): MountSeen => ({ directory: entry.target, namespace: null, entry }));
  const namespaces = await native.mountNamespaces({ signal }).catch(() => []);
  const others = await Promise.all(
    namespaces.slice(1).map(async ({ pid }) => {
      const namespace = `/proc/${pid}/ns/mnt`;
      try {
        const entries = await native.mounts(namespace, { signal });
        return entries.map((entry): MountSeen => ({ directory: entry.target, namespace, entry }));
      } catch {
        // Its last process has just ended, or we may not enter: then others tell.
        return [];
      }
    }),
  );
  return [...seen, ...others.flat()].filter(({ entry }) => entry.type === FILESYSTEM_TYPE);
}

/**
 * The answer without opening anything. `mounts`: what allMounts saw. Never throws for what cannot be looked at: that is evidence
 * that is missing, and the state `unknown`.
 */
export async function judgeLiveness(
  native: Native,
  subject: Subject,
  mounts: readonly MountSeen[],
): Promise<Liveness> {
  const evidence: Evidence[] = [];
  const alive = (source: string, says: string): Liveness => {
    return { state: "alive", evidence: [...evidence, { source, says }] };
  };
  const { region, disk, device } = subject;
  const mounted = mounts.find(({ entry }) => sameDevice(entry.device, device));
  if (mounted !== undefined)
    return alive(
      mounted.namespace === null ? "mountinfo" : `mountinfo of ${mounted.namespace}`,
      `it is mounted on '${mounted.directory}'`,
    );
  if (disk !== null && (await isThere(native, `/sys/fs/ocfs2/${disk}`)) === true)
    return alive(`/sys/fs/ocfs2/${disk}`, "a superblock is on the disk, though no mount of it can be seen");
  const volume = `${DEBUG}/ocfs2/${region}`;
  const isListed = await isThere(native, volume);
  if (isListed === true) return alive(volume, "the kernel still has a superblock of the volume");
  evidence.push({ source: "mountinfo", says: "no namespace shows a mount of it" });
  if (disk !== null)
    evidence.push({ source: `/sys/fs/ocfs2/${disk}`, says: "no superblock is on the disk, or it is ending" });
  if (isListed === false && (await isThere(native, `${DEBUG}/ocfs2`)) === true) {
    evidence.push({ source: volume, says: "the kernel has no superblock of the volume" });
    return { state: "dead", evidence };
  }
  evidence.push({ source: `${DEBUG}/ocfs2`, says: "debugfs does not tell" });
  return { state: "unknown", evidence };
}

/**
 * Whether a live superblock is on the device that a new mount(2) would share. False for one that is being dismounted: a new
 * mount waits for its end and then makes a superblock of its own.
 */
export async function hasLiveSuperblock(
  native: Native,
  device: DeviceNumber,
  signal?: AbortSignal,
): Promise<boolean> {
  if ((await visibleMounts(native, device, null, signal)).length > 0) return true;
  const disk = await kernelName(native, device, signal);
  return disk !== null && exists(native, `/sys/fs/ocfs2/${disk}`, signal);
}

/**
 * Proves that the superblock is gone by claiming the device; the claim is returned and keeps mounts away until released.
 * Tries for `patienceMs`; null where the device stays claimed.
 */
export async function claimDeadDevice(
  native: Native,
  path: string,
  patienceMs: number,
  signal?: AbortSignal,
): Promise<Held | null> {
  const end = Date.now() + patienceMs;
  for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 2, 250)) {
    const claim = await native.claimDevice(path, { signal });
    if (claim !== null || Date.now() >= end) return claim;
    // No event tells of the claim's end; the wait is bounded by the caller's patience.
    await pause(Math.min(pauseMs, Math.max(1, end - Date.now())));
  }
}

/** How long the last user of a lazily unmounted superblock may take to let the device go (measured: 4.2 s, kernel 6.1). */
export const DISMOUNT_PATIENCE_MS = 15_000;

/** Whether a DLM domain (a mount's or a program's) depends on the region; null where debugfs does not tell. */
export async function isPinned(native: Native, region: string): Promise<boolean | null> {
  const text = await readHint(native, `${DEBUG}/o2hb/${region}/pinned`);
  return text === null ? null : text.trim() !== "0" && text.trim() !== "";
}

/** Whether this driver refuses to remove a region that a mount relies on. */
export function pinsRegions(native: Native, heartbeatDirectory: string): Promise<boolean> {
  return exists(native, `${heartbeatDirectory}/mode`);
}

export interface Death extends Liveness {
  /** holds the device while it lives: no mount can begin; null where there is no device to hold */
  claim: Held | null;
}

/**
 * The answer that something may be dropped on: `dead` only with the device claimed, or, where the device is gone, with the
 * kernel's word for it. The caller releases the claim.
 */
export async function proveDeath(
  native: Native,
  subject: Subject,
  options: { patienceMs: number; canPin: boolean; hint?: string | null; signal?: AbortSignal | undefined },
): Promise<Death> {
  const { device } = subject;
  const judged = await judgeLiveness(native, subject, await allMounts(native, options.signal));
  if (judged.state === "alive") return { ...judged, claim: null };
  const present = device !== null && (await kernelName(native, device)) !== null;
  const path = present ? await devicePath(native, device, options.hint ?? null) : null;
  if (path !== null) {
    const claim = await claimOrGone(native, path, options.patienceMs, options.signal);
    if (claim !== "gone") {
      const says = claim === null ? "something claims the device" : "nothing claims the device";
      const evidence = [...judged.evidence, { source: path, says }];
      return { state: claim === null ? "unknown" : "dead", evidence, claim };
    }
  }
  const evidence = [...judged.evidence, { source: subject.disk ?? "device", says: "the device is gone" }];
  if (judged.state === "dead") return { state: "dead", evidence, claim: null };
  if (options.canPin) {
    evidence.push({
      source: PIN,
      says: "this kernel refuses to remove a region that a mount relies on",
    });
    return { state: "dead", evidence, claim: null };
  }
  return { state: "unknown", evidence, claim: null };
}

/** Whether nothing but the kernel's refusal of rmdir guards a live superblock: then only the region's removal may be tried. */
export function isByPinAlone({ evidence }: Death): boolean {
  return evidence.at(-1)?.source === PIN;
}

async function claimOrGone(
  native: Native,
  path: string,
  patienceMs: number,
  signal: AbortSignal | undefined,
): Promise<Held | null | "gone"> {
  try {
    return await claimDeadDevice(native, path, patienceMs, signal);
  } catch (error) {
    if (isErrno(error, "ENXIO", "ENODEV", "ENOENT", "ENOMEDIUM")) return "gone";
    throw error;
  }
}

/** null where it cannot be told. */
async function isThere(native: Native, path: string): Promise<boolean | null> {
  try {
    return await exists(native, path);
  } catch {
    return null;
  }
}
