// Unmounts a mount point and, when the superblock is really gone, leaves the group: the states S1 to S7 of commands 2.6.
//
// Facts relied on: umount(8) calls the helper for every path inside a volume, bind mounts and plain directories included
// (commands, fact 6). The end of the superblock is what counts, not of a mount point (fact 1, 2). Who leaves is decided by
// hb_ctl_path, read before umount2: a program there is run by the kernel once per superblock, which waits for it; a no-op,
// an empty text or a missing program leaves it to us (2.6, S3). Metadata or cluster services out of reach never keep a volume
// mounted (find-group.ts).
//
// Left to the monitor, or to the next command on the volume: superblocks that die later, without us.
import { constants } from "node:os";
import { errnoName, isErrno, O2cbError } from "../errors.ts";
import type { MountEntry, Native, PathFacts } from "../native-types.ts";
import { isOurProgram, leavingProgram } from "../region/hb-ctl-path.ts";
import { DISMOUNT_PATIENCE_MS, hasLiveSuperblock } from "../region/liveness.ts";
import { noteMount } from "../region/observe.ts";
import { FILESYSTEM_TYPE, sameDevice, visibleMounts } from "../region/superblock.ts";
import { leaveControldMount } from "../stack/leave-controld.ts";
import { leaveMount } from "../stack/leave-mount.ts";
import { emit, type OnStep } from "../steps.ts";
import { findGroup, type MountGroup } from "./find-group.ts";
import { remountOptions, parseMountOptions } from "./options.ts";
import { mountAt, remount } from "./remount.ts";

