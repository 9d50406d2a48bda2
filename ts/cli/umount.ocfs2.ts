// The program umount.ocfs2: what scripts/bundle.mjs makes dist/cli/umount.ocfs2.cjs from.
import { umountJob, unmountRequest } from "./umount-job.ts";
import { main as run } from "./run-cli.ts";

declare const OCFS2_GROUP_HELP: string | undefined;

export function main(): void {
  run({
    job: umountJob(),
    check: unmountRequest,
    help: () =>
      typeof OCFS2_GROUP_HELP === "string"
        ? OCFS2_GROUP_HELP
        : import("./help.ts").then(({ helpOf }) => helpOf("umount.ocfs2")),
  });
}
