// ocfs2_hb_ctl on a real kernel: beside the C tool on the same regions, as the kernel calls it, as tools of 1.2 call it, with the
// device gone, and with two devices of one UUID.
import type { ExecutionContext } from "ava";
import {
  assertVolumeFree,
  auditOf,
  format,
  kernelCall,
  KERNEL_LEAVES,
  NOBODY_LEAVES,
  PEER_HB_CTL,
  reap,
  volumeState,
  type VolumeName,
} from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";
import type { Node } from "./vm/node.ts";

const OURS = KERNEL_LEAVES;
const shared = sharedLab({ nodes: 1, disks: [{ mib: 128 }, { mib: 128 }, { mib: 128 }], limitSeconds: 900 });

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

/** The line of -I from both tools, for the device and the UUID: one text, with the count given. */
async function assertLines(t: ExecutionContext, node: Node, { uuid, device }: VolumeName, count: number) {
  for (const which of [
    ["-d", device],
    ["-u", uuid],
  ]) {
    const [ours, theirs] = [
      await node.run([OURS, "-I", ...which]),
      await node.run([PEER_HB_CTL, "-I", ...which]),
    ];
    t.is(ours.stdout, `${uuid}: ${count} refs\n`);
    t.is(ours.stdout, theirs.stdout);
  }
}

for (const [starter, stopper] of [
  [OURS, OURS],
  [OURS, PEER_HB_CTL],
  [PEER_HB_CTL, OURS],
]) {
  if (starter === undefined || stopper === undefined) continue;
  scenario(
    `started by ${starter}, stopped by ${stopper}: a second service beside it keeps the region`,
    async (t) => {
      t.timeout(300_000);
      const { node, uuid, device } = await prepared();
      await node.run([starter, "-S", "-d", device, "agent"]);
      t.like(await volumeState(node, { uuid, device }), { region: true, dev: "vda", references: 1 });
      await assertLines(t, node, { uuid, device }, 1);
      await node.run([stopper, "-S", "-u", uuid, "other"]);
      await assertLines(t, node, { uuid, device }, 2);
      await node.run([starter, "-P", "-u", uuid, "-n", "3"]);
      const priority = (by: string, level: string) =>
        node.run(
          `${by} -P -d ${device} -n ${level} && ionice -p $(cat /sys/kernel/config/cluster/*/heartbeat/${uuid}/pid)`,
        );
      const set = [await priority(OURS, "2"), await priority(PEER_HB_CTL, "2")].map(({ stdout }) => stdout);
      t.is(set[0], "realtime: prio 2\n");
      t.is(set[1], set[0]);
      await node.run([stopper, "-K", "-u", uuid, "other"]);
      await assertLines(t, node, { uuid, device }, 1);
      await node.run([stopper, "-K", "-d", device, "agent"]);
      await node.assertNothingLeft();
      // The C tool knows nothing of our notes; a note that means nothing any more is cleared away.
      await reap(node, uuid);
      await assertVolumeFree(node, { uuid, device });
    },
  );
}

scenario(
  "asking about a region that nobody uses creates nothing, unlike the C tool; -q tells the states apart",
  async (t) => {
    t.timeout(300_000);
    const { node, uuid, device } = await prepared();
    await node.setHbCtlPath(NOBODY_LEAVES);
    const status = async (...words: string[]) => (await node.try([OURS, "-I", "-q", ...words])).status;
    t.is((await node.run([OURS, "-I", "-u", uuid])).stdout, `${uuid}: 0 refs\n`);
    t.is(await status("-u", uuid), 1, "inactive");
    await node.assertNothingLeft();
    await node.run(["mount", "-t", "ocfs2", device, "/one"]);
    t.is(await status("-u", uuid), 0, "in use");
    await node.run(["umount", "-i", "/one"]);
    t.is(await status("-u", uuid), 3, "an orphan");
    t.is(await status("-u", "nonsense"), 2, "an error");
    const waiting = node.start([OURS, "-I", "--wait=gone", "--timeout", "60", "-u", uuid]);
    t.is((await reap(node, uuid)).done.length, 1);
    t.is((await waiting.done).status, 0);
    await node.assertNothingLeft();
  },
);

scenario("the kernel calls ours at the end of a superblock, however it ends", async (t) => {
  t.timeout(300_000);
  const { node, uuid, device } = await prepared();
  await node.setHbCtlPath(KERNEL_LEAVES);
  await node.run(["mount", "-t", "ocfs2", device, "/one"]);
  t.is((await volumeState(node, { uuid, device })).references, 1);
  await node.run(["busybox", "umount", "/one"]);
  await assertVolumeFree(node, { uuid, device });

  // The same call by hand: nothing open, the kernel's environment.
  await node.setHbCtlPath(NOBODY_LEAVES);
  await node.run(["mount", "-t", "ocfs2", device, "/one"]);
  await node.run(["umount", "-i", "/one"]);
  await node.run(
    `exec 0<&- 1>&- 2>&-; exec env -i HOME=/ PATH=/sbin:/bin:/usr/sbin:/usr/bin ${OURS} -K -u ${uuid}`,
  );
  await assertVolumeFree(node, { uuid, device });
});

