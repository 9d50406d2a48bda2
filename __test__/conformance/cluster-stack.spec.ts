// The contract over the fake kernel: of the classic stack, modern and as drivers of the 1.2 era were, and of a userspace stack in the kernel.
import test from "ava";
import {
  classicLocal,
  DIRECTORY,
  DISK,
  oldDriver12,
  userStack,
  type FakeNative,
  type Machine,
} from "../helpers/fake-native.ts";
import { openVolume, type Volume } from "../../ts/volume.ts";
import { cases, type ConformanceCase } from "./cluster-stack.ts";
import { classicCases, regionFixture } from "./heartbeat-regions.ts";
import { lockspaceFixture } from "./kernel-dlm.ts";
import { mountVolumeAt } from "./volume-mounts.ts";

function run<F>(
  name: string,
  machine: () => Machine,
  all: readonly { title: string; run(fixture: F): Promise<void> }[],
  fixture: (parts: {
    native: FakeNative;
    volume: Volume;
    directory: string;
    mount: () => Promise<() => Promise<void>>;
  }) => F,
): void {
  for (const one of all) {
    test(`${name}: ${one.title}`, async (t) => {
      const { kernel, regionDirectory: directory } = machine();
      const native = kernel.process();
      const volume = await openVolume(native, DISK);
      const places = [DIRECTORY, "/vol2", "/vol3"];
      const mount = () => mountVolumeAt(native, volume, places.shift() ?? "");
      await one.run(fixture({ native, volume, directory, mount }));
      native.exit();
      t.deepEqual(kernel.leftovers(), []);
    });
  }
}

run("a stock kernel", classicLocal, classicCases, regionFixture);
run("a driver of the 1.2 era", oldDriver12, classicCases, regionFixture);
run<Parameters<ConformanceCase["run"]>[0]>(
  "a userspace stack in the kernel",
  userStack,
  cases,
  lockspaceFixture,
);
