// mount.ocfs2 ended by SIGTERM and SIGKILL at each step of its sequence, then a second mount: it works, and after the unmount
// nothing is left. The steps are those that the command itself reports with --json, counted in a run that is not disturbed.
import type { ExecutionContext } from "ava";
import { assertCleanVolume, format, root } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";
import type { Node } from "./vm/node.ts";

const shared = sharedLab({ nodes: 1, disks: [{ mib: 256 }], limitSeconds: 2400 });
const MOUNT = [
  "node",
  "-r",
  `${root}__test__/e2e/guest-scripts/signal-at-step.cjs`,
  "/usr/lib/ocfs2-group/mount.ocfs2.cjs",
  "/dev/vda",
  "/one",
  "-o",
  "rw",
  "--json",
];

let steps: string[] | undefined;

async function prepared(): Promise<{ node: Node; steps: string[] }> {
  const [node] = shared.get().nodes;
  if (node === undefined) throw new Error("a node is needed");
  if (steps === undefined) {
    await format(node, "/dev/vda");
    await node.run("mkdir -p /one /two");
    const { stdout } = await node.run(MOUNT);
    await node.run(["umount", "/one"]);
    await node.assertNothingLeft();
    steps = stdout
      .split("\n")
      .flatMap((line) => (line.startsWith('{"step"') ? [(JSON.parse(line) as { step: string }).step] : []));
  }
  return { node, steps };
}

/** Whatever a killed mount left: a second mount works, and after the unmounts nothing is left. */
async function assertRecovers(t: ExecutionContext, node: Node, what: string): Promise<void> {
  const before = (await node.ocfs2Mounts()).length;
  const second = await node.try(["mount", "-t", "ocfs2", "/dev/vda", "/two"]);
  t.is(second.status, 0, `${what}: ${second.stderr}`);
  await node.run(["umount", "/two"]);
  if (before > 0) await node.run(["umount", "/one"]);
  await node.assertNothingLeft().catch((error: Error) => t.fail(`${what}: ${error.message}`));
}

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  scenario(`${signal} at each step of a mount`, async (t) => {
    t.timeout(1_800_000);
    const { node, steps } = await prepared();
    t.true(
      steps.includes("start-heartbeat") && steps.includes("mount") && steps.includes("complete"),
      steps.join(" "),
    );
    for (const [index, step] of steps.entries()) {
      const result = await node.try([
        "env",
        `SIGNAL_AT_STEP=${index}`,
        `SIGNAL_AT_SIGNAL=${signal}`,
        ...MOUNT,
      ]);
      const what = `${signal} at ${step}`;
      if (signal === "SIGKILL") t.is(result.status, 137, what);
      else {
        // Once mount(2) has been called the mount may stand; before that it must not.
        const isEarly = index < steps.indexOf("mount");
        t.true(
          result.status === 8 || (result.status === 0 && !isEarly),
          `${what}: status ${result.status} ${result.stderr}`,
        );
        const mounted = (await node.ocfs2Mounts()).length;
        t.is(mounted, result.status === 0 ? 1 : 0, `${what}: the status says what is`);
        if (mounted === 0) await node.assertNothingLeft();
      }
      await assertRecovers(t, node, what);
    }
  });

  scenario(`${signal} while the kernel waits for a steady heartbeat`, async (t) => {
    t.timeout(300_000);
    const { node } = await prepared();
    const mount = node.start(["/sbin/mount.ocfs2", "/dev/vda", "/one", "-o", "rw"]);
    await node.run(
      "until cat /sys/kernel/config/cluster/lab/heartbeat/*/pid 2>/dev/null | grep -q .; do :; done",
    );
    await mount.kill(signal);
    const { status } = await mount.done;
    t.is(status, signal === "SIGKILL" ? 137 : 8);
    if (signal === "SIGTERM") await node.assertNothingLeft();
    await assertRecovers(t, node, `${signal} in the start`);
  });
}

scenario("after all that the volume is clean", async (t) => {
  t.timeout(120_000);
  const { node } = await prepared();
  await assertCleanVolume(node, "/dev/vda");
  t.pass();
});
