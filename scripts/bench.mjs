// `npm run bench`: the figures of the README, as ratios within one run.
import { prepare } from "./lib/prepare.mjs";
import { interruptAll, run } from "./lib/run.mjs";
import { script } from "./lib/say.mjs";

await script(async (argv) => {
  await prepare("dist", "machines");
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, interruptAll);
  return (await run(process.execPath, ["--import=@oxc-node/core/register", "bench/main.ts", ...argv])).status;
});
