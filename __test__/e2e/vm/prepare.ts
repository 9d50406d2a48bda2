// A program: installs what the lab lacks and fetches kernels, so that the first boot has nothing to wait for.
//     node --import @oxc-node/core/register __test__/e2e/vm/prepare.ts [--fetch] [KERNEL...]
// Without --fetch only what must be installed is looked after. Ends with 1, after a sentence, where machines cannot run.
import { LabError } from "./errors.ts";
import { kernel, KERNELS, type KernelName } from "./kernels.ts";
import { installMissing } from "./requirements.ts";

const log = (line: string) => console.log(`   ${line}`);
const words = process.argv.slice(2);
const names = words.filter((word) => word !== "--fetch");
const wrong = names.find((name) => !KERNELS.includes(name as KernelName));
try {
  if (wrong !== undefined)
    throw new LabError("usage", `There is no kernel ${wrong} here; there are ${KERNELS.join(", ")}.`);
  const missing = await installMissing(log);
  if (missing.length > 0) process.exitCode = 1;
  else if (words.length > 0)
    for (const name of names.length > 0 ? names : KERNELS) await kernel(name as KernelName, log);
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
