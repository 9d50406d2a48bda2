// Every way a mount on a userspace stack is refused, on a real kernel: a code, one sentence that names cause and remedy, and nothing held
// (userspace-stack 8). Before each, the bare mount(2) shows what the kernel alone would have said.
import type { ExecutionContext } from "ava";
import { format } from "./ours.ts";
import { scenario, shared } from "./scenario.ts";
import {
  assertNothingHeld,
  bootUserspace,
  CLUSTER,
  mountJson,
  startCorosync,
  startDlmControld,
  stopServices,
} from "./userspace/cluster.ts";
import type { Node } from "./vm/node.ts";

const one = shared((t) =>
  bootUserspace(t, { nodes: 1, disks: [{ mib: 256 }, { mib: 256 }], limitSeconds: 900, start: false }),
);

function only(): Node {
  const [node] = one.get().nodes;
  if (node === undefined) throw new Error("a node is needed");
  return node;
}

/** The kernel's answer to mount(2) without any helper. */
async function bare(node: Node, options = "cluster_stack=pcmk"): Promise<string> {
  const { status, stderr } = await node.try(`mount -i -t ocfs2 -o ${options} /dev/vda /vol`);
  return status === 0 ? "mounted" : stderr;
}

async function refuses(
  t: ExecutionContext,
  node: Node,
  code: string,
  sentence: RegExp,
  options = "rw",
): Promise<void> {
  const { error, steps, status } = await mountJson(node, "/dev/vda", "/vol", options);
  t.is(error?.code, code, JSON.stringify({ error, status }));
  t.regex(`${error?.message ?? ""}; ${error?.remedy ?? ""}`, sentence);
  t.not(error?.remedy ?? "", "", `a remedy: ${error?.message ?? ""}`);
  t.is(steps.filter(({ step }) => step === "mounted").length, 0);
  await assertNothingHeld(node);
}

scenario("nothing of the cluster runs: no corosync, then no dlm_controld", async (t) => {
  t.timeout(300_000);
  const node = only();
  await node.run("mkdir -p /vol");
  await format(node, "/dev/vda", { stack: "pcmk", cluster: CLUSTER });
  await node.run("echo pcmk >/sys/fs/ocfs2/cluster_stack");
  t.regex(await bare(node), /not connected/i);
  await refuses(t, node, "O2CB_SERVICE_UNAVAILABLE", /dlm_controld/);
  await startCorosync(node);
  t.regex(await bare(node), /not connected/i);
  await refuses(t, node, "O2CB_SERVICE_UNAVAILABLE", /dlm_controld/);
});

scenario("the link of the DLM's control device is missing, or the modules are", async (t) => {
  t.timeout(300_000);
  const node = only();
  await startDlmControld(node);
  // The device itself is there: what udev did not link, ours finds or names at once, not after ten seconds.
  await node.run("mv /dev/dlm-control /dev/kept-control");
  await refuses(t, node, "O2CB_SERVICE_UNAVAILABLE", /dlm-control/);
  await node.run("mv /dev/kept-control /dev/dlm-control");
  t.is((await mountJson(node, "/dev/vda", "/vol")).status, 0);
  await node.run("umount /vol");
});

scenario("the cluster's name on the disk is another", async (t) => {
  t.timeout(300_000);
  const node = only();
  await format(node, "/dev/vda", { stack: "pcmk", cluster: "other" });
  t.regex(await bare(node), /request descriptor/i);
  await refuses(t, node, "O2CB_INVALID_CLUSTER_NAME", /'other'.*'labpc'.*tunefs\.ocfs2/s);
});

