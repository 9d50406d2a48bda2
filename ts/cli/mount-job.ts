// mount.ocfs2: its command line as a request to mountVolume, and the result as a line.
//
// No mtab is written: /etc/mtab leads to /proc on every system that can run this package, and libmount keeps its own table
// (/run/mount/utab) after the helper has succeeded (commands 1.1, 1.7). So -n changes nothing.
import type { MountVolumeRequest, MountVolumeResult } from "../mount/mount-volume.ts";
import type { Native } from "../native-types.ts";
import type { Arguments } from "./argv.ts";
import { checkType, namespacePath, type Job } from "./job.ts";
import { mountSyntax } from "./syntax.ts";

export interface MountLibrary {
  mountVolume(native: Native, request: MountVolumeRequest): Promise<MountVolumeResult>;
}

/** Errors of `run`: UsageError, and those of mountVolume. */
export function mountJob(load: () => Promise<MountLibrary> = () => import("../mount/mount-volume.ts")): Job {
  return {
    syntax: mountSyntax,
    async run(args, { native, signal, onStep }) {
      const request = mountRequest(args);
      const { mountVolume } = await load();
      const result = await mountVolume(native, { ...request, signal, onStep });
      const details = args.count("verbose") > 0 ? await describe(result, request) : [];
      return { data: result, details, notices: [] };
    },
  };
}

/** @throws UsageError */
export function mountRequest(args: Arguments): MountVolumeRequest & { options: string; sloppy: boolean } {
  checkType(args);
  return {
    device: args.operand("device"),
    directory: args.operand("directory"),
    options: args.values("options").join(","),
    fake: args.flag("fake"),
    namespace: namespacePath(args),
    sloppy: args.flag("sloppy"),
  };
}

async function describe(
  result: MountVolumeResult,
  { options, sloppy }: { options: string; sloppy: boolean },
): Promise<string[]> {
  const { flagsAsWords, parseMountOptions } = await import("../mount/options.ts");
  const { flags, ignored } = parseMountOptions(options, { sloppy });
  const all = [...flagsAsWords(flags).filter((word) => word !== "remount"), ...result.options].join(",");
  const done = `${result.fake ? "would be " : ""}${result.remount ? "remounted" : "mounted"}`;
  const left = ignored.length === 0 ? [] : [`left out, since OCFS2 does not know it: ${ignored.join(", ")}`];
  return [...left, `'${result.device}' ${done} on '${result.directory}' (${all})`];
}
