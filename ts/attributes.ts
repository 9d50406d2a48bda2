// Reading the kernel's small text files where absence is an answer. One place for "missing is fine, the rest is not".
import { isErrno } from "./errors.ts";
import type { Native } from "./native-types.ts";

/** The text without its final newline; null where the file (or its directory) does not exist. */
export async function readOptional(
  native: Pick<Native, "readAttribute">,
  path: string,
  signal?: AbortSignal,
): Promise<string | null> {
  try {
    return (await native.readAttribute(path, { signal })).replace(/\n$/, "");
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return null;
    throw error;
  }
}

/** For evidence that only makes a message better: every failure counts as absent. */
export async function readHint(native: Pick<Native, "readAttribute">, path: string): Promise<string | null> {
  try {
    return (await native.readAttribute(path)).replace(/\n$/, "");
  } catch {
    return null;
  }
}

/** Whether something exists at the path; other failures than absence are thrown. */
export async function exists(native: Native, path: string, signal?: AbortSignal): Promise<boolean> {
  try {
    await native.inspectPath(path, null, { signal });
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
