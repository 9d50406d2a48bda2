// The program o2cb: what scripts/bundle.mjs makes dist/cli/o2cb.cjs from.
import { o2cbStatuses, runO2cb } from "./o2cb-commands.ts";
import { runProcess } from "./run-cli.ts";

export function main(): void {
  runProcess(
    "o2cb",
    () => o2cbStatuses,
    () => runO2cb(process.argv.slice(2)),
  );
}
