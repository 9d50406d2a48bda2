// The contract of a cluster stack over the fake kernel: modern, and as drivers of the 1.2 era were.
import test from "ava";
import { classicLocal, DISK, oldDriver12, type Machine } from "../helpers/fake-native.ts";
import { openVolume } from "../../ts/volume.ts";
import { cases } from "./cluster-stack.ts";

const machines: Record<string, () => Machine> = {
  "a stock kernel": () => classicLocal(),
  "a driver of the 1.2 era": () => oldDriver12(),
};

for (const [name, machine] of Object.entries(machines)) {
  for (const { title, run } of cases) {
    test(`${name}: ${title}`, async (t) => {
      const { kernel, regionDirectory } = machine();
      const native = kernel.process();
      const volume = await openVolume(native, DISK);
      await run({ native, volume, directory: regionDirectory });
      native.exit();
      t.deepEqual(kernel.leftovers(), []);
    });
  }
}
