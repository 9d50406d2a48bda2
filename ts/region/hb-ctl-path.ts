// Who leaves at the end of a superblock: the program that the kernel runs then, or we.
//
// Facts relied on: kernel-abi 5 and commands 2.6, S3: the kernel runs `PROGRAM -K -u UUID` once for each superblock and waits for it; a
// no-op, an empty text (newer kernels) or a missing program leaves nothing. The file exists once a driver is loaded.
import { exists, readHint } from "../attributes.ts";
import type { Native } from "../native-types.ts";

export const HB_CTL_PATH = "/proc/sys/fs/ocfs2/nm/hb_ctl_path";
const NO_OPERATION = ["", "/bin/true", "/usr/bin/true", "/bin/false", "/usr/bin/false"];

/** The program that the kernel runs at the end of the superblock; null where the leave is ours. */
export async function leavingProgram(native: Native): Promise<string | null> {
  const text = await readHint(native, HB_CTL_PATH);
  const program = text?.trim() ?? "";
  if (NO_OPERATION.includes(program)) return null;
  try {
    // The kernel can run only what is there in the initial namespace; a missing program leaves nothing.
    return (await exists(native, program)) ? program : null;
  } catch {
    return program;
  }
}

/** Where install-helpers puts what every command of ours leads to. */
const OURS = /\/ocfs2-group\/launcher$/;

/** Whether the program is this package's, which forgets the note of a reference when it drops it. */
export async function isOurProgram(native: Native, program: string): Promise<boolean> {
  try {
    return OURS.test((await native.inspectPath(program, null)).realPath);
  } catch {
    return false;
  }
}
