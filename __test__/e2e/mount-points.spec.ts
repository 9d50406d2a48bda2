// One superblock, several mount points: the region stops exactly when the last is gone. The C tools leak a heartbeat here.
import { assertCleanVolume, format, peerReferences } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";

const shared = sharedLab({ nodes: 1, disks: [{ mib: 256 }], limitSeconds: 900 });

scenario(
  "two mount points and a bind mount of one volume: one reference, and the region goes with the last",
  async (t) => {
    t.timeout(300_000);
    const [node] = shared.get().nodes;
    if (node === undefined) return t.fail("a node is needed");
    const uuid = await format(node, "/dev/vda");
    await node.run("mkdir -p /one /two /bound");
    await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/one"]);
    await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/two"]);
    await node.run("mkdir /one/part && mount --bind /one/part /bound");
    t.is(await peerReferences(node, uuid), 1);
    for (const [index, directory] of ["/one", "/bound", "/two"].entries()) {
      await node.run(["umount", directory]);
      t.is((await node.regions()).length, index < 2 ? 1 : 0, directory);
    }
    await node.assertNothingLeft();
    await assertCleanVolume(node, "/dev/vda");
  },
);

scenario("a lazy unmount leaves only when nobody uses the superblock any more", async (t) => {
  t.timeout(300_000);
  const [node] = shared.get().nodes;
  if (node === undefined) return t.fail("a node is needed");
  await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/one"]);
  await node.run(["umount", "-l", "/one"]);
  await node.assertNothingLeft();

  await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/one"]);
  const user = node.start("exec 9>/one/open; echo opened; read -r _ </lab/never-$$ || sleep 600");
  await user.waitForOutput(/opened/);
  await node.run(["umount", "-l", "/one"]);
  t.is((await node.regions()).length, 1, "the open file keeps the superblock, so the heartbeat stays");
  await user.kill("SIGKILL");
  await user.done;
  // The superblock dies now without us; the next mount of the volume drops its reference.
  await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/one"]);
  await node.run(["umount", "/one"]);
  await node.assertNothingLeft();
});

scenario("a busy unmount fails with the remedy and changes nothing; -r makes it read-only", async (t) => {
  t.timeout(300_000);
  const [node] = shared.get().nodes;
  if (node === undefined) return t.fail("a node is needed");
  await node.run(["mount", "-t", "ocfs2", "-o", "nosuid,nodev", "/dev/vda", "/one"]);
  const user = node.start("exec 9</one; echo opened; sleep 600");
  await user.waitForOutput(/opened/);
  const busy = await node.try(["umount", "/one"]);
  t.is(busy.status, 32);
  t.regex(busy.stderr, /in use/);
  t.is((await node.ocfs2Mounts()).length, 1);
  t.is((await node.regions()).length, 1);
  await node.run(["umount", "-r", "/one"]);
  t.regex(
    (await node.run("grep ' /one ' /proc/self/mounts")).stdout,
    / ocfs2 ro,nosuid,nodev,/,
    "and keeps the mount's own flags",
  );
  await user.kill("SIGKILL");
  await user.done;
  await node.run(["umount", "/one"]);
  t.is((await node.try(["/sbin/umount.ocfs2", "/one"])).status, 32);
  await node.assertNothingLeft();
});

scenario("a mount namespace: -N mounts there and nowhere else, and its unmount leaves", async (t) => {
  t.timeout(300_000);
  const [node] = shared.get().nodes;
  if (node === undefined) return t.fail("a node is needed");
  const inner = node.start(
    "exec unshare -m --propagation private bash -c 'echo here; read -r _ < <(sleep 900)'",
  );
  await inner.waitForOutput(/here/);
  const pid = String(await inner.pid);
  await node.run(["/sbin/mount.ocfs2", "/dev/vda", "/two", "-o", "rw", "-N", pid]);
  t.deepEqual(await node.ocfs2Mounts(), [], "it is not mounted in this namespace");
  t.regex((await node.run(`grep ' /two ' /proc/${pid}/mounts`)).stdout, / ocfs2 rw,/);
  t.is((await node.regions()).length, 1);
  await node.run(["/sbin/umount.ocfs2", "/two", "-N", pid]);
  await inner.kill("SIGKILL");
  await inner.done;
  await node.assertNothingLeft();
});
