// The program mounted.ocfs2: what scripts/bundle.mjs makes dist/cli/mounted.ocfs2.cjs from.
import { helpText } from "./help-text.ts";
import { checkMounted, mountedJob } from "./mounted-job.ts";
import { main as run } from "./run-cli.ts";

export function main(): void {
  run({ job: mountedJob(), check: checkMounted, help: () => helpText("mounted.ocfs2") });
}