scenario("the forms of 1.2, without a service: taken from programs, refused on a terminal", async (t) => {
  t.timeout(300_000);
  const { node, uuid, device } = await prepared();
  await node.run([OURS, "-S", "-d", device]);
  t.like(await volumeState(node, { uuid, device }), { region: true, references: 1 });
  t.is((await auditOf(node, uuid))?.verdict, "in-use", "a mount is about to follow");
  await node.run([OURS, "-K", "-d", device]);
  await assertVolumeFree(node, { uuid, device });

  await node.run([OURS, "-S", "-d", device]);
  const onTerminal = await node.try(["script", "-qec", `${OURS} -K -u ${uuid}`, "/dev/null"]);
  t.is(onTerminal.status, 1);
  t.regex(onTerminal.stdout, /service/i);
  t.is((await volumeState(node, { uuid, device })).references, 1);
  await node.run([OURS, "-K", "-u", uuid.toLowerCase()]);
  await assertVolumeFree(node, { uuid, device });
});

scenario("-K -u opens no device, where the C tool opens disks until it finds the volume", async (t) => {
  t.timeout(300_000);
  const { node, uuid, device } = await prepared();
  const watch = node.start(kernelCall("watch-opens", "/dev/vda", "/dev/vdb", "/dev/vdc"));
  await watch.waitForOutput(/watching/);
  const opened = async (command: string): Promise<string[]> => {
    const before = watch.stdout.length;
    await node.run(`${command}; : </dev/vdc`);
    await watch.waitForOutput(new RegExp(`^[^]{${before}}[^]*opened /dev/vdc\n$`));
    const lines = watch.stdout.slice(before).trim().split("\n");
    t.is(
      lines.pop(),
      "opened /dev/vdc",
      "the last one is this test's own, by which it knows that all has been seen",
    );
    return lines;
  };
  await node.run([OURS, "-S", "-d", device, "agent"]);
  await node.run([OURS, "-S", "-d", device, "other"]);
  t.deepEqual(await opened(`${OURS} -I -u ${uuid}`), []);
  t.deepEqual(await opened(`${OURS} --audit`), []);
  t.deepEqual(await opened(`${OURS} -K -u ${uuid} other`), []);
  t.deepEqual(await opened(`${OURS} -K -u ${uuid} agent`), []);
  await node.run([PEER_HB_CTL, "-S", "-d", device, "agent"]);
  t.true((await opened(`${PEER_HB_CTL} -K -u ${uuid} agent`)).includes("opened /dev/vda"));
  await assertVolumeFree(node, { uuid, device });
  await watch.kill("SIGKILL");
  await watch.done;
});

scenario("-K -u stops a region whose device is gone, where the C tool fails", async (t) => {
  t.timeout(300_000);
  const { node } = await prepared();
  const gone = { device: "/dev/vdc", uuid: await format(node, "/dev/vdc") };
  await node.run([OURS, "-S", "-d", gone.device, "agent"]);
  await node.run("echo 1 >$(readlink -f /sys/block/vdc/device/..)/remove; ! [ -e /dev/vdc ]");
  t.not((await node.try([PEER_HB_CTL, "-K", "-u", gone.uuid, "agent"])).status, 0);
  t.true((await volumeState(node, gone)).region);
  const found = await auditOf(node, gone.uuid);
  t.is(found?.verdict, "in-use", found?.reason);
  await node.run([OURS, "-K", "-u", gone.uuid, "agent"]);
  await assertVolumeFree(node, gone);
  await node.run("echo 1 >/sys/bus/pci/rescan; [ -b /dev/vdc ]");
});

scenario("a region of a mount that died, whose device is gone: a reap clears it away", async (t) => {
  t.timeout(300_000);
  const { node } = await prepared();
  const gone = { device: "/dev/vdc", uuid: await format(node, "/dev/vdc") };
  await node.setHbCtlPath(NOBODY_LEAVES);
  await node.run(["mount", "-t", "ocfs2", gone.device, "/one"]);
  await node.run(["umount", "-i", "/one"]);
  await node.run("echo 1 >$(readlink -f /sys/block/vdc/device/..)/remove");
  const found = await auditOf(node, gone.uuid);
  t.is(found?.verdict, "orphan", found?.reason);
  t.is((await reap(node, gone.uuid)).done.length, 1);
  await assertVolumeFree(node, gone);
  await node.run("echo 1 >/sys/bus/pci/rescan; [ -b /dev/vdc ]");
});

scenario(
  "two devices with one UUID: -S -u refuses and names both, -S -d takes the one that is meant",
  async (t) => {
    t.timeout(300_000);
    const { node, uuid, device } = await prepared();
    await node.run("dd if=/dev/vda of=/dev/vdb bs=1M oflag=direct status=none");
    const refused = await node.try([OURS, "-S", "-u", uuid, "agent"]);
    t.is(refused.status, 1);
    t.regex(refused.stderr, /\/dev\/vda\b/);
    t.regex(refused.stderr, /\/dev\/vdb\b/);
    await assertVolumeFree(node, { uuid, device });
    await node.run([OURS, "-S", "-d", "/dev/vdb", "agent"]);
    t.is((await volumeState(node, { uuid, device })).dev, "vdb");
    await node.run([OURS, "-K", "-u", uuid, "agent"]);
    await assertVolumeFree(node, { uuid, device });
    await node.run("dd if=/dev/zero of=/dev/vdb bs=1M count=1 oflag=direct status=none");
    await node.run([OURS, "-S", "-u", uuid, "agent"]);
    t.is((await volumeState(node, { uuid, device })).dev, "vda");
    await node.run([OURS, "-K", "-u", uuid, "agent"]);
    await assertVolumeFree(node, { uuid, device });
  },
);
