// Joins from other namespaces. References are counted per IPC namespace and owners are named by process numbers, while regions
// belong to the machine (commands, fact 9): a join from a container is refused with the reason, before anything is done. A mount
// namespace alone changes nothing, as long as /run is the host's.
import type { ExecutionContext } from "ava";
import { Monitor } from "./monitor.ts";
import {
  assertVolumeFree,
  auditOf,
  format,
  KERNEL_LEAVES,
  openNamespace,
  volumeState,
  type VolumeName,
} from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";
import type { Node } from "./vm/node.ts";

const shared = sharedLab({ nodes: 1, disks: [{ mib: 128 }], limitSeconds: 600 });

let volume: VolumeName | undefined;

async function prepared(): Promise<{ node: Node } & VolumeName> {
  const [node] = shared.get().nodes;
  if (node === undefined) throw new Error("a node is needed");
  if (volume === undefined) {
    volume = { device: "/dev/vda", uuid: await format(node, "/dev/vda") };
    await node.run("mkdir -p /one");
  }
  return { node, ...volume };
}

async function refuses(t: ExecutionContext, container: string, reason: RegExp): Promise<void> {
  t.timeout(300_000);
  const { node, uuid, device } = await prepared();
  for (const command of [
    "/sbin/mount.ocfs2 /dev/vda /one -o rw -v",
    `${KERNEL_LEAVES} -S -v -d /dev/vda agent`,
    `${KERNEL_LEAVES} -S -v -u ${uuid} agent`,
  ]) {
    const result = await node.try(container.replace("COMMAND", command));
    t.not(result.status, 0, command);
    t.regex(result.stderr, /O2CB_NAMESPACE/, command);
    t.regex(result.stderr, reason, command);
    await node.assertNothingLeft();
    await assertVolumeFree(node, { uuid, device });
  }
}

scenario("another IPC namespace: refused", (t) => refuses(t, "unshare --ipc COMMAND", /IPC/));

scenario("another PID namespace: refused", (t) =>
  refuses(t, "unshare --pid --fork --mount-proc COMMAND", /PID/),
);

scenario("a mount namespace with a /run of its own: refused", (t) =>
  refuses(t, "unshare --mount bash -c 'mount -t tmpfs own /run && exec COMMAND'", /\/run/),
);

scenario("a mount namespace with the host's /run: mounted, and left when the namespace ends", async (t) => {
  t.timeout(300_000);
  const { node, uuid, device } = await prepared();
  const monitor = await Monitor.start(node);
  const namespace = await openNamespace(node);
  await node.run(["nsenter", "-m", "-t", namespace.pid, "mount", "-t", "ocfs2", device, "/one"]);
  t.like(await volumeState(node, { uuid, device }), { mounts: [], region: true, references: 1 });
  const found = await auditOf(node, uuid);
  t.is(found?.verdict, "in-use", found?.reason);
  t.deepEqual(
    found?.superblock.mounts.map(({ directory }) => directory),
    ["/one"],
  );
  await namespace.end();
  t.like(await monitor.left(uuid), { references: 0, stopped: true });
  await monitor.gone(uuid);
  await assertVolumeFree(node, { uuid, device });
  t.is(await monitor.stop("SIGTERM"), 0);
});
