// The program mount.ocfs2: what scripts/bundle.mjs makes dist/cli/mount.ocfs2.cjs from.
import { mountJob, mountRequest } from "./mount-job.ts";
import { main as run } from "./run-cli.ts";

declare const OCFS2_GROUP_HELP: string | undefined;

export function main(): void {
  run({
    job: mountJob(),
    check: mountRequest,
    help: () =>
      typeof OCFS2_GROUP_HELP === "string"
        ? OCFS2_GROUP_HELP
        : import("./help.ts").then(({ helpOf }) => helpOf("mount.ocfs2")),
  });
}
