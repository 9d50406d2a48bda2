// The program mount.ocfs2: what scripts/bundle.mjs makes dist/cli/mount.ocfs2.cjs from.
import { helpText } from "./help-text.ts";
import { mountJob, mountRequest } from "./mount-job.ts";
import { main as run } from "./run-cli.ts";

export function main(): void {
  run({ job: mountJob(), check: mountRequest, help: () => helpText("mount.ocfs2") });
}
