// The monitor after thousands of events: it remembers nothing of what is over.
import test from "ava";
import { classicLocal, DIRECTORY, DISK } from "../helpers/fake-native.ts";
import { RunningMonitor } from "../helpers/monitor.ts";

const CYCLES = 250;
const BINDS = 3;

test(`${CYCLES * (BINDS + 1) * 2} mounts and unmounts leave nothing in its memory`, async (t) => {
  const { kernel } = classicLocal();
  const running = await RunningMonitor.start(kernel);
  for (let cycle = 1; cycle <= CYCLES; cycle += 1) {
    // The log of the fake's calls is not the monitor's.
    running.native.restartCount();
    await kernel.cTool.mount(DISK, DIRECTORY);
    await running.until(() => running.of("superblock").length === cycle, "the superblock is watched");
    await running.rest();
    for (let bind = 0; bind < BINDS; bind += 1) {
      kernel.bind(DIRECTORY, "/vol2");
      await kernel.cTool.umount("/vol2");
    }
    await kernel.cTool.umount(DIRECTORY);
    await running.until(() => running.of("region-gone").length === cycle, "the region is gone");
    await running.rest();
  }
  t.deepEqual(running.monitor.memory, { regions: 0, failures: 0, reaps: 0, early: 0, events: 0 });
  t.is(running.events.length, 1 + CYCLES * 5);
  await running.stop();
  t.deepEqual(kernel.leftovers(), []);
});
