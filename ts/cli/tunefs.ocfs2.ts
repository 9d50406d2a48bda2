// The program tunefs.ocfs2: what scripts/bundle.mjs makes dist/cli/tunefs.ocfs2.cjs from.
import { helpText } from "./help-text.ts";
import { main as run } from "./run-cli.ts";
import { checkTunefs, tunefsJob } from "./tunefs-job.ts";

export function main(): void {
  run({ job: tunefsJob(), check: checkTunefs, help: () => helpText("tunefs.ocfs2") });
}
