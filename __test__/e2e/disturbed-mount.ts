// mount.ocfs2 ended by a signal at a step of its sequence, whatever the stack is, and what must be true afterwards: the status says
// whether it is mounted, a second mount works, and after the unmounts nothing is left. The steps are those that the command itself reports
// with --json, counted in a run that is not disturbed.
import type { ExecutionContext } from "ava";
import { root } from "./ours.ts";
import type { Node } from "./vm/node.ts";

export interface Place {
  node: Node;
  device: string;
  /** fails, naming it, where anything of a mount is left */
  assertNothing(): Promise<void>;
}

function mountCommand(device: string): string[] {
  const hook = `${root}__test__/e2e/guest-scripts/signal-at-step.cjs`;
  const program = "/usr/lib/ocfs2-group/mount.ocfs2.cjs";
  return ["node", "-r", hook, program, device, "/one", "-o", "rw", "--json"];
}

/** Mounts and unmounts once; the steps of the mount in their order. */
export async function countedSteps({ node, device, assertNothing }: Place): Promise<string[]> {
  await node.run("mkdir -p /one /two");
  const { stdout } = await node.run(mountCommand(device));
  await node.run(["umount", "/one"]);
  await assertNothing();
  return stdout
    .split("\n")
    .flatMap((line) => (line.startsWith('{"step"') ? [(JSON.parse(line) as { step: string }).step] : []));
}

/** Whatever a killed mount left: a second mount works, and after the unmounts nothing is left. */
export async function assertRecovers(t: ExecutionContext, place: Place, what: string): Promise<void> {
  const { node, device, assertNothing } = place;
  const before = (await node.ocfs2Mounts()).length;
  const second = await node.try(["mount", "-t", "ocfs2", device, "/two"]);
  t.is(second.status, 0, `${what}: ${second.stderr}`);
  await node.run(["umount", "/two"]);
  if (before > 0) await node.run(["umount", "/one"]);
  await assertNothing().catch((error: Error) => t.fail(`${what}: ${error.message}`));
}

/** The signal at each step in turn, in a mount of its own. */
export async function disturbEachStep(
  t: ExecutionContext,
  place: Place,
  steps: readonly string[],
  signal: "SIGTERM" | "SIGKILL",
): Promise<void> {
  const { node, device, assertNothing } = place;
  for (const [index, step] of steps.entries()) {
    const hook = [`SIGNAL_AT_STEP=${index}`, `SIGNAL_AT_SIGNAL=${signal}`];
    const result = await node.try(["env", ...hook, ...mountCommand(device)]);
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
      if (mounted === 0) await assertNothing();
    }
    await assertRecovers(t, place, what);
  }
}
