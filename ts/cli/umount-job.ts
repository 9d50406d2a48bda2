// umount.ocfs2: its command line as a request to unmountVolume, and the outcome as a line. A volume that is unmounted is a
// success, whatever became of the group: umount(8) could do nothing about that, and would take its table for wrong.
import type { UnmountVolumeRequest, UnmountVolumeResult } from "../mount/unmount-volume.ts";
import type { Native } from "../native-types.ts";
import type { Arguments } from "./argv.ts";
import { checkType, namespacePath, type Job } from "./job.ts";
import { umountSyntax } from "./syntax.ts";

export interface UnmountLibrary {
  unmountVolume(native: Native, request: UnmountVolumeRequest): Promise<UnmountVolumeResult>;
}

const outcomes: Record<UnmountVolumeResult["outcome"], string> = {
  left: "unmounted, and its group left",
  "kernel-leaves": "unmounted; the kernel leaves its group",
  "still-in-use": "unmounted; its group is left when the volume's last user has gone",
  "no-group": "unmounted",
  "read-only": "in use: it was made read-only instead of being unmounted",
  "leave-failed": "unmounted, but its group could not be left",
};

/** Errors of `run`: UsageError, and those of unmountVolume. */
export function umountJob(
  load: () => Promise<UnmountLibrary> = () => import("../mount/unmount-volume.ts"),
): Job {
  return {
    syntax: umountSyntax,
    async run(args, { native, signal, onStep }) {
      const request = unmountRequest(args);
      const { unmountVolume } = await load();
      const result = await unmountVolume(native, { ...request, signal, onStep });
      const line = `'${result.directory}' (${result.device}) ${outcomes[result.outcome]}`;
      const isUnmounted = result.outcome !== "read-only";
      return { data: result, details: isUnmounted ? [line] : [], notices: isUnmounted ? [] : [line] };
    },
  };
}

/** @throws UsageError */
export function unmountRequest(args: Arguments): UnmountVolumeRequest {
  checkType(args);
  return {
    target: args.operand("target"),
    lazy: args.flag("lazy"),
    force: args.flag("force"),
    readOnlyFallback: args.flag("readOnly"),
    namespace: namespacePath(args),
  };
}
