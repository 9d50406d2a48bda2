// The program ocfs2_hb_ctl: what scripts/bundle.mjs makes dist/cli/ocfs2_hb_ctl.cjs from.
import { hbCtlJob } from "./hb-ctl-job.ts";
import { hbCtlRequest } from "./hb-ctl-request.ts";
import { helpText } from "./help-text.ts";
import { main as run } from "./run-cli.ts";

export function main(): void {
  run({ job: hbCtlJob(), check: hbCtlRequest, help: () => helpText("ocfs2_hb_ctl") });
}
