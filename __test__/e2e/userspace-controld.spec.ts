// The control daemon on real kernels: clients of three makes (ours, the C tools, a script of the test's own), the kernel's two modes,
// nodes that die.
//
// The C tools ask a daemon for the stack `cman` always, for `pcmk` only where the kernel's file about recovery callbacks is empty or missing
// (userspace-stack 4.2); so it is covered for them.
import { cases } from "../conformance/cluster-stack.ts";
import { assertContract } from "./contract.ts";
import { countedSteps, disturbEachStep } from "./disturbed-mount.ts";
import { format, PEER_HB_CTL, PEER_MOUNT, PEER_TUNEFS } from "./ours.ts";
import { scenario, shared } from "./scenario.ts";
import {
  assertNothingHeld,
  bootUserspace,
  CLUSTER,
  mountJson,
  pairOf,
  startServices,
  stopServices,
  told,
} from "./userspace/cluster.ts";
import {
  ask,
  askAs,
  clientScript,
  groups,
  hideCallbacks,
  startDaemon,
  waitForGroups,
} from "./userspace/control-daemon.ts";
import type { Command } from "./vm/command.ts";
import type { Node } from "./vm/node.ts";

const both = shared((t) =>
  bootUserspace(t, { nodes: 2, disks: [{ mib: 256 }, { mib: 256 }], limitSeconds: 1200 }),
);

const pair = (): [Node, Node] => pairOf(both.get());

let daemons: Command[] = [];
let uuid = "";

scenario(
  "with recovery callbacks, a volume of the stack cman: ours and the C tool on two nodes",
  async (t) => {
    t.timeout(300_000);
    const [a, b] = pair();
    uuid = await format(a, "/dev/vda", { stack: "cman", cluster: CLUSTER });
    await Promise.all(
      [a, b].map((node) => node.run("mkdir -p /vol /again; echo cman >/sys/fs/ocfs2/cluster_stack")),
    );
    const alone = await mountJson(a, "/dev/vda", "/vol");
    t.is(alone.error?.code, "O2CB_SERVICE_UNAVAILABLE", JSON.stringify(alone));
    await assertNothingHeld(a);

    daemons = await Promise.all([a, b].map((node) => startDaemon(node)));
    await a.run("mount -t ocfs2 /dev/vda /vol");
    await b.run([PEER_MOUNT, "/dev/vda", "/vol", "-o", "rw"]);
    await a.run("echo ours >/vol/file");
    t.is((await b.run("cat /vol/file")).stdout, "ours\n");
    t.deepEqual([await groups(a, CLUSTER), await groups(b, CLUSTER)], [[uuid], [uuid]]);
    await a.run("umount /vol");
    await waitForGroups(a, CLUSTER, 0);
    // The C tool asks the daemon to join, and never to leave where the kernel has recovery callbacks: our umount.ocfs2 does.
    await b.run("umount /vol");
    await waitForGroups(b, CLUSTER, 0);
    await Promise.all([a, b].map(assertNothingHeld));
  },
);

scenario(
  "with recovery callbacks, a node that dies: the kernel's recovery is dlm_controld's, the daemon goes on",
  async (t) => {
    t.timeout(300_000);
    const { lab, packages } = both.get();
    const [a, b] = pair();
    await Promise.all([a, b].map((node) => node.run("mount -t ocfs2 /dev/vda /vol")));
    await b.run("echo b >/vol/b; sync");
    await a.run("dmesg -C; cat /vol/b");
    await b.powerOff();
    await a.run("echo after >/vol/after && sync", { limitSeconds: 120 });
    t.regex(await a.dmesg(), /replay journal/);
    await a.run("umount /vol");
    await waitForGroups(a, CLUSTER, 0);
    await daemons[0]?.kill("SIGTERM");
    t.is((await daemons[0]?.done)?.status, 0);
    await assertNothingHeld(a);
    const again = await lab.bootAgain(b);
    const { prepareServices } = await import("./userspace/cluster.ts");
    const { installHelpers } = await import("./ours.ts");
    await prepareServices(again, packages, 2);
    await installHelpers(again);
    await stopServices(a);
  },
);

