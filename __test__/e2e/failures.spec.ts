// A mount that fails: a status that is not 0, one sentence that names cause and remedy, and nothing left behind.
import type { ExecutionContext } from "ava";
import { format, PEER_MOUNT } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";
import type { Node } from "./vm/node.ts";

const shared = sharedLab({
  nodes: 1,
  disks: [{ mib: 256 }, { mib: 256 }, { mib: 256 }, { mib: 64, readOnly: true }],
  limitSeconds: 900,
});

function onlyNode(): Node {
  const [node] = shared.get().nodes;
  if (node === undefined) throw new Error("a node is needed");
  return node;
}

async function refuses(
  t: ExecutionContext,
  node: Node,
  command: string[],
  status: number,
  sentence: RegExp,
): Promise<void> {
  const result = await node.try(command);
  t.is(result.status, status, `${result.stdout}${result.stderr}`);
  t.regex(result.stderr, sentence);
  t.is(result.stderr.split("\n").filter((line) => line.startsWith("mount.ocfs2: ")).length, 1, result.stderr);
  await node.assertNothingLeft();
}

scenario("a wrong cluster name, which the kernel itself would not notice", async (t) => {
  t.timeout(300_000);
  const node = onlyNode();
  await format(node, "/dev/vda", { cluster: "other" });
  await node.run("mkdir -p /one");
  await refuses(t, node, ["mount", "-t", "ocfs2", "/dev/vda", "/one"], 32, /cluster 'other'.*'lab'/s);
});

scenario("a volume of another stack", async (t) => {
  t.timeout(300_000);
  const node = onlyNode();
  await format(node, "/dev/vda", { stack: "pcmk", cluster: "lab" });
  await refuses(t, node, ["mount", "-t", "ocfs2", "/dev/vda", "/one"], 32, /cluster stack 'pcmk'/);
  t.is((await node.run("cat /sys/fs/ocfs2/cluster_stack")).stdout, "o2cb\n");
});

scenario("a missing directory, a file instead of one, a device that is none, no volume on it", async (t) => {
  t.timeout(300_000);
  const node = onlyNode();
  await format(node, "/dev/vda");
  await node.run("echo text >/file");
  const direct = (directory: string, device = "/dev/vda"): string[] => [
    "/sbin/mount.ocfs2",
    device,
    directory,
    "-o",
    "rw",
  ];
  await refuses(t, node, direct("/missing"), 32, /'\/missing' does not exist/);
  await refuses(t, node, direct("/file"), 32, /'\/file' is not a directory/);
  await refuses(t, node, direct("/one", "/file"), 32, /not a block device/);
  await refuses(t, node, direct("/one", "/dev/nothing"), 32, /does not exist/);
  await refuses(t, node, direct("/one", "/dev/vdb"), 32, /vdb/);
});

scenario("a busy directory: the volume is mounted there already", async (t) => {
  t.timeout(300_000);
  const node = onlyNode();
  await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/one"]);
  const again = await node.try(["/sbin/mount.ocfs2", "/dev/vda", "/one", "-o", "rw"]);
  t.is(again.status, 32);
  t.regex(again.stderr, /mounted|busy|in use/i);
  t.is((await node.regions()).length, 1);
  await node.run(["umount", "/one"]);
  await node.assertNothingLeft();
});

scenario("a region that cannot start: another writer overwrites this node's slot", async (t) => {
  t.timeout(300_000);
  const node = onlyNode();
  const uuid = await format(node, "/dev/vda");
  await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/one"]);
  const start = (
    await node.run(`cat /sys/kernel/config/cluster/lab/heartbeat/${uuid}/start_block`)
  ).stdout.trim();
  await node.run(["umount", "/one"]);
  const slot = Number(start) + node.number;
  const intruder = node.start(
    `echo at work; while :; do dd if=/dev/zero of=/dev/vda bs=512 seek=${slot} count=1 oflag=direct conv=notrunc status=none; done`,
  );
  await intruder.waitForOutput(/at work/);
  await refuses(t, node, ["mount", "-t", "ocfs2", "/dev/vda", "/one"], 32, /did not become stable/);
  await intruder.kill("SIGKILL");
  await intruder.done;
});

scenario("no cluster: the sentence says how to register one", async (t) => {
  t.timeout(300_000);
  const node = onlyNode();
  await node.run(["o2cb", "unregister-cluster", "lab"]);
  await refuses(t, node, ["mount", "-t", "ocfs2", "/dev/vda", "/one"], 32, /no cluster is registered/);
  await node.registerCluster("lab");
});

scenario(
  "a read-only device: refused without ro, and on this kernel with it, since its unmount would crash the host",
  async (t) => {
    t.timeout(300_000);
    const node = onlyNode();
    await format(node, "/dev/vdc");
    await node.run("blockdev --setro /dev/vdc");
    await refuses(t, node, ["/sbin/mount.ocfs2", "/dev/vdc", "/one", "-o", "rw"], 32, /is read-only/);
    await refuses(
      t,
      node,
      ["/sbin/mount.ocfs2", "/dev/vdc", "/one", "-o", "ro"],
      32,
      /this kernel \(6\.1\..*crashes/,
    );
    await node.run("blockdev --setrw /dev/vdc");
  },
);

scenario("a volume formatted for one node mounts and unmounts without a group", async (t) => {
  t.timeout(300_000);
  const node = onlyNode();
  await node.run("mkfs.ocfs2 -F -x -q -M local -J size=4M -N 1 /dev/vdb </dev/null");
  await node.run(["mount", "-t", "ocfs2", "/dev/vdb", "/one"]);
  t.deepEqual(await node.regions(), []);
  await node.run(["umount", "/one"]);
  await node.assertNothingLeft();
});

scenario(
  "a fake mount looks at everything and mounts nothing; remount keeps the heartbeat option",
  async (t) => {
    t.timeout(300_000);
    const node = onlyNode();
    await node.run(["mount", "-f", "-t", "ocfs2", "/dev/vda", "/one"]);
    await node.assertNothingLeft();
    await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/one"]);
    await node.run(["mount", "-o", "remount,ro", "/one"]);
    t.regex((await node.run("grep ' /one ' /proc/self/mounts")).stdout, / ocfs2 ro,.*heartbeat=local/);
    await node.run(["mount", "-o", "remount,rw", "/one"]);
    await node.run(["umount", "/one"]);
    await node.assertNothingLeft();
  },
);

scenario("an option that the kernel refuses: its own words are in the message", async (t) => {
  t.timeout(300_000);
  const node = onlyNode();
  await refuses(
    t,
    node,
    ["mount", "-t", "ocfs2", "-o", "nonsense", "/dev/vda", "/one"],
    32,
    /nonsense|option/,
  );
  t.true((await node.run(`test -x ${PEER_MOUNT} && echo kept`)).stdout.includes("kept"));
});
