// Global heartbeat: joining and leaving a volume start and stop nothing, count nothing, and refuse a cluster that does not beat.
import { assertCleanVolume, CLUSTER, format, installHelpers, uuidOf } from "./ours.ts";
import { scenario } from "./scenario.ts";
import { Lab } from "./vm/lab.ts";

scenario("a volume of a cluster with global heartbeat", async (t) => {
  t.timeout(600_000);
  const lab = await Lab.boot({
    nodes: 1,
    disks: [{ mib: 256 }, { mib: 64 }],
    limitSeconds: 500,
    log: (line) => t.log(line),
  });
  try {
    const [node] = lab.nodes;
    if (node === undefined) return t.fail("a node is needed");
    await node.loadOcfs2();
    await node.mountControl();
    await node.run(
      `mkfs.ocfs2 -F -x -q -H --cluster-stack=o2cb --cluster-name=${CLUSTER} --global-heartbeat /dev/vdb </dev/null`,
    );
    const region = await uuidOf(node, "/dev/vdb");
    await node.writeClusterConf(CLUSTER, { mode: "global", regions: [region] });
    await node.registerCluster(CLUSTER);
    await node.setHbCtlPath("/bin/true");
    await installHelpers(node);
    await format(node, "/dev/vda", { more: "--global-heartbeat" });
    await node.run("mkdir -p /one");

    const early = await node.try(["mount", "-t", "ocfs2", "/dev/vda", "/one"]);
    t.is(early.status, 32);
    t.regex(early.stderr, /no heartbeat region is started.*o2cb start-heartbeat/s);

    await node.run(["o2cb", "start-heartbeat", CLUSTER]);
    const before = await node.groupState();
    await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/one"]);
    t.deepEqual(await node.regions(), [region]);
    await node.run("echo text >/one/file");
    await node.run(["umount", "/one"]);
    t.deepEqual(await node.groupState(), before);
    await assertCleanVolume(node, "/dev/vda");
  } catch (error) {
    lab.keep();
    throw error;
  } finally {
    await lab.close();
  }
});