scenario(
  "without recovery callbacks the daemon is refused on a kernel that cannot be told of a death",
  async (t) => {
    t.timeout(300_000);
    const [a, b] = pair();
    await startServices([a, b], { fscontrol: true });
    await Promise.all(
      [a, b].map((node) => node.run("mkdir -p /vol /again; echo pcmk >/sys/fs/ocfs2/cluster_stack")),
    );
    const refused = told(await a.try(["/sbin/ocfs2_controld", "--foreground", "--json"]));
    t.is(refused.error?.code, "O2CB_UNSAFE_KERNEL", JSON.stringify(refused));
    uuid = await format(a, "/dev/vda", { stack: "pcmk", cluster: CLUSTER });
    // Nothing is joined, and the kernel is not asked: it would say ESRCH.
    t.is((await mountJson(a, "/dev/vda", "/vol")).error?.code, "O2CB_SERVICE_UNAVAILABLE");
    daemons = await Promise.all([a, b].map((node) => startDaemon(node, "--without-recovery")));
  },
);

scenario(
  "without recovery callbacks: first mount, failing mount, further mount, unmount, by ours",
  async (t) => {
    t.timeout(300_000);
    const [a, b] = pair();
    await Promise.all([a, b].map((node) => node.run("mount -t ocfs2 /dev/vda /vol")));
    await a.run("echo ours >/vol/file");
    t.is((await b.run("cat /vol/file")).stdout, "ours\n");
    await a.run("mount -t ocfs2 /dev/vda /again");
    const twice = await mountJson(a, "/dev/vda", "/again");
    t.is(twice.error?.code, "O2CB_MOUNT_FAILED");
    t.deepEqual(await groups(a, CLUSTER), [uuid]);
    await a.run("umount /vol");
    t.deepEqual(await groups(a, CLUSTER), [uuid]);
    await Promise.all([a.run("umount /again"), b.run("umount /vol")]);
    await Promise.all([a, b].map((node) => waitForGroups(node, CLUSTER, 0)));
    const failed = await mountJson(a, "/dev/vda", "/vol", "rw,nonsense");
    t.is(failed.error?.code, "O2CB_MOUNT_FAILED", JSON.stringify(failed));
    t.deepEqual(await groups(a, CLUSTER), []);
    await Promise.all([a, b].map(assertNothingHeld));
  },
);

scenario("the same by the C tools, with the kernel's call-out for the leave", async (t) => {
  t.timeout(300_000);
  const [a, b] = pair();
  await hideCallbacks(a);
  await a.run(`echo ${PEER_HB_CTL} >/proc/sys/fs/ocfs2/nm/hb_ctl_path`);
  await a.run([PEER_MOUNT, "/dev/vda", "/vol", "-o", "rw"]);
  t.deepEqual(await groups(a, CLUSTER), [uuid]);
  await a.run([PEER_MOUNT, "/dev/vda", "/again", "-o", "rw"]);
  await a.run("umount -i /vol");
  t.deepEqual(await groups(a, CLUSTER), [uuid]);
  await a.run("umount -i /again");
  await waitForGroups(a, CLUSTER, 0);
  // A mount(2) that fails: the C tool reports it to the daemon, which leaves.
  const failed = await a.try([PEER_MOUNT, "/dev/vda", "/vol", "-o", "rw,nonsense"]);
  t.not(failed.status, 0);
  await waitForGroups(a, CLUSTER, 0);
  // A tool joins as itself and leaves.
  await a.run(`${PEER_TUNEFS} -L peer /dev/vda </dev/null`);
  await waitForGroups(a, CLUSTER, 0);
  await a.run("fsck.ocfs2 -fy /dev/vda");
  await waitForGroups(a, CLUSTER, 0);
  await a.run("echo /bin/true >/proc/sys/fs/ocfs2/nm/hb_ctl_path");
  await Promise.all([a, b].map(assertNothingHeld));
});

scenario("a mounter that is killed, at each state", async (t) => {
  t.timeout(300_000);
  const [a] = pair();
  const mount = `MOUNT ocfs2 ${uuid} ${CLUSTER} /dev/vda ocfs2`;
  const killed = async (...words: string[]): Promise<void> => {
    const client = a.start(["perl", clientScript, ...words, "hold"]);
    await client.waitForOutput(/holding/);
    await client.kill("SIGKILL");
    await client.done;
  };
  // Before it is told that it may mount: the group is left.
  await killed(`silent:${mount}`);
  await waitForGroups(a, CLUSTER, 0);
  // After that nobody knows whether it did: the group stays, until somebody says that it is unmounted.
  await killed(mount);
  t.deepEqual(await groups(a, CLUSTER), [uuid]);
  t.deepEqual(await ask(a, `UNMOUNT ocfs2 ${uuid} ocfs2`), ["STATUS 0 OK"]);
  t.deepEqual(await groups(a, CLUSTER), []);
  // While it leaves: the leave goes on.
  await killed(mount, `silent:MRESULT ocfs2 ${uuid} 5 ocfs2`);
  await waitForGroups(a, CLUSTER, 0);
  await assertNothingHeld(a);
});

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  scenario(`our own mount.ocfs2, ${signal} at each step`, async (t) => {
    t.timeout(300_000);
    const [node] = pair();
    const assertNothing = async (): Promise<void> => {
      await waitForGroups(node, CLUSTER, 0);
      await assertNothingHeld(node);
    };
    const place = { node, device: "/dev/vda", assertNothing };
    const steps = await countedSteps(place);
    t.true(steps.includes("mount") && steps.includes("complete"), steps.join(" "));
    await disturbEachStep(t, place, steps, signal);
  });
}

