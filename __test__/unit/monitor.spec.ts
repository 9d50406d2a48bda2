// The monitor over the fake machine: however a superblock dies, its reference goes, and nothing else does.
import test from "ava";
import { classicLocal, deaths, DIRECTORY, DISK, UUID } from "../helpers/fake-native.ts";
import { RunningMonitor } from "../helpers/monitor.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";

for (const { title, die } of deaths) {
  test(`${title}: the region is left`, async (t) => {
    const { kernel } = classicLocal();
    const running = await RunningMonitor.start(kernel);
    const native = kernel.process();
    await mountVolume(native, { device: DISK, directory: DIRECTORY });
    native.exit();
    await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
    await die(kernel, DIRECTORY);
    await running.until(() => running.of("region-gone").length > 0, "the region is gone");
    await running.rest();
    t.deepEqual(running.words, ["region", "superblock", "superblock-gone", "left", "region-gone"]);
    t.like(running.of("left")[0], { region: UUID, references: 0, stopped: true });
    await running.stop();
    t.deepEqual(kernel.leftovers(), []);
  });
}
