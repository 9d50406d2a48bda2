// Draining a host: all volumes of the cluster unmounted, in every namespace, and the cluster taken offline when nothing is left of it.
//
// Facts relied on: users B7 (a network that goes before the mounts ends in a fence), commands facts 1 and 6 (a superblock ends with its last
// mount point, wherever that is), kernel-abi 4 (an unmount takes 4 s and more, so volumes go side by side). A mount that lies on another one
// has to go first: who is busy is tried again as long as others come loose. Mount points that share a namespace's propagation
// vanish together.
//
// Nothing is forced and nothing detached: a volume in use is named, and the rest stays unmounted.
import { isCode, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { unmountVolume, type UnmountVolumeResult } from "../mount/unmount-volume.ts";
import { allMounts, type MountSeen } from "../region/liveness.ts";
import { stackOfMount } from "../stack/stack-holders.ts";
import { offline, type OfflineOptions, type OfflineResult } from "./offline.ts";
import { requireCluster } from "./register.ts";
import { readClusterState } from "./registered.ts";
import { KernelWrites, type KernelWrite } from "./writes.ts";

export interface DrainResult {
  unmounted: {
    directory: string;
    namespace: string | null;
    outcome: UnmountVolumeResult["outcome"] | "gone";
  }[];
  offline: OfflineResult;
  writes: KernelWrite[];
}

/**
 * Errors: O2CB_UNMOUNT_FAILED with the names of the mounts that are busy (the others are unmounted, the cluster stays online);
 * those of offline.
 */
export async function drain(native: Native, options: OfflineOptions = {}): Promise<DrainResult> {
  const writes = KernelWrites.of(native, options);
  return writes.exclusively(async () => {
    const begun = writes.done.length;
    const state = await readClusterState(writes.native);
    if (state !== null && options.name != null) requireCluster(state, options.name, "drain");
    const unmounted = await unmountAll(writes);
    const result = await offline(writes.native, { ...options, writes, assumeUnmounted: true });
    return { unmounted, offline: result, writes: writes.done.slice(begun) };
  });
}

async function unmountAll(writes: KernelWrites): Promise<DrainResult["unmounted"]> {
  const done: DrainResult["unmounted"] = [];
  for (;;) {
    const mounts = (await allMounts(writes.native, writes.signal)).filter(
      (mount) => stackOfMount(mount) !== null,
    );
    const before = done.length;
    const failures = await unmountRound(writes, mounts, done);
    if (failures.length === 0) return done;
    if (done.length === before) throw busy(failures);
  }
}

interface Failure {
  mount: MountSeen;
  error: unknown;
}

/** Once around: the volumes side by side, the mount points of each from the last to the first. */
async function unmountRound(
  writes: KernelWrites,
  mounts: readonly MountSeen[],
  done: DrainResult["unmounted"],
): Promise<Failure[]> {
  const volumes = new Map<string, MountSeen[]>();
  for (const mount of mounts) {
    const key = `${mount.entry.device.major}:${mount.entry.device.minor}`;
    volumes.set(key, [mount, ...(volumes.get(key) ?? [])]);
  }
  const failures: Failure[] = [];
  await Promise.all(
    [...volumes.values()].map(async (own) => {
      for (const mount of own) {
        try {
          done.push(await unmountOne(writes, mount));
        } catch (error) {
          if (isCode(error, "O2CB_ABORTED")) throw error;
          failures.push({ mount, error });
        }
      }
    }),
  );
  return failures;
}

async function unmountOne(
  writes: KernelWrites,
  { directory, namespace }: MountSeen,
): Promise<DrainResult["unmounted"][number]> {
  const { native, signal, onStep } = writes;
  if (writes.dryRun) {
    await native.unmount({ target: directory, flags: 0, namespace });
    return { directory, namespace, outcome: "left" };
  }
  try {
    const { outcome } = await unmountVolume(native, { target: directory, namespace, signal, onStep });
    return { directory, namespace, outcome };
  } catch (error) {
    // It went with another one, or with its namespace.
    if (isCode(error, "O2CB_NOT_MOUNTED")) return { directory, namespace, outcome: "gone" };
    throw error;
  }
}

function busy(failures: readonly Failure[]): O2cbError {
  const [first] = failures;
  const each = failures.map(
    ({ mount, error }) =>
      `${(error as Error).message}${mount.namespace === null ? "" : ` (in ${mount.namespace})`}`,
  );
  const cause = first?.error;
  return new O2cbError("O2CB_UNMOUNT_FAILED", `the host is not drained: ${each.join("; ")}`, {
    operation: "drain",
    path: first?.mount.directory,
    errno: (cause as O2cbError | undefined)?.errno,
    remedy:
      "end the programs that use them (fuser -vm DIRECTORY) and drain again; the cluster stays online until then",
    cause,
  });
}
