// mount.ocfs2 of a classic volume ended by SIGTERM and SIGKILL at each step of its sequence and in the kernel's wait, then a second mount.
import { assertRecovers, countedSteps, disturbEachStep, type Place } from "./disturbed-mount.ts";
import { assertCleanVolume, format } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";

const shared = sharedLab({ nodes: 1, disks: [{ mib: 256 }], limitSeconds: 2400 });

let steps: string[] | undefined;

async function prepared(): Promise<{ place: Place; steps: string[] }> {
  const [node] = shared.get().nodes;
  if (node === undefined) throw new Error("a node is needed");
  const place = { node, device: "/dev/vda", assertNothing: () => node.assertNothingLeft() };
  if (steps === undefined) {
    await format(node, "/dev/vda");
    steps = await countedSteps(place);
  }
  return { place, steps };
}

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  scenario(`${signal} at each step of a mount`, async (t) => {
    t.timeout(1_800_000);
    const { place, steps } = await prepared();
    t.true(
      steps.includes("start-heartbeat") && steps.includes("mount") && steps.includes("complete"),
      steps.join(" "),
    );
    await disturbEachStep(t, place, steps, signal);
  });

  scenario(`${signal} while the kernel waits for a steady heartbeat`, async (t) => {
    t.timeout(300_000);
    const { place } = await prepared();
    const { node } = place;
    const mount = node.start(["/sbin/mount.ocfs2", "/dev/vda", "/one", "-o", "rw"]);
    await node.run(
      "until cat /sys/kernel/config/cluster/lab/heartbeat/*/pid 2>/dev/null | grep -q .; do :; done",
    );
    await mount.kill(signal);
    const { status } = await mount.done;
    t.is(status, signal === "SIGKILL" ? 137 : 8);
    if (signal === "SIGTERM") await node.assertNothingLeft();
    await assertRecovers(t, place, `${signal} in the start`);
  });
}

scenario("after all that the volume is clean", async (t) => {
  t.timeout(120_000);
  const { place } = await prepared();
  await assertCleanVolume(place.node, "/dev/vda");
  t.pass();
});