export interface UnmountVolumeRequest {
  /** a mount point, or the device of a mounted volume */
  target: string;
  lazy?: boolean | undefined;
  /** passed on as MNT_FORCE; OCFS2 has no forced unmount, so it changes nothing */
  force?: boolean | undefined;
  /** where the volume is busy, make it read-only instead */
  readOnlyFallback?: boolean | undefined;
  namespace?: string | null | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

export interface UnmountVolumeResult {
  directory: string;
  device: string;
  outcome: "left" | "kernel-leaves" | "still-in-use" | "no-group" | "read-only" | "leave-failed";
  region: string | null;
  /** on `leave-failed`: the volume is unmounted, its reference could not be dropped */
  leaveError: O2cbError | null;
}

const UNMOUNT = { FORCE: 1, DETACH: 2, NOFOLLOW: 8 } as const;

/**
 * Errors: O2CB_NOT_MOUNTED, O2CB_UNMOUNT_FAILED (busy and the like, with the remedy). A leave that fails after the unmount is
 * no exception: `outcome` says `leave-failed` and `leaveError` why.
 */
export async function unmountVolume(
  native: Native,
  request: UnmountVolumeRequest,
): Promise<UnmountVolumeResult> {
  const { onStep, signal } = request;
  const namespace = request.namespace ?? null;
  const entry = await locate(native, request.target, namespace, signal);
  const group = await findGroup(native, entry);
  const program = group.region === null ? null : await leavingProgram(native);
  const base = { directory: entry.target, device: entry.source, region: group.region, leaveError: null };

  // Killed between umount2 and the leave, this process leaves a reference that only a note explains.
  if (group.kind === "region" && program === null) await noteMount(native, { ...group, entry }, onStep);
  emit(onStep, {
    step: "unmount",
    directory: entry.target,
    device: entry.source,
    lazy: request.lazy ?? false,
  });
  const began = Date.now();
  const flags = UNMOUNT.NOFOLLOW | (request.lazy ? UNMOUNT.DETACH : 0) | (request.force ? UNMOUNT.FORCE : 0);
  try {
    await native.unmount({ target: entry.target, flags, namespace }, { signal });
  } catch (error) {
    if (isErrno(error, "EBUSY") && request.readOnlyFallback) {
      emit(onStep, { step: "remount-read-only", directory: entry.target });
      // The mount's own flags stay: a remount with MS_RDONLY alone would drop nosuid, nodev and noexec.
      const parsed = parseMountOptions(`${entry.options},ro`, { sloppy: false });
      await remount(
        native,
        entry,
        parsed.flags,
        remountOptions(entry.superOptions, parsed),
        namespace,
        signal,
      );
      return { ...base, outcome: "read-only" };
    }
    throw unmountFailure(error, entry);
  }
  emit(onStep, { step: "unmounted", directory: entry.target, milliseconds: Date.now() - began });

  if (group.kind === "unknown") {
    const { problem } = group;
    emit(onStep, {
      step: "warning",
      code: problem.code,
      message: `'${entry.target}' is unmounted, but its group is not left: ${problem.message}`,
    });
    return { ...base, outcome: "leave-failed", leaveError: problem };
  }
  if (group.kind === "none") return { ...base, outcome: "no-group" };
  if (program !== null) emit(onStep, { step: "kernel-leaves", region: group.region, program });
  try {
    const inUse = await leaveTwice({ native, group, entry, namespace, program, onStep });
    if (inUse !== null) {
      emit(onStep, { step: "still-in-use", region: group.region, device: entry.source, reason: inUse });
      return { ...base, outcome: "still-in-use" };
    }
    return { ...base, outcome: program === null ? "left" : "kernel-leaves" };
  } catch (error) {
    const leaveError =
      error instanceof O2cbError
        ? error
        : new O2cbError("O2CB_INTERNAL_FAILURE", `the group of region '${group.region}' could not be left`, {
            operation: "leave",
            region: group.region,
            cause: error,
          });
    const what =
      group.kind === "region"
        ? "its heartbeat reference could not be dropped"
        : "its group could not be left";
    emit(onStep, {
      step: "warning",
      code: leaveError.code,
      message: `'${entry.target}' is unmounted, but ${what}: ${leaveError.message}`,
    });
    return { ...base, outcome: "leave-failed", leaveError };
  }
}

interface Leaving {
  native: Native;
  group: Extract<MountGroup, { kind: "region" | "controld" }>;
  entry: MountEntry;
  namespace: string | null;
  /** the program that the kernel has run at the end of the superblock; null: none */
  program: string | null;
  onStep: OnStep | undefined;
}

/**
 * S5 and S6; null when left, else what still uses the superblock. Once more where it fails, since after umount2 nobody but a
 * reaper would do it; a leave that failed holds what it held.
 */
async function leaveTwice(leaving: Leaving): Promise<string | null> {
  const { native, entry, namespace } = leaving;
  const once = async (): Promise<string | null> => {
    const [other] = await visibleMounts(native, entry.device, namespace);
    if (other !== undefined) return `it is mounted on '${other.target}' as well`;
    return (await leaveOnce(leaving)) === "left"
      ? null
      : "something still uses the superblock (an open file after a lazy unmount, or another namespace)";
  };
  try {
    return await once();
  } catch {
    return once();
  }
}

async function leaveOnce({
  native,
  group,
  entry,
  program,
  onStep,
}: Leaving): Promise<"left" | "still-in-use"> {
  const device = { device: entry.source, deviceNumber: entry.device, patienceMs: DISMOUNT_PATIENCE_MS };
  if (group.kind === "region")
    return leaveMount(native, { ...group, ...device, kernelLeaves: program !== null }, { onStep });
  // The C tool leaves only where the kernel has no recovery callbacks (userspace-stack 4.2), and a group that is left already may be left again.
  if (program === null || !(await isOurProgram(native, program)))
    return leaveControldMount(native, { ...group, ...device }, { onStep });
  return (await hasLiveSuperblock(native, entry.device)) ? "still-in-use" : "left";
}

/** S1: the mount that the operand means. */
async function locate(
  native: Native,
  target: string,
  namespace: string | null,
  signal: AbortSignal | undefined,
): Promise<MountEntry> {
  const fields = { operation: "find-mount", path: target };
  let facts: PathFacts | null = null;
  try {
    facts = await native.inspectPath(target, namespace, { signal });
  } catch (error) {
    // A path that cannot be looked at (a dead disk: EIO, ESTALE) may be a mount point all the same: the table tells.
    if (isErrno(error, "ENOENT", "ENOTDIR"))
      throw new O2cbError("O2CB_NOT_MOUNTED", `'${target}' does not exist`, {
        ...fields,
        errno: (error as O2cbError).errno,
        cause: error,
      });
  }
  if (facts?.kind === "block") {
    const mounts = (await native.mounts(namespace, { signal })).filter(
      (entry) => entry.type === FILESYSTEM_TYPE && sameDevice(entry.device, facts.represents),
    );
    const last = mounts.at(-1);
    if (last !== undefined) return last;
    throw new O2cbError("O2CB_NOT_MOUNTED", `no OCFS2 volume on '${target}' is mounted here`, fields);
  }
  const path = facts?.realPath ?? target;
  const entry = await mountAt(native, path, namespace, signal);
  if (entry !== null) return entry;
  throw new O2cbError("O2CB_NOT_MOUNTED", `'${path}' is not the mount point of an OCFS2 volume`, {
    ...fields,
    errno: -constants.errno.EINVAL,
  });
}

function unmountFailure(error: unknown, entry: MountEntry): O2cbError {
  const { errno, syscall } = error as O2cbError;
  const causes: Record<string, [string, string | undefined]> = {
    EBUSY: [
      "it is in use",
      `see who uses it with fuser -vm '${entry.target}'; umount -l detaches it and leaves the group when the last user is gone`,
    ],
    EINVAL: ["it is no mount point any more", undefined],
    EPERM: ["this process may not unmount", "run it as root"],
    ENOENT: ["the mount point is gone", undefined],
  };
  const [cause, remedy] = causes[errnoName(error) ?? ""] ?? [
    `${errnoName(error) ?? "unknown error"}`,
    undefined,
  ];
  return new O2cbError("O2CB_UNMOUNT_FAILED", `'${entry.target}' cannot be unmounted: ${cause}`, {
    operation: "unmount",
    errno,
    syscall,
    path: entry.target,
    remedy,
    cause: error,
  });
}
