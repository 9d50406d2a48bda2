// The conformance suite of the classic stack over the real module on a real kernel: conformance.ts DEVICE CLUSTER. One line for each case;
// the status says whether all held.
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { loadNative } from "../../../ts/native.ts";
import { openVolume } from "../../../ts/volume.ts";
import { classicCases, regionFixture } from "../../conformance/heartbeat-regions.ts";

const [device = "", cluster = ""] = process.argv.slice(2);
const native = loadNative();
const volume = await openVolume(native, device);

async function mount(): Promise<() => Promise<void>> {
  const target = mkdtempSync(`${tmpdir()}/conformance-`);
  await native.mount({
    source: device,
    target,
    type: "ocfs2",
    flags: 0,
    options: ["heartbeat=local"],
    namespace: null,
    api: "mount",
  });
  return async () => {
    await native.unmount({ target, flags: 0, namespace: null });
    rmdirSync(target);
  };
}

const fixture = regionFixture({
  native,
  volume,
  directory: `/sys/kernel/config/cluster/${cluster}/heartbeat/${volume.uuid}`,
  mount,
});
for (const { title, run } of classicCases) {
  try {
    await fixture.assertClean();
    await run(fixture);
    console.log(`ok ${title}`);
  } catch (error) {
    console.log(`not ok ${title}: ${(error as Error).message.replaceAll("\n", " ")}`);
    process.exitCode = 1;
  }
}
