// The contract over the fake kernel and two control daemons: the one for tests, which is the protocol's description alone, and our own on a node of a
// fake cluster, in both modes of dlm_controld's that it serves.
import test from "ava";
import { DIRECTORY, DISK, type FakeKernel } from "../helpers/fake-native.ts";
import { controldMachine, groupsGone, leavesThroughDaemon } from "../helpers/controld-machine.ts";
import { FakeCorosync } from "../helpers/fake/corosync.ts";
import { addNode, RunningDaemon } from "../helpers/running-daemon.ts";
import { openVolume } from "../../ts/volume.ts";
import { cases } from "./cluster-stack.ts";
import { controldFixture } from "./controld.ts";
import { mountVolumeAt } from "./volume-mounts.ts";

interface Scene {
  kernel: FakeKernel;
  /** how many services the daemon's groups have */
  services(): number;
  groups(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

async function daemonForTests(): Promise<Scene> {
  const { kernel, daemon } = controldMachine();
  return {
    kernel,
    services: () => daemon.services,
    groups: async () => {
      await groupsGone(daemon);
      return daemon.view();
    },
    stop: () => Promise.resolve(),
  };
}

/** pcmk without recovery callbacks, or cman, whose joins are always a daemon's. */
async function ourDaemon(label: "pcmk" | "cman", dlm: "controld" | "callbacks"): Promise<Scene> {
  const ring = new FakeCorosync();
  const settings = { dlm, label, volume: { stack: label } };
  const node = addNode(ring, 1, settings);
  const running = await RunningDaemon.start(node, { withoutRecovery: dlm === "controld" });
  leavesThroughDaemon(node.kernel);
  node.kernel.markClean();
  return {
    kernel: node.kernel,
    services: () => running.daemon.volumes.reduce((sum, { services }) => sum + services.length, 0),
    groups: async () => {
      await running.until(() => running.view.length === 0, "no group is left");
      return running.view;
    },
    stop: () => running.stop(),
  };
}

const scenes: Record<string, () => Promise<Scene>> = {
  "the daemon for tests": daemonForTests,
  "our daemon, without recovery callbacks": () => ourDaemon("pcmk", "controld"),
  "our daemon, cman": () => ourDaemon("cman", "callbacks"),
};

for (const [name, make] of Object.entries(scenes)) {
  for (const { title, run } of cases) {
    test(`${name}: ${title}`, async (t) => {
      const { kernel, services, groups, stop } = await make();
      const native = kernel.process();
      const volume = await openVolume(native, DISK);
      const places = [DIRECTORY, "/vol2", "/vol3"];
      const mount = () => mountVolumeAt(native, volume, places.shift() ?? "");
      const daemon = { services: () => Promise.resolve(services()), groups };
      await run(controldFixture({ native, volume, mount }, daemon));
      native.exit();
      t.deepEqual(kernel.leftovers(), []);
      await stop();
    });
  }
}
