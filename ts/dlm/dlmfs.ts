// Where dlmfs is mounted, what it can do, and the end of a domain's directory.
//
// Facts relied on: kernel-abi 5 and group-api 8.6-8.8: capabilities are words in a module parameter; whoever leaves a domain unlinks every
// entry (EBUSY: somebody on this node holds that lock) and removes the directory (ENOTEMPTY: somebody remains). Unlinking a lock that the
// kernel is just queueing for sleeps with it, so a lock that one of our processes is at work on is left alone.
import { readHint } from "../attributes.ts";
import { isErrno, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { placeOf } from "./names.ts";

export const DLMFS_TYPE = "ocfs2_dlmfs";
const CAPABILITIES = "/sys/module/ocfs2_dlmfs/parameters/capabilities";
/** Where it is mounted usually, and where the C tools look for it. */
export const DLMFS_DIRECTORY = "/dlm";
const RANGE_DIRECTORY = "/run/ocfs2-group/dlm";
/** Unlinks at one time; each takes a thread. */
const AT_ONCE = 8;

/** The file whose places keep this node's processes apart in a domain. */
export function rangeFile(domain: string): string {
  return `${RANGE_DIRECTORY}/${domain}.locks`;
}

/** All places where dlmfs is mounted, as this process sees it. */
export async function dlmfsMounts(native: Native, signal?: AbortSignal): Promise<string[]> {
  const mounts = await native.mounts(null, { signal });
  return [...new Set(mounts.filter(({ type }) => type === DLMFS_TYPE).map(({ target }) => target))];
}

/** Where dlmfs is mounted in this namespace. Errors: O2CB_DLM_UNAVAILABLE. */
export async function findDlmfs(native: Native, signal?: AbortSignal): Promise<string> {
  const places = await dlmfsMounts(native, signal);
  const place = places.find((target) => target === DLMFS_DIRECTORY) ?? places[0];
  if (place === undefined)
    throw new O2cbError(
      "O2CB_DLM_UNAVAILABLE",
      `dlmfs, through which programs reach the kernel's lock manager, is not mounted on this node`,
      {
        operation: "join-domain",
        remedy: `load it and mount it: o2cb load, or mount -t ${DLMFS_TYPE} ${DLMFS_TYPE} ${DLMFS_DIRECTORY}`,
      },
    );
  return place;
}

/** What dlmfs says that it can do; none where it does not say. */
export async function dlmfsCapabilities(native: Native): Promise<string[]> {
  return ((await readHint(native, CAPABILITIES)) ?? "").split(/\s+/).filter(Boolean);
}

/**
 * Makes this node give up what it only keeps cached in a domain, and leaves the domain if nothing is held. False where somebody remains.
 * Errors: what the kernel says.
 */
export async function clearDomain(native: Native, directory: string): Promise<boolean> {
  const names = (await entries(native, directory)) ?? (await entries(native, directory));
  if (names === null) return true;
  const domain = directory.slice(directory.lastIndexOf("/") + 1);
  for (let from = 0; from < names.length; from += AT_ONCE) {
    const some = names.slice(from, from + AT_ONCE);
    await Promise.all(some.map((name) => dropCached(native, domain, `${directory}/${name}`, name)));
  }
  try {
    await native.removeDirectory(directory);
  } catch (error) {
    if (isErrno(error, "ENOTEMPTY")) return false;
    if (!isErrno(error, "ENOENT")) throw error;
  }
  return true;
}

/** Null where the directory is gone. */
async function entries(native: Native, directory: string): Promise<string[] | null> {
  try {
    return await native.listFiles(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}

async function dropCached(native: Native, domain: string, path: string, name: string): Promise<void> {
  if (name.startsWith(".")) {
    await native.unlinkDlmLock(path);
    return;
  }
  const how = { exclusive: true, wait: false };
  // Where places cannot be had at all, nobody of ours has one.
  const place = await native.lockRange(rangeFile(domain), placeOf(name), how).catch(() => undefined);
  if (place === null) return;
  try {
    await native.unlinkDlmLock(path);
  } finally {
    place?.release();
  }
}
