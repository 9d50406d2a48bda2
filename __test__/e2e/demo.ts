// `npm run demo`: the main job, told as it happens. Two machines on a stock kernel join the group of one volume, mount it with
// our mount.ocfs2, read each other's files, unmount with our umount.ocfs2 and leave nothing behind.
import { assertCleanVolume, format, prepareNode } from "./ours.ts";
import { Account } from "./vm/account.ts";
import { Lab } from "./vm/lab.ts";
import type { Node } from "./vm/node.ts";

const account = new Account();
const both = <T>(work: (node: Node) => Promise<T>): Promise<T[]> => Promise.all(lab.nodes.map(work));

account.say(
  "lab",
  "two machines under software emulation share one disk and one network; no hardware support is needed",
);
const lab = await Lab.boot({ nodes: 2, disks: [{ mib: 512 }], limitSeconds: 600, log: account.log });
try {
  const [a, b] = lab.nodes;
  if (a === undefined || b === undefined) throw new Error("two nodes are needed");

  account.say(
    "lab",
    "the cluster 'lab' is registered on both nodes, and our helpers are put beside the distribution's C tools",
  );
  await both(async (node) => {
    await prepareNode(node);
    account.say(node, "ready: /sbin/mount.ocfs2 and /sbin/umount.ocfs2 are ours");
  });

  account.say(a, "$ mkfs.ocfs2 --cluster-stack=o2cb --cluster-name=lab /dev/vda");
  const uuid = await format(a, "/dev/vda");
  account.say(a, `formatted: volume ${uuid}`);

  account.say("lab", "both nodes mount at the same time; each waits until the kernel trusts its heartbeat");
  await both(async (node) => {
    await node.run("mkdir -p /vol");
    await account.run(node, "mount", ["mount", "-v", "-t", "ocfs2", "/dev/vda", "/vol"]);
  });

  await both((node) => account.run(node, "write", `echo "hello from ${node.name}" >/vol/${node.name}`));
  await account.run(a, "read", "cat /vol/n2");
  await account.run(b, "read", "cat /vol/n1");

  await both((node) => account.run(node, "umount", ["umount", "-v", "/vol"]));
  await both(async (node) => {
    await node.assertNothingLeft();
    account.say(node, "no region, no semaphore set, no mount, no DLM domain is left");
  });
  await assertCleanVolume(a, "/dev/vda");
  account.say(a, "fsck.ocfs2 -fn of the C tools finds the volume clean");
  account.say("lab", "done");
} catch (error) {
  lab.keep();
  account.say("lab", `failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await lab.close();
}
