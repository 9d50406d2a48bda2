// Reading and changing a small text file that others edit, too: one change at a time among this package's own, and the whole
// file or nothing.
//
// Facts relied on: the C tools write a temporary file and rename it, without a lock or fsync (group-api 6.3): against them an advisory lock
// does not help. Links at the path are followed, so that the lock lies beside the file itself; it stays there, since to remove it would
// be a race. A text read by the core has U+FFFD where bytes were not UTF-8: they could not be written back, so nothing is.
import { placeOf, type Position } from "./cluster-conf.ts";
import { isCode, isErrno, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";

const LOCK_MS = 30_000;
const MODE = 0o644;
/** what readAttribute reads at most: more could not be read again */
const MAX_BYTES = 65_536;
const MAX_LINKS = 40;

export interface ChangeOptions {
  /** nothing is written, locked or made */
  dryRun?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export interface TextChange {
  path: string;
  /** null where there was no file */
  before: string | null;
  after: string;
  /** false for a dry run, and where the text stays as it is */
  written: boolean;
}

/** The text; null where there is no file. */
export async function readText(native: Native, path: string, signal?: AbortSignal): Promise<string | null> {
  try {
    return await native.readAttribute(path, { signal });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return null;
    throw error;
  }
}

/**
 * Reads a text, lets `edit` make another of it, and writes that. What `edit` throws leaves the file as it was.
 * Errors: O2CB_TIMEOUT where another change has not ended for 30 s, O2CB_CONFIGURATION_ERROR, what the kernel says.
 */
export async function changeText(
  native: Native,
  path: string,
  edit: (text: string) => string,
  { dryRun = false, signal }: ChangeOptions = {},
): Promise<TextChange> {
  const target = await followed(native, path, signal);
  const lock = dryRun ? null : await lockBeside(native, target, signal);
  try {
    const before = await readText(native, target, signal);
    const after = edit(before ?? "");
    const isChanged = after !== (before ?? "");
    if (isChanged) refuseUnwritable(path, before ?? "", after);
    const written = isChanged && !dryRun;
    if (written) await native.replaceFile(target, after, MODE, { signal });
    return { path, before, after, written };
  } finally {
    lock?.release();
  }
}

async function lockBeside(native: Native, path: string, signal: AbortSignal | undefined) {
  const slash = path.lastIndexOf("/") + 1;
  const lock = `${path.slice(0, slash)}.${path.slice(slash)}.lock`;
  try {
    return await native.lockFile(lock, LOCK_MS, { signal });
  } catch (cause) {
    if (!isCode(cause, "O2CB_TIMEOUT")) throw cause;
    const message = `another change of '${path}' has not ended for ${LOCK_MS / 1000} s`;
    const remedy = `see who holds the lock with fuser ${lock}`;
    throw new O2cbError("O2CB_TIMEOUT", message, { operation: "edit-configuration", path, remedy, cause });
  }
}

async function followed(native: Native, path: string, signal: AbortSignal | undefined): Promise<string> {
  let at = path;
  for (let links = 0; links < MAX_LINKS; links += 1) {
    try {
      const target = await native.readLink(at, { signal });
      at = target.startsWith("/") ? target : `${at.slice(0, at.lastIndexOf("/") + 1)}${target}`;
    } catch (error) {
      if (isErrno(error, "EINVAL", "ENOENT", "ENOTDIR")) return at;
      throw error;
    }
  }
  return path;
}

function refuseUnwritable(path: string, before: string, after: string): void {
  const fail = (what: string, remedy: string, place?: Position): never => {
    throw new O2cbError("O2CB_CONFIGURATION_ERROR", `cannot change '${path}': ${what}`, {
      operation: "edit-configuration",
      path,
      ...place,
      remedy,
    });
  };
  const broken = before.indexOf("\ufffd");
  if (broken >= 0) {
    const place = placeOf(before, broken);
    const what = `line ${place.line}, column ${place.column} is not UTF-8 text, and would be lost`;
    fail(what, "write that line in UTF-8, or take it out", place);
  }
  const bytes = Buffer.byteLength(after);
  if (bytes > MAX_BYTES)
    fail(`it would have ${bytes} bytes, and no more than ${MAX_BYTES} are read`, "take comments out");
}
