// What the Rust core says of real services: corosync's groups on two nodes, dlm_controld in both of its modes, the kernel's control devices. What is
// done with it is in the other files of the userspace stacks.
import { format, root } from "./ours.ts";
import { scenario, shared } from "./scenario.ts";
import {
  bootUserspace,
  CLUSTER,
  needBoth,
  pairOf,
  startServices,
  stopServices,
  waitForQuorum,
} from "./userspace/cluster.ts";
import type { Command } from "./vm/command.ts";
import type { Node } from "./vm/node.ts";

const both = shared((t) =>
  bootUserspace(t, { nodes: 2, disks: [{ mib: 256 }], start: false, install: false, limitSeconds: 1200 }),
);
const script = ["node", `${root}__test__/e2e/guest-scripts/userspace-native.mjs`, `${root}dist/native.js`];

async function said(node: Node, body: string): Promise<unknown> {
  const { stdout } = await node.run([...script, body], { limitSeconds: 60 });
  return JSON.parse(stdout);
}

function speaker(node: Node, body: string): Command {
  return node.start([...script, body]);
}

const pair = (): [Node, Node] => pairOf(both.get());

scenario("a host without the services, and dlm_controld with a file system's daemon", async (t) => {
  t.timeout(300_000);
  const [a] = pair();
  const absent = await said(
    a,
    `print(await Promise.all([native.isQuorate(), native.joinProcessGroup("g"), native.lockspaceState("L"),
       native.connectDlmControl()].map(refused)))`,
  );
  for (const text of absent as string[])
    t.regex(text, /^O2CB_SERVICE_UNAVAILABLE .* does not run on this node/);

  await startServices([a], { fscontrol: true });
  const answers = await said(
    a,
    `const control = await native.connectDlmControl();
     await control.register("LOCKSPACE");
     const registered = await control.next();
     await control.unregister("LOCKSPACE");
     const device = await native.openControlDevice("/dev/misc/ocfs2_control", 1, { major: 1, minor: 0 });
     const other = await refused(native.openControlDevice("/dev/misc/ocfs2_control", 2, { major: 1, minor: 0 }));
     const newer = await refused(native.openControlDevice("/dev/misc/ocfs2_control", 1, { major: 1, minor: 9 }));
     device.release();
     print({ registered, other, newer, again: typeof (await native.openControlDevice("/dev/misc/ocfs2_control", 2,
       { major: 1, minor: 0 })).release });`,
  );
  t.like(answers, { registered: { kind: "registered", name: "LOCKSPACE", status: 0 }, again: "function" });
  const { other, newer } = answers as { other: string; newer: string };
  t.regex(other, /the node number 2/);
  t.regex(newer, /the locking version 1\.9/);
  await stopServices(a);
});

scenario("two nodes in a group, their lockspaces, and the death of one", async (t) => {
  t.timeout(400_000);
  const [a, b] = pair();
  await startServices([a, b]);
  const facts = await said(
    a,
    `const control = await native.connectDlmControl();
     await control.register("LOCKSPACE");
     print({ version: await native.dlmVersion("/dev/misc/dlm-control"), name: await native.readClusterMap("totem.cluster_name"),
       unset: await native.readClusterMap("totem.nothing"), quorate: await native.isQuorate(),
       unknown: await native.lockspaceState("LOCKSPACE"), registered: await control.next() })`,
  );
  t.like(facts, {
    version: { major: 6, minor: 0, patch: 2 },
    name: CLUSTER,
    unset: null,
    quorate: true,
    unknown: null,
    registered: { kind: "registered", name: "LOCKSPACE", status: 95 },
  });

  const uuid = await format(a, "/dev/vda", { stack: "pcmk", cluster: CLUSTER });
  for (const node of [a, b]) {
    await node.run("echo pcmk >/sys/fs/ocfs2/cluster_stack; mkdir -p /vol");
    await node.run("mount -i -t ocfs2 -o cluster_stack=pcmk /dev/vda /vol");
  }
  const state = await said(a, `print(await native.lockspaceState("${uuid}"))`);
  t.deepEqual(state, {
    name: uuid,
    isJoining: false,
    isLeaving: false,
    isStopped: false,
    isRegistered: false,
    waitsFor: null,
    members: [1, 2],
    fencing: [],
  });
  await b.run("umount /vol");
  t.like(await said(a, `print(await native.lockspaceState("${uuid}"))`), { members: [1], waitsFor: null });
  await a.run("umount /vol");
  t.is(await said(a, `print(await native.lockspaceState("${uuid}"))`), null);

  const listener = speaker(
    a,
    `const group = await native.joinProcessGroup("ocfs2:test");
     print({ node: group.localNode });
     for (;;) for (const event of await group.next()) print({ ...event, text: event.bytes && Buffer.from(event.bytes).toString() });`,
  );
  await listener.waitForOutput(/"joined":\[\{"node":1/);
  const guest = speaker(
    b,
    `const group = await native.joinProcessGroup("ocfs2:test");
     await group.next();
     await group.send(Buffer.from("hello"));
     await group.leave();
     await group.next();
     group.close();
     const again = await native.joinProcessGroup("ocfs2:test");
     await again.send(Buffer.from("again"));
     print("stays");
     setInterval(() => {}, 1000);`,
  );
  await guest.waitForOutput(/stays/);
  await listener.waitForOutput(/"text":"hello"/);
  await listener.waitForOutput(/"left":\[\{"node":2,"pid":\d+,"reason":"left"/);
  await listener.waitForOutput(/"text":"again"/);

  await needBoth([a, b], true);
  await b.powerOff();
  await guest.done.catch(() => null);
  await listener.waitForOutput(/"reason":"node-down"/);
  await waitForQuorum(a, false);
  t.is(await said(a, `print(await native.isQuorate())`), false);
  // A lockspace that is joined without quorum waits for it, in the kernel: only its state tells.
  speaker(a, `await native.openLockspace("WAITS")`).done.catch(() => null);
  const waiting = await said(
    a,
    `let state = null;
     while ((state = await native.lockspaceState("WAITS")) === null || state.waitsFor === null)
       await new Promise((again) => setTimeout(again, 200));
     print(state)`,
  );
  t.like(waiting, { isJoining: true, waitsFor: "quorum", isStopped: true });
  t.log(JSON.stringify(waiting));
  await listener.kill("SIGKILL");
});