scenario("options that the kernel answers with a bare EINVAL", async (t) => {
  t.timeout(300_000);
  const node = only();
  await format(node, "/dev/vda", { stack: "pcmk", cluster: CLUSTER });
  for (const options of ["cluster_stack=o2cb", "cluster_stack=abc", "heartbeat=local", "nonsense"])
    t.regex(await bare(node, options), /wrong fs type|invalid argument|bad option/i, options);
  await refuses(t, node, "O2CB_BAD_MOUNT_OPTION", /cluster_stack/, "cluster_stack=o2cb");
  for (const mode of ["local", "global"])
    await refuses(t, node, "O2CB_BAD_MOUNT_OPTION", /heartbeat/, `heartbeat=${mode}`);
  await refuses(t, node, "O2CB_MOUNT_FAILED", /nonsense/, "nonsense");
});

scenario("mounted there already", async (t) => {
  t.timeout(300_000);
  const node = only();
  t.is((await mountJson(node, "/dev/vda", "/vol")).status, 0);
  const again = await mountJson(node, "/dev/vda", "/vol");
  t.is(again.error?.code, "O2CB_MOUNT_FAILED");
  t.is(again.error?.errnoName, "EBUSY");
  await node.run("umount /vol");
  await assertNothingHeld(node);
});

scenario("another stack is active: who holds it is named, nothing is switched", async (t) => {
  t.timeout(300_000);
  const node = only();
  await format(node, "/dev/vdb", { stack: "pcmk", cluster: CLUSTER });
  await node.run("mkdir -p /holder; mount -t ocfs2 /dev/vdb /holder");
  await format(node, "/dev/vda", { stack: "o2cb", cluster: "lab" });
  const { error } = await mountJson(node, "/dev/vda", "/vol");
  t.is(error?.code, "O2CB_INVALID_STACK_NAME", JSON.stringify(error));
  t.regex(error?.message ?? "", /'o2cb'.*'pcmk'.*\/holder/s);
  t.is((await node.run("cat /sys/fs/ocfs2/cluster_stack")).stdout, "pcmk\n");
  await node.run("umount /holder");
  await assertNothingHeld(node);
});

scenario("a volume of the stack cman, and no control daemon", async (t) => {
  t.timeout(300_000);
  const node = only();
  await format(node, "/dev/vda", { stack: "cman", cluster: CLUSTER });
  await refuses(t, node, "O2CB_SERVICE_UNAVAILABLE", /ocfs2_controld/);
  t.is((await node.run("cat /sys/fs/ocfs2/cluster_stack")).stdout, "cman\n");
});

scenario("dlm_controld in the mode without recovery callbacks, and no control daemon", async (t) => {
  t.timeout(300_000);
  const node = only();
  await format(node, "/dev/vda", { stack: "pcmk", cluster: CLUSTER });
  await stopServices(node);
  await startCorosync(node);
  await startDlmControld(node, { fscontrol: true });
  await node.run("echo pcmk >/sys/fs/ocfs2/cluster_stack");
  await refuses(t, node, "O2CB_SERVICE_UNAVAILABLE", /ocfs2_controld/);
  // The bare call leaves the lockspace it made: one more reason not to ask the kernel.
  t.regex(await bare(node), /no such process/i);
  await node.run("dlm_tool leave $(ls /sys/kernel/dlm)");
  await assertNothingHeld(node);
});

scenario("configfs is not mounted", async (t) => {
  t.timeout(300_000);
  const node = only();
  await stopServices(node);
  await node.run("umount /sys/kernel/config");
  await refuses(t, node, "O2CB_SERVICE_UNAVAILABLE", /configfs/);
});

scenario(
  "a machine where no module is loaded yet: they are loaded, and the mount goes on to the next check",
  async (t) => {
    t.timeout(300_000);
    const node = only();
    await node.run(
      "modprobe -r ocfs2_stack_user ocfs2_stack_o2cb ocfs2 dlm; mount -t configfs none /sys/kernel/config",
    );
    t.is((await node.try("lsmod | grep -q ocfs2_stack_user")).status, 1);
    await refuses(t, node, "O2CB_SERVICE_UNAVAILABLE", /dlm_controld/);
    t.is((await node.run("cat /sys/fs/ocfs2/cluster_stack")).stdout, "pcmk\n");
    t.is((await node.try("lsmod | grep -q ocfs2_stack_user")).status, 0);
  },
);
