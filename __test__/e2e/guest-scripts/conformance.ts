// The conformance suite over the real module on a real kernel: conformance.ts DEVICE CLUSTER. One line for each case; the status
// says whether all held.
import { loadNative } from "../../../ts/native.ts";
import { openVolume } from "../../../ts/volume.ts";
import { assertClean, cases, type StackFixture } from "../../conformance/cluster-stack.ts";

const [device = "", cluster = ""] = process.argv.slice(2);
const native = loadNative();
const volume = await openVolume(native, device);
const fixture: StackFixture = {
  native,
  volume,
  directory: `/sys/kernel/config/cluster/${cluster}/heartbeat/${volume.uuid}`,
};
for (const { title, run } of cases) {
  try {
    await assertClean(fixture);
    await run(fixture);
    console.log(`ok ${title}`);
  } catch (error) {
    console.log(`not ok ${title}: ${(error as Error).message.replaceAll("\n", " ")}`);
    process.exitCode = 1;
  }
}
