// Are we where a join may be made: in the host's own IPC and PID namespaces, with the host's /run?
//
// Facts relied on: semaphores belong to an IPC namespace while regions are global, so a join from another one is counted
// where nobody looks (commands fact 9, group-api R15). The initial namespaces have fixed inode numbers (kernel
// include/linux/proc_ns.h: IPC 0xEFFFFFFF, PID 0xEFFFFFFC). A process number means nothing in another PID namespace, and in
// another /run the locks and records of this package would be seen by nobody. A mount namespace that shares /run is fine.
import { O2cbError } from "./errors.ts";
import type { Native, PathFacts } from "./native-types.ts";

const INITIAL = { ipc: 0xefff_ffff, pid: 0xefff_fffc } as const;
const REMEDY =
  "run it on the host itself, or enter the host's namespaces from a privileged container: nsenter -t 1 --ipc --pid --mount COMMAND";

/**
 * Errors: O2CB_NAMESPACE, before anything is touched. Where /proc does not tell (kernels before 3.0 have one namespace of each
 * kind only), nothing is refused.
 */
export async function requireHostNamespaces(
  native: Native,
  operation: string,
  signal?: AbortSignal,
): Promise<void> {
  const refuse = (reason: string, path: string): never => {
    throw new O2cbError("O2CB_NAMESPACE", reason, { operation, path, remedy: REMEDY });
  };
  const [ipc, pid] = await Promise.all([
    namespaceInode(native, "ipc", signal),
    namespaceInode(native, "pid", signal),
  ]);
  if (ipc !== null && ipc !== INITIAL.ipc)
    refuse(
      "this process has an IPC namespace of its own: references counted there are invisible to the host and to its kernel",
      "/proc/self/ns/ipc",
    );
  if (pid !== null && pid !== INITIAL.pid)
    refuse(
      "this process has a PID namespace of its own: the host could not tell whether it still runs",
      "/proc/self/ns/pid",
    );
  const [host, own] = await Promise.all([
    linkOrNull(native, "/proc/1/ns/mnt", signal),
    linkOrNull(native, "/proc/self/ns/mnt", signal),
  ]);
  if (host === own || host === null || own === null) return;
  // Looked at from inside: realpath(3) of a path below /proc/1/root comes out here again.
  const [hosts, ours] = await Promise.all([
    inspect(native, "/proc/1/ns/mnt", signal),
    inspect(native, null, signal),
  ]);
  if (hosts !== null && ours !== null && !isSamePlace(hosts, ours))
    refuse(
      "this process has a /run of its own: its locks and records would be invisible to the host's commands",
      "/run",
    );
}

async function namespaceInode(
  native: Native,
  kind: string,
  signal: AbortSignal | undefined,
): Promise<number | null> {
  const link = await linkOrNull(native, `/proc/self/ns/${kind}`, signal);
  const inode = /^\w+:\[(\d+)\]$/.exec(link ?? "")?.[1];
  return inode === undefined ? null : Number(inode);
}

async function linkOrNull(
  native: Native,
  path: string,
  signal: AbortSignal | undefined,
): Promise<string | null> {
  try {
    return await native.readLink(path, { signal });
  } catch {
    return null;
  }
}

async function inspect(
  native: Native,
  namespace: string | null,
  signal: AbortSignal | undefined,
): Promise<PathFacts | null> {
  try {
    return await native.inspectPath("/run", namespace, { signal });
  } catch {
    return null;
  }
}

function isSamePlace(one: PathFacts, other: PathFacts): boolean {
  return one.device.major === other.device.major && one.device.minor === other.device.minor;
}
