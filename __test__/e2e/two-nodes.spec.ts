// The main job: two nodes mount one volume through mount(8) and our helpers, see each other's files, and leave nothing behind.
import { assertCleanVolume, format } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";

const shared = sharedLab({ nodes: 2, disks: [{ mib: 512 }, { mib: 128 }], limitSeconds: 600 });

scenario(
  "two nodes mount through mount(8), each reads what the other wrote, both unmount, nothing is left",
  async (t) => {
    t.timeout(300_000);
    const { nodes } = shared.get();
    const [a, b] = nodes;
    if (a === undefined || b === undefined) return t.fail("two nodes are needed");
    const uuid = await format(a, "/dev/vda");
    await Promise.all(nodes.map((node) => node.run("mkdir -p /vol")));
    await Promise.all(nodes.map((node) => node.run(["mount", "-t", "ocfs2", "/dev/vda", "/vol"])));
    for (const node of nodes) {
      const state = await node.groupState();
      t.deepEqual(state.regions, [{ cluster: "lab", name: uuid }]);
      t.is(state.mounts.length, 1);
    }
    await Promise.all(nodes.map((node) => node.run(`echo "from ${node.name}" >/vol/${node.name}`)));
    const [fromB, fromA] = await Promise.all([a.run("cat /vol/n2"), b.run("cat /vol/n1")]);
    t.is(fromB.stdout, "from n2\n");
    t.is(fromA.stdout, "from n1\n");
    await Promise.all(nodes.map((node) => node.run(["umount", "/vol"])));
    for (const node of nodes) await node.assertNothingLeft();
    await assertCleanVolume(a, "/dev/vda");
    t.pass();
  },
);

scenario("mount and umount of util-linux run our helpers and no other", async (t) => {
  t.timeout(120_000);
  const [a] = shared.get().nodes;
  if (a === undefined) return t.fail("a node is needed");
  for (const command of ["mount.ocfs2", "umount.ocfs2"]) {
    const { stdout } = await a.run([`/sbin/${command}`, "--version"]);
    t.regex(stdout, /ocfs2-group/);
  }
});

// The kernel calls a heartbeat steady after 4 s where this node beats elsewhere already; a node that does not write in those is not
// seen by then. The C tool's mount then joins the DLM's domain alone and replays the other's journal.
scenario("a node that is mounted and slow is waited for: its journal is left alone", async (t) => {
  t.timeout(240_000);
  const { nodes } = shared.get();
  const [a, b] = nodes;
  if (a === undefined || b === undefined) return t.fail("two nodes are needed");
  await Promise.all(nodes.map((node) => node.run("mkdir -p /vol /other; dmesg -C")));
  await Promise.all([format(a, "/dev/vda"), format(a, "/dev/vdb")]);
  await Promise.all([
    b.run("mount -t ocfs2 /dev/vda /vol && echo mine >/vol/file && sync"),
    a.run("mount -t ocfs2 /dev/vdb /other"),
  ]);
  b.machine.freeze();
  try {
    const mount = a.start(["/sbin/mount.ocfs2", "/dev/vda", "/vol", "-o", "rw", "--json"]);
    await mount.waitForOutput(/"wait-nodes".*"nodes":\[2\]/);
    b.machine.thaw();
    const { status, stderr } = await mount.done;
    t.is(status, 0, stderr);
  } finally {
    b.machine.thaw();
  }
  const said = await a.dmesg();
  t.notRegex(said, /replay journal/);
  t.is((await a.run("cat /vol/file")).stdout, "mine\n");
  await b.run("echo more >>/vol/file");
  t.is((await a.run("cat /vol/file")).stdout, "mine\nmore\n");
  await Promise.all([a.run("umount /vol; umount /other"), b.run("umount /vol")]);
  for (const node of nodes) await node.assertNothingLeft();
  await assertCleanVolume(a, "/dev/vda");
});
