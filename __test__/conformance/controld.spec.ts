// The contract over the fake kernel and a control daemon.
import test from "ava";
import { DIRECTORY, DISK } from "../helpers/fake-native.ts";
import { controldMachine, groupsGone } from "../helpers/controld-machine.ts";
import { openVolume } from "../../ts/volume.ts";
import { cases } from "./cluster-stack.ts";
import { controldFixture } from "./controld.ts";
import { mountVolumeAt } from "./volume-mounts.ts";

for (const { title, run } of cases) {
  test(`a userspace stack with a control daemon: ${title}`, async (t) => {
    const { kernel, daemon } = controldMachine();
    const native = kernel.process();
    const volume = await openVolume(native, DISK);
    const places = [DIRECTORY, "/vol2", "/vol3"];
    const mount = () => mountVolumeAt(native, volume, places.shift() ?? "");
    const fixture = controldFixture(
      { native, volume, mount },
      {
        services: () => Promise.resolve(daemon.services),
        groups: async () => {
          await groupsGone(daemon);
          return daemon.view();
        },
      },
    );
    await run(fixture);
    native.exit();
    t.deepEqual(kernel.leftovers(), []);
    t.is(daemon.clients, 0);
  });
}
