// The program umount.ocfs2: what scripts/bundle.mjs makes dist/cli/umount.ocfs2.cjs from.
import { helpText } from "./help-text.ts";
import { umountJob, unmountRequest } from "./umount-job.ts";
import { main as run } from "./run-cli.ts";

export function main(): void {
  run({ job: umountJob(), check: unmountRequest, help: () => helpText("umount.ocfs2") });
}
