// Who leaves at the end of a mount, as this host has it set: the program in hb_ctl_path, put aside while the cluster is loaded and put back
// when it is unloaded, so that older tools still find the one that they know.
//
// Facts relied on: kernel-abi 4: the kernel runs the program once at the end of each superblock; `/bin/true` leaves it to umount.ocfs2 and
// the monitor; longer texts are cut in silence, so it is read back. The file is there once a module of the stack is loaded, and forgets
// what was written when the module goes. A kernel without it (no module yet, a kernel that has none) is no failure.
import { exists, readOptional } from "../attributes.ts";
import { errnoName, isErrno, O2cbError } from "../errors.ts";
import { HB_CTL_PATH } from "../region/hb-ctl-path.ts";
import type { Leave } from "./desired-state.ts";
import type { KernelWrites } from "./writes.ts";

/** The program that was there, and ours, a line each. It ends with the boot, as the kernel's setting does. */
export const SAVED_PATH = "/run/ocfs2-group/hb_ctl_path";
const NO_OPERATION = "/bin/true";
const OUR_PROGRAM = "/sbin/ocfs2_hb_ctl";

interface Saved {
  original: string;
  ours: string;
}

/** Errors: O2CB_INTERNAL_FAILURE where the kernel keeps another path. */
export async function setLeaveProgram(writes: KernelWrites, leave: Leave): Promise<void> {
  const { native, signal } = writes;
  const now = (await readOptional(native, HB_CTL_PATH, signal))?.trim() ?? null;
  if (now === null && !writes.dryRun) return writes.skip(HB_CTL_PATH, "this kernel has no such setting");
  let wanted = NO_OPERATION;
  if (leave === "kernel") {
    if (await exists(native, OUR_PROGRAM, signal)) wanted = OUR_PROGRAM;
    else
      writes.warn(
        "O2CB_SERVICE_UNAVAILABLE",
        `O2CB_LEAVE is kernel, but there is no '${OUR_PROGRAM}' that the kernel could run: umount.ocfs2 and the monitor leave instead`,
      );
  }
  if (now === wanted) return;
  const saved = await readSaved(writes);
  // What stands there is ours from an earlier load: the one before it stays the one to put back.
  const original = saved !== null && saved.ours === now ? saved.original : (now ?? OUR_PROGRAM);
  try {
    await native.replaceFile(SAVED_PATH, `${original}\n${wanted}\n`, 0o644, { signal });
  } catch (error) {
    if (!isErrno(error, "EROFS", "ENOSPC", "EDQUOT", "EACCES", "EPERM", "ENOENT")) throw error;
    const reason = errnoName(error) ?? "unknown";
    writes.warn(
      "O2CB_IO",
      `'${original}' could not be noted in ${SAVED_PATH} (${reason}), and will not be put back`,
    );
  }
  await writePath(writes, wanted);
}

/** Puts the earlier program back, where ours still stands. */
export async function restoreLeaveProgram(writes: KernelWrites): Promise<void> {
  const { native, signal } = writes;
  const saved = await readSaved(writes);
  if (saved === null) return;
  const now = (await readOptional(native, HB_CTL_PATH, signal))?.trim() ?? null;
  if (now === saved.ours) await writePath(writes, saved.original);
  else if (now !== null && now !== saved.original)
    writes.skip(HB_CTL_PATH, `somebody else has set it to '${now}' meanwhile`);
  try {
    await native.removeFile(SAVED_PATH, { signal });
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

async function writePath(writes: KernelWrites, wanted: string): Promise<void> {
  const { native, signal } = writes;
  await native.writeAttribute(HB_CTL_PATH, `${wanted}\n`, { signal });
  if (writes.dryRun) return;
  const now = (await readOptional(native, HB_CTL_PATH, signal))?.trim();
  if (now === wanted) return;
  throw new O2cbError(
    "O2CB_INTERNAL_FAILURE",
    `the kernel's hb_ctl_path reads '${now ?? ""}' after '${wanted}' was written`,
    {
      operation: "set-hb-ctl-path",
      path: HB_CTL_PATH,
      remedy: "see whether another program sets it at the same time, and try again",
    },
  );
}

async function readSaved({ native, signal }: KernelWrites): Promise<Saved | null> {
  const [original, ours] = (await readOptional(native, SAVED_PATH, signal))?.split("\n") ?? [];
  return original === undefined || ours === undefined ? null : { original, ours };
}
