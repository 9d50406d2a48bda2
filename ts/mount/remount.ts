// mount -o remount: no join, no leave. The kernel replaces all option bits by those it is given, so what is mounted now is
// the base and the request is laid over it (commands 1.4); the heartbeat option is repeated as the kernel shows it.
import { constants } from "node:os";
import { O2cbError } from "../errors.ts";
import type { MountEntry, Native } from "../native-types.ts";
import { FILESYSTEM_TYPE } from "../region/superblock.ts";
import { emit } from "../steps.ts";
import { CLASSIC_STACK } from "../volume.ts";
import { explainMountFailure } from "./errno-guide.ts";
import type { MountVolumeRequest, MountVolumeResult } from "./mount-volume.ts";
import { remountOptions, type ParsedMountOptions } from "./options.ts";
import { MS_RDONLY, MS_REMOUNT } from "./perform.ts";
import { checkDirectory } from "./target.ts";

/** The ocfs2 mount whose root is at this path, as the namespace sees it; null where there is none. */
export async function mountAt(
  native: Native,
  path: string,
  namespace: string | null,
  signal?: AbortSignal,
): Promise<MountEntry | null> {
  const here = (await native.mounts(namespace, { signal })).filter((entry) => entry.target === path);
  const top = here.at(-1);
  return top !== undefined && top.type === FILESYSTEM_TYPE ? top : null;
}

/** Errors: O2CB_NOT_MOUNTED, O2CB_BAD_MOUNT_OPTION, O2CB_MOUNT_FAILED. */
export async function remountVolume(
  native: Native,
  request: MountVolumeRequest,
  parsed: ParsedMountOptions,
): Promise<MountVolumeResult> {
  const { signal, onStep } = request;
  const namespace = request.namespace ?? null;
  const directory = await checkDirectory(native, request.directory, namespace, signal);
  const entry = await mountAt(native, directory.path, namespace, signal);
  if (entry === null) {
    throw new O2cbError(
      "O2CB_NOT_MOUNTED",
      `no OCFS2 volume is mounted on '${directory.path}': there is nothing to remount`,
      { operation: "remount", path: directory.path },
    );
  }
  const options = remountOptions(entry.superOptions, parsed);
  const readOnly = (parsed.flags & MS_RDONLY) !== 0;
  const result: MountVolumeResult = {
    device: entry.source,
    directory: directory.path,
    options,
    readOnly,
    uuid: "",
    region: null,
    fake: request.fake ?? false,
    remount: true,
  };
  if (result.fake) return result;
  emit(onStep, { step: "mount", device: entry.source, directory: directory.path, options, readOnly });
  const began = Date.now();
  await remount(native, entry, parsed.flags, options, namespace, signal);
  emit(onStep, {
    step: "mounted",
    device: entry.source,
    directory: directory.path,
    milliseconds: Date.now() - began,
  });
  return result;
}

/** The label of a mount on a userspace stack; `o2cb` for the classic one and for local volumes. */
export function stackOfMount({ superOptions }: MountEntry): string {
  const option = superOptions.split(",").find((one) => one.startsWith("cluster_stack="));
  return option?.slice("cluster_stack=".length) ?? CLASSIC_STACK;
}

/** One remount(2) of a mount that stands. Errors: O2CB_MOUNT_FAILED. */
export async function remount(
  native: Native,
  entry: MountEntry,
  flags: number,
  options: string[],
  namespace: string | null,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await native.mount(
      {
        source: entry.source,
        target: entry.target,
        type: FILESYSTEM_TYPE,
        flags: flags | MS_REMOUNT,
        options,
        namespace,
        api: "mount",
      },
      { signal },
    );
  } catch (error) {
    const failure = error as O2cbError;
    const readOnly = (flags & MS_RDONLY) !== 0;
    const { cause, remedy } =
      failure.errno === -constants.errno.EROFS && !readOnly
        ? {
            cause: "the volume was made read-only by an error, or its device is read-only",
            remedy: "unmount it on this node, run fsck.ocfs2 on it and mount it again",
          }
        : explainMountFailure(error, {
            device: entry.source,
            directory: entry.target,
            stack: stackOfMount(entry),
            cluster: null,
            isLocal: false,
            readOnlyDevice: false,
            readOnly,
            options,
          });
    throw new O2cbError("O2CB_MOUNT_FAILED", `the kernel refused to remount '${entry.target}': ${cause}`, {
      operation: "remount",
      errno: failure.errno,
      syscall: failure.syscall,
      path: entry.target,
      kernelMessages: failure.kernelMessages,
      remedy,
      cause: error,
    });
  }
}
