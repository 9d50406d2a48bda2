// One mount or unmount of a volume at a time on this node, among this package's own commands.
//
// Why a lock of our own: whether a mount makes a superblock or shares one is known only before mount(2), and a mount
// reference is taken once per superblock (architecture, rule 1). The region's semaphore cannot cover mount(2): a dismount
// that the kernel has begun runs its call-out under that semaphore, and mount(2) waits for the dismount: a deadlock.
// The lock is advisory and ends with its process. A /run that cannot be written leaves only this race open, so a join goes
// on without the lock and says so.
import { errnoName, isCode, isErrno, O2cbError } from "../errors.ts";
import type { Held, Native } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import { isRegionName } from "../volume.ts";

const DIRECTORY = "/run/ocfs2-group";
/** Longer than a mount can take: 30 s of heartbeat, 60 s of connecting to peers, 90 s of joining the domain (kernel-abi 1.8, 7.2). */
const LIMIT_MS = 240_000;
const SLICE_MS = 1000;

/** The volumes that were ever locked since the host's start: the files stay. None where the directory cannot be read. */
export async function volumesOnceLocked(native: Native): Promise<string[]> {
  const names = await native.listFiles(DIRECTORY).catch((): string[] => []);
  return names
    .filter((name) => name.endsWith(".lock"))
    .map((name) => name.slice(0, -".lock".length))
    .filter(isRegionName);
}

/** Errors: O2CB_TIMEOUT, O2CB_ABORTED, what the kernel says of the file. */
export async function lockVolume(
  native: Native,
  region: string,
  options: { signal?: AbortSignal | undefined; onStep?: OnStep | undefined },
): Promise<Held> {
  const path = `${DIRECTORY}/${region}.lock`;
  for (let waitedMs = 0; ; waitedMs += SLICE_MS) {
    try {
      return await native.lockFile(path, SLICE_MS, { signal: options.signal });
    } catch (error) {
      if (isErrno(error, "ENOENT", "EROFS", "ENOSPC", "EDQUOT", "EACCES", "EPERM")) {
        emit(options.onStep, {
          step: "volume-lock-unavailable",
          region,
          path,
          reason: errnoName(error) ?? "unknown",
        });
        return { release() {} };
      }
      if (!isCode(error, "O2CB_TIMEOUT")) throw error;
      if (waitedMs + SLICE_MS >= LIMIT_MS) {
        throw new O2cbError(
          "O2CB_TIMEOUT",
          `another mount or unmount of the volume '${region}' has not ended for ${LIMIT_MS / 1000} s`,
          {
            operation: "lock-volume",
            region,
            path,
            remedy: `see who holds the file with fuser ${path}`,
            cause: error,
          },
        );
      }
      if (waitedMs === 0) emit(options.onStep, { step: "wait-volume-lock", region, path });
    }
  }
}
