// The conformance suite over the real module on a real kernel, for the stack that the volume belongs to and its transport: conformance.ts
// DEVICE CLUSTER. One line for each case; the status says whether all held.
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout } from "node:timers/promises";
import { loadNative } from "../../../ts/native.ts";
import { CLASSIC_STACK, openVolume } from "../../../ts/volume.ts";
import { ControldClient } from "../../../ts/controld/client.ts";
import { transportOf } from "../../../ts/stack/transport.ts";
import { controldFixture } from "../../conformance/controld.ts";
import { cases, type ConformanceCase, type StackFixture } from "../../conformance/cluster-stack.ts";
import { classicCases, regionFixture } from "../../conformance/heartbeat-regions.ts";
import { lockspaceFixture } from "../../conformance/kernel-dlm.ts";
import { mountVolumeAt } from "../../conformance/volume-mounts.ts";

const [device = "", cluster = ""] = process.argv.slice(2);
const native = loadNative();
const volume = await openVolume(native, device);

function mount(): Promise<() => Promise<void>> {
  const target = mkdtempSync(`${tmpdir()}/conformance-`);
  return mountVolumeAt(native, volume, target, () => rmdirSync(target));
}

async function runAll<F extends StackFixture>(fixture: F, all: readonly ConformanceCase<F>[]): Promise<void> {
  for (const { title, run } of all) {
    try {
      await fixture.assertClean();
      await run(fixture);
      console.log(`ok ${title}`);
    } catch (error) {
      console.log(`not ok ${title}: ${(error as Error).message.replaceAll("\n", " ")}`);
      process.exitCode = 1;
    }
  }
}

if (volume.stack === CLASSIC_STACK) {
  const directory = `/sys/kernel/config/cluster/${cluster}/heartbeat/${volume.uuid}`;
  await runAll(regionFixture({ native, volume, directory, mount }), classicCases);
} else if ((await transportOf(native, volume.stack)) === "kernel") {
  await runAll(lockspaceFixture({ native, volume, mount }), cases);
} else {
  const client = new ControldClient(native, {}, { clusterStack: volume.stack });
  // A group takes a moment to go: corosync orders its end.
  const groups = async () => {
    const end = Date.now() + 10_000;
    for (;;) {
      const left = await client.listFilesystems(cluster);
      if (left.length === 0 || Date.now() > end) return left;
      await setTimeout(100);
    }
  };
  // The daemon's lists name no services.
  const services = () => Promise.resolve(null);
  await runAll(controldFixture({ native, volume, mount }, { services, groups }), cases);
}
