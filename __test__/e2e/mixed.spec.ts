// Our tools and the peer's C tools on one node, with nobody, the C tool and ours at hb_ctl_path: counts agree throughout, nothing is
// left. A plain umount(2) with nobody there is for the monitor and the reap: vanish.spec.ts.
import {
  assertCleanVolume,
  format,
  KERNEL_LEAVES,
  NOBODY_LEAVES,
  PEER_HB_CTL,
  PEER_MOUNT,
  peerReferences,
} from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";
import type { Node } from "./vm/node.ts";

const shared = sharedLab({ nodes: 1, disks: [{ mib: 256 }], limitSeconds: 900 });

const mounters = {
  ours: ["mount", "-t", "ocfs2", "/dev/vda", "/one"],
  peers: [PEER_MOUNT, "/dev/vda", "/one", "-o", "rw"],
};
const unmounters = { ours: ["umount", "/one"], peers: ["umount", "-i", "/one"] };

let uuid: string | undefined;

async function prepared(): Promise<{ node: Node; uuid: string }> {
  const [node] = shared.get().nodes;
  if (node === undefined) throw new Error("a node is needed");
  if (uuid === undefined) {
    uuid = await format(node, "/dev/vda");
    await node.run("mkdir -p /one /two");
  }
  return { node, uuid };
}

for (const path of [KERNEL_LEAVES, PEER_HB_CTL, NOBODY_LEAVES]) {
  for (const mounter of ["ours", "peers"] as const) {
    for (const unmounter of ["ours", "peers"] as const) {
      if (path === NOBODY_LEAVES && unmounter === "peers") continue;
      scenario(`hb_ctl_path ${path}: mounted by ${mounter}, unmounted by ${unmounter}`, async (t) => {
        t.timeout(300_000);
        const { node, uuid } = await prepared();
        await node.setHbCtlPath(path);
        await node.run(mounters[mounter]);
        t.is(await peerReferences(node, uuid), 1);
        await node.run(unmounters[unmounter]);
        await node.assertNothingLeft();
      });
    }
  }
}

for (const path of [KERNEL_LEAVES, PEER_HB_CTL, NOBODY_LEAVES]) {
  scenario(
    `hb_ctl_path ${path}: a holder by the peer's ocfs2_hb_ctl beside our mount keeps its reference`,
    async (t) => {
      t.timeout(300_000);
      const { node, uuid } = await prepared();
      await node.setHbCtlPath(path);
      await node.run([PEER_HB_CTL, "-S", "-d", "/dev/vda", "agent"]);
      await node.run(mounters.ours);
      t.is(await peerReferences(node, uuid), 2);
      await node.run(unmounters.ours);
      t.is(await peerReferences(node, uuid), 1);
      t.deepEqual(await node.regions(), [uuid]);
      await node.run([PEER_HB_CTL, "-K", "-d", "/dev/vda", "agent"]);
      await node.assertNothingLeft();
    },
  );
}

scenario(
  "our second mount point beside the peer's mount adds no reference, and the last unmount leaves",
  async (t) => {
    t.timeout(300_000);
    const { node, uuid } = await prepared();
    await node.setHbCtlPath(NOBODY_LEAVES);
    await node.run(mounters.peers);
    await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/two"]);
    t.is(await peerReferences(node, uuid), 1);
    await node.run(["umount", "/one"]);
    t.is(await peerReferences(node, uuid), 1);
    await node.run(["umount", "/two"]);
    await node.assertNothingLeft();
    await assertCleanVolume(node, "/dev/vda");
  },
);
