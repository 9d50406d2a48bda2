// Every kernel of the lab boots, and the peer's tools mount a volume there: the ground for the short suite on each of them.
// OCFS2_GROUP_LAB_KERNELS, names with commas between them, chooses others than all but 6.1 (which lab.spec.ts proves).
import test from "ava";
import { KERNELS, type KernelName } from "./vm/kernels.ts";
import { Lab } from "./vm/lab.ts";
import { missingForMachines } from "./vm/requirements.ts";

const missing = missingForMachines();
const asked = process.env["OCFS2_GROUP_LAB_KERNELS"]?.split(",").filter((name) => name !== "");
const chosen = asked ?? KERNELS.filter((name) => name !== "6.1");

for (const name of chosen) {
  const title = `kernel ${name}: a machine boots, the C tools mount and unmount, nothing is left`;
  if (missing !== null) {
    test.skip(`${title} (${missing})`, () => {});
    continue;
  }
  test.serial(title, async (t) => {
    t.timeout(900_000);
    t.true(KERNELS.includes(name as KernelName), `there is no kernel ${name} in the lab`);
    const lab = await Lab.boot({
      nodes: 1,
      kernel: name as KernelName,
      disks: [{ mib: 256 }],
      log: (line) => t.log(line),
    });
    t.teardown(() => {
      if (!t.passed) lab.keep();
      return lab.close();
    });
    const [node] = lab.nodes;
    if (node === undefined) return t.fail("a node is needed");
    t.is((await node.run(["uname", "-r"])).stdout, `${lab.kernel}\n`);
    await node.loadOcfs2();
    await node.mountControl({ dlmfs: true });
    await node.writeClusterConf("lab");
    await node.registerCluster("lab");
    await node.run(
      "mkfs.ocfs2 -x -q -N 2 -J size=4M --cluster-stack=o2cb --cluster-name=lab /dev/vda && mkdir /vol",
    );
    const mounted = await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/vol"]);
    t.log(`mounted in ${mounted.ms} ms`);
    const state = await node.groupState();
    t.deepEqual(
      [state.regions.length, state.semaphoreSets.length, state.mounts.length, state.domains.length],
      [1, 1, 1, 1],
    );
    await node.run("echo text >/vol/file && umount /vol");
    await node.assertNothingLeft();
    t.deepEqual(await node.reset(), []);
    await node.run(["fsck.ocfs2", "-fn", "/dev/vda"]);
  });
}
