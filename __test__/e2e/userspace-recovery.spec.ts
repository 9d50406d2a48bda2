// The mode without recovery callbacks on a kernel that can be told of a node's death: the daemon does the recovery, as the original did. Of
// Debian's kernels that is 5.10; those of 6.1, 6.12 and 7.2 crash when they are told (measured, docs/controld.md).
import { assertCleanVolume, format } from "./ours.ts";
import { scenario, shared } from "./scenario.ts";
import { assertNothingHeld, bootUserspace, CLUSTER } from "./userspace/cluster.ts";
import { startDaemon, waitForGroups } from "./userspace/control-daemon.ts";

const both = shared((t) =>
  bootUserspace(t, {
    nodes: 2,
    kernel: "5.10",
    disks: [{ mib: 256 }],
    limitSeconds: 600,
    fscontrol: true,
  }),
);

scenario(
  "kernel 5.10: a node dies, the daemon tells the kernel and dlm_controld, the survivor goes on",
  async (t) => {
    t.timeout(400_000);
    const [a, b] = both.get().nodes;
    if (a === undefined || b === undefined) return t.fail("two nodes are needed");
    await Promise.all(
      [a, b].map((node) => node.run("mkdir -p /vol; echo pcmk >/sys/fs/ocfs2/cluster_stack")),
    );
    await format(a, "/dev/vda", { stack: "pcmk", cluster: CLUSTER });
    const [daemon] = await Promise.all([a, b].map((node) => startDaemon(node)));
    await Promise.all([a, b].map((node) => node.run("mount -t ocfs2 /dev/vda /vol")));
    await b.run("echo b >/vol/b; sync");
    await a.run("dmesg -C; cat /vol/b");
    await b.powerOff();
    await a.run("echo after >/vol/after && sync", { limitSeconds: 120 });
    t.regex(await a.dmesg(), /replay journal/);
    await a.run("umount /vol");
    await waitForGroups(a, CLUSTER, 0);
    await daemon?.kill("SIGTERM");
    t.is((await daemon?.done)?.status, 0);
    await assertNothingHeld(a);
    await assertCleanVolume(a, "/dev/vda");
  },
);