scenario("every case of the contract holds where a daemon is asked", async (t) => {
  t.timeout(300_000);
  const [a] = pair();
  await assertContract(t, a, { device: "/dev/vda", cluster: CLUSTER, count: cases.length });
  await assertNothingHeld(a);
});

scenario("exchanges as captured from the original daemon", async (t) => {
  t.timeout(300_000);
  const [a] = pair();
  const mount = `MOUNT ocfs2 ${uuid} ${CLUSTER} /dev/vda`;
  const number = (line: string | undefined): string => line?.split(" ").slice(0, 2).join(" ") ?? "";
  t.deepEqual(await ask(a, `${mount} ocfs2`, `MRESULT ocfs2 ${uuid} 22 ocfs2`), [
    "STATUS 0 OK",
    "STATUS 0 OK",
  ]);
  t.deepEqual((await ask(a, `${mount} ocfs2`, `MRESULT ocfs2 ${uuid} 0 ocfs2`)).map(number), [
    "STATUS 0",
    "STATUS 0",
  ]);
  t.deepEqual((await ask(a, `${mount} ocfs2`, `MRESULT ocfs2 ${uuid} 16 ocfs2`)).map(number), [
    "STATUS 114",
    "STATUS 0",
  ]);
  t.deepEqual(
    (
      await ask(a, `${mount} tunefs.ocfs2`, `MRESULT ocfs2 ${uuid} 0 tunefs.ocfs2`, `${mount} tunefs.ocfs2`)
    ).map(number),
    ["STATUS 114", "STATUS 0", "STATUS 16"],
  );
  t.deepEqual(
    (await ask(a, `UNMOUNT ocfs2 ${uuid} tunefs.ocfs2`, `UNMOUNT ocfs2 ${uuid} ocfs2`)).map(number),
    ["STATUS 0", "STATUS 0"],
  );
  t.deepEqual((await ask(a, `UNMOUNT ocfs2 ${uuid} ocfs2`)).map(number), ["STATUS 2"]);
  t.deepEqual((await ask(a, `MOUNT ocfs2 ${uuid} nope /dev/vda ocfs2`)).map(number), ["STATUS 22"]);
  t.deepEqual((await ask(a, `MOUNT ext4 ${uuid} ${CLUSTER} /dev/vda ocfs2`)).map(number), ["STATUS 22"]);
  t.deepEqual((await ask(a, `MOUNT ocfs2 ${uuid} ${CLUSTER} /dev/none ocfs2`)).map(number), ["STATUS 2"]);
  // Another user may look only.
  const nobody = (...words: string[]): Promise<string[]> =>
    askAs(a, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], ...words);
  t.deepEqual((await nobody(`${mount} ocfs2`, `UNMOUNT ocfs2 ${uuid} ocfs2`)).map(number), [
    "STATUS 1",
    "STATUS 1",
  ]);
  t.deepEqual(await nobody("LISTCLUSTERS"), ["ITEMCOUNT 1", `ITEM ${CLUSTER}`, "STATUS 0 OK"]);
  t.deepEqual(await ask(a, "LISTCLUSTERS"), ["ITEMCOUNT 1", `ITEM ${CLUSTER}`, "STATUS 0 OK"]);
  await waitForGroups(a, CLUSTER, 0);
});

scenario(
  "without recovery a node's death freezes the volume, and says so; nothing is corrupted",
  async (t) => {
    t.timeout(300_000);
    const [a, b] = pair();
    await Promise.all([a, b].map((node) => node.run("mount -t ocfs2 /dev/vda /vol")));
    await a.run("dmesg -C");
    await b.powerOff();
    await daemons[0]?.waitForOutput(/frozen/);
    const refused = await mountJson(a, "/dev/vda", "/again");
    t.is(refused.error?.code, "O2CB_DAEMON_REFUSED", JSON.stringify(refused));
    t.notRegex(await a.dmesg(), /replay journal|BUG|fortify/);
    // Only a restart of the machine ends it, which its plug is here.
    await a.powerOff();
  },
);
