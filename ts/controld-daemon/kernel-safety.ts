// Whether this kernel survives being told that a node has died (DOWN on its control device). The one place that decides it.
//
// Facts relied on (userspace-stack 3.1): where the kernel was built with CONFIG_FORTIFY_SOURCE each DOWN runs into a check of a text without
// an end, whose failure kills the writer with a lock of the whole file system held. Measured with Debian's kernels, all of them fortified:
// 6.1.176, 6.12.117 and 7.2.12 crash; 5.10.223 does not, whose check looks at the whole object and not at its field. Of others nothing is
// known. An option that is
// off is a line `# CONFIG_X is not set` in the kernel's configuration: in /proc/config.gz, which the kernel itself has, or in the file that
// a distribution puts into /boot under the kernel's release. A kernel that tells nothing counts as one that does not survive.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

export type ReadBytes = (path: string) => Uint8Array | null;

const OPTION = "CONFIG_FORTIFY_SOURCE";
/** The series that was seen to survive, built as Debian builds it. */
const TOLERANT = /^5\.10\./;
const EMBEDDED = "/proc/config.gz";
const LARGEST_CONFIG_BYTES = 16 * 1024 * 1024;

export interface KernelSafety {
  survivesDown: boolean;
  /** why, as a clause */
  reason: string;
}

/** `release` as uname -r has it; null where it is not known. */
export function kernelSafety(release: string | null, read: ReadBytes = readBytes): KernelSafety {
  if (release !== null && TOLERANT.test(release))
    return { survivesDown: true, reason: `a fortified kernel 5.10 was seen to, and this is ${release}` };
  const file = release === null || release.includes("/") ? null : `/boot/config-${release}`;
  for (const path of [EMBEDDED, ...(file === null ? [] : [file])]) {
    const text = configText(path, read);
    if (text === null) continue;
    const lines = text.split("\n");
    if (lines.includes(`# ${OPTION} is not set`))
      return { survivesDown: true, reason: `'${path}' says that ${OPTION} is not set` };
    if (lines.includes(`${OPTION}=y`))
      return { survivesDown: false, reason: `'${path}' says that ${OPTION} is set` };
  }
  const places = file === null ? `'${EMBEDDED}' does not tell` : `neither '${EMBEDDED}' nor '${file}' tells`;
  return { survivesDown: false, reason: `${places} whether ${OPTION} is set` };
}

function configText(path: string, read: ReadBytes): string | null {
  const bytes = read(path);
  if (bytes === null || path !== EMBEDDED)
    return bytes === null ? null : Buffer.from(bytes).toString("latin1");
  try {
    return gunzipSync(bytes, { maxOutputLength: LARGEST_CONFIG_BYTES }).toString("latin1");
  } catch {
    return null;
  }
}

function readBytes(path: string): Uint8Array | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}
