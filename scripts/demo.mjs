// `npm run demo`: two machines on a stock kernel mount one volume with our commands, told as it happens.
import { prepare } from "./lib/prepare.mjs";
import { interruptAll, run } from "./lib/run.mjs";
import { headline, script } from "./lib/say.mjs";

await script(async (argv) => {
  headline("what the demo needs");
  await prepare("dist", "machines");
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, interruptAll);
  const args = ["--import=@oxc-node/core/register", "__test__/e2e/demo.ts", ...argv];
  return (await run(process.execPath, args)).status;
});
