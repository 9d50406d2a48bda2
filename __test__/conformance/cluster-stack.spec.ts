// The contract of the classic stack over the fake kernel: modern, and as drivers of the 1.2 era were.
import test from "ava";
import { classicLocal, DIRECTORY, DISK, oldDriver12, type Machine } from "../helpers/fake-native.ts";
import { openVolume } from "../../ts/volume.ts";
import { classicCases, regionFixture } from "./heartbeat-regions.ts";

const machines: Record<string, () => Machine> = {
  "a stock kernel": () => classicLocal(),
  "a driver of the 1.2 era": () => oldDriver12(),
};

for (const [name, machine] of Object.entries(machines)) {
  for (const { title, run } of classicCases) {
    test(`${name}: ${title}`, async (t) => {
      const { kernel, regionDirectory: directory } = machine();
      const native = kernel.process();
      const volume = await openVolume(native, DISK);
      const places = [DIRECTORY, "/vol2", "/vol3"];
      const mount = async (): Promise<() => Promise<void>> => {
        const target = places.shift() ?? "";
        await native.mount({
          source: DISK,
          target,
          type: "ocfs2",
          flags: 0,
          options: ["heartbeat=local"],
          namespace: null,
          api: "mount",
        });
        return () => native.unmount({ target, flags: 0, namespace: null });
      };
      await run(regionFixture({ native, volume, directory, mount }));
      native.exit();
      t.deepEqual(kernel.leftovers(), []);
    });
  }
}
