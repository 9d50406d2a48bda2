// A cluster that fences: while a dead node is not fenced yet the lock manager lets nobody in, and a mount says whom it waits for. The fence is
// a program of the test's own, which takes as long as it is told to.
import type { ExecutionContext } from "ava";
import { format } from "./ours.ts";
import { scenario, shared } from "./scenario.ts";
import { assertNothingHeld, bootUserspace, CLUSTER, startServices, told } from "./userspace/cluster.ts";
import type { Node } from "./vm/node.ts";

const AGENT = "/run/fence";
const DONE = "/run/fenced";
/** dlm_controld gives it what it has to fence on its standard input. */
const agent = `#!/bin/sh
cat >${AGENT}.asked
until [ -e ${DONE} ]; do sleep 0.2; done
`;
const settings = `enable_fencing=1
enable_startup_fencing=0
post_join_delay=3
protocol=tcp
fence_all ${AGENT}
`;

const three = shared((t) =>
  bootUserspace(t, { nodes: 3, disks: [{ mib: 256 }], limitSeconds: 1200, start: false }),
);

async function prepared(): Promise<readonly [Node, Node, Node]> {
  const { nodes } = three.get();
  const [a, b, c] = nodes;
  if (a === undefined || b === undefined || c === undefined) throw new Error("three nodes are needed");
  for (const node of nodes) {
    await node.run(`cat >${AGENT}; chmod 755 ${AGENT}; mkdir -p /vol`, { input: agent });
    await node.run("cat >/etc/dlm/dlm.conf", { input: settings });
  }
  await startServices(nodes);
  await format(a, "/dev/vda", { stack: "pcmk", cluster: CLUSTER });
  return [a, b, c];
}

async function assertWrites(t: ExecutionContext, node: Node): Promise<void> {
  await node.run(`echo ${node.name} >/vol/${node.name} && sync`, { limitSeconds: 120 });
  t.is((await node.run(`cat /vol/${node.name}`)).stdout, `${node.name}\n`);
}

scenario("a mount that comes while a dead node is being fenced names it, and ends once it is", async (t) => {
  t.timeout(400_000);
  const [a, b, c] = await prepared();
  await Promise.all([a, b].map((node) => node.run("mount -t ocfs2 /dev/vda /vol")));
  await assertWrites(t, b);
  await b.powerOff();
  await a.run(`until [ -e ${AGENT}.asked ]; do sleep 0.2; done`, { limitSeconds: 120 });
  t.regex((await a.run(`cat ${AGENT}.asked`)).stdout, /node=2/);

  const mount = c.start(["/sbin/mount.ocfs2", "/dev/vda", "/vol", "-o", "rw", "--json"]);
  await mount.waitForOutput(/"wait-fencing"/);
  await Promise.all([a, c].map((node) => node.run(`touch ${DONE}`)));
  const { status, steps, stderr } = told(await mount.done);
  t.is(status, 0, stderr);
  t.deepEqual(
    steps.flatMap((step) => (step.step === "wait-fencing" ? step.nodes : [])),
    [2],
  );
  await Promise.all([a, c].map((node) => assertWrites(t, node)));
  await Promise.all([a, c].map((node) => node.run("umount /vol")));
  await Promise.all([a, c].map(assertNothingHeld));
});
