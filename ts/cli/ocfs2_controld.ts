// The program ocfs2_controld: what scripts/bundle.mjs makes dist/cli/ocfs2_controld.cjs from.
import { checkControld, controldJob } from "./controld-job.ts";
import { helpText } from "./help-text.ts";
import { main as run } from "./run-cli.ts";

export function main(): void {
  run({ job: controldJob(), check: checkControld, help: () => helpText("ocfs2_controld") });
}
