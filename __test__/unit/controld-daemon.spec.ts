// The control daemon on machines of a fake cluster: mounts as clients ask for them, its start and its end, deaths of nodes in both modes.
import { gzipSync } from "node:zlib";
import test from "ava";
import type { Message } from "../../ts/controld/messages.ts";
import type { DaemonOptions } from "../../ts/controld-daemon/daemon.ts";
import { isCode } from "../../ts/errors.ts";
import { DISK, UUID } from "../helpers/fake-native.ts";
import { FakeCorosync } from "../helpers/fake/corosync.ts";
import { USER_CLUSTER } from "../helpers/fake/user-setup.ts";
import { addNode, RunningDaemon } from "../helpers/running-daemon.ts";

const UNSAFE = { withoutRecovery: true };
const SAFE = {
  readBytes: () => gzipSync("# CONFIG_FORTIFY_SOURCE is not set\n"),
};
const volumeGroup = `ocfs2:${UUID}`;

const mount = (service = "ocfs2", device: string = DISK, uuid: string = UUID): Message => ({
  keyword: "MOUNT",
  fstype: "ocfs2",
  uuid,
  cluster: USER_CLUSTER,
  device,
  service,
});
const result = (number: number, service = "ocfs2"): Message => ({
  keyword: "MRESULT",
  fstype: "ocfs2",
  uuid: UUID,
  result: String(number),
  service,
});
const unmount = (service = "ocfs2"): Message => ({
  keyword: "UNMOUNT",
  fstype: "ocfs2",
  uuid: UUID,
  service,
});

async function two(options: DaemonOptions = UNSAFE, dlm: "controld" | "callbacks" = "controld") {
  const ring = new FakeCorosync();
  const nodes = [addNode(ring, 1, { dlm }), addNode(ring, 2, { dlm })] as const;
  const one = await RunningDaemon.start(nodes[0], options);
  const other = await RunningDaemon.start(nodes[1], options);
  return { ring, one, other };
}

async function mounted(running: RunningDaemon): Promise<void> {
  const client = running.client();
  if ((await client.ask(mount())) !== 0) throw new Error("not joined");
  running.node.mounted.add(UUID);
  if ((await client.ask(result(0))) !== 0) throw new Error("not mounted");
  client.end();
}

test("a mount, an additional mount, a tool, a failing mount and the last unmount", async (t) => {
  const ring = new FakeCorosync();
  const running = await RunningDaemon.start(addNode(ring, 1), UNSAFE);
  const { dlm } = running.node;
  const client = running.client();
  t.is(await client.ask(mount()), 0);
  t.deepEqual([...dlm.registered], [UUID]);
  t.is(ring.members(volumeGroup).length, 1);
  t.is(await client.ask(result(0)), 0);
  client.end();

  const additional = running.client();
  t.is(await additional.ask(mount()), 114);
  t.is(await additional.ask(result(16)), 0);
  const tool = running.client();
  t.is(await tool.ask(mount("tunefs.ocfs2", "/dev/block/8:16")), 114, "another path of the device");
  t.is(await tool.ask(result(0, "tunefs.ocfs2")), 0);
  t.is(await running.client().ask(mount("tunefs.ocfs2")), 16);
  t.deepEqual(running.view, [`${UUID} live: ocfs2 tunefs.ocfs2`]);
  t.is(await running.client().ask(unmount("tunefs.ocfs2")), 0);
  t.is(await running.client().ask(unmount()), 0);
  t.deepEqual([running.view, [...dlm.registered], ring.members(volumeGroup)], [[], [], []]);

  t.is(await additional.ask(mount()), 0, "the same connection may ask again");
  t.is(await additional.ask(result(22)), 0);
  t.deepEqual([running.view, [...dlm.registered]], [[], []]);
  await running.stop();
  t.deepEqual(ring.names, []);
  t.is(running.node.handshake, null);
  t.deepEqual(running.node.kernel.disasters, []);
});

test("our own client mounts, lists and unmounts", async (t) => {
  const running = await RunningDaemon.start(addNode(new FakeCorosync(), 1), UNSAFE);
  const library = running.library();
  t.deepEqual(await library.listClusters(), [USER_CLUSTER]);
  const names = { uuid: UUID, cluster: USER_CLUSTER, device: DISK, service: "ocfs2" };
  const connection = await library.connect("mount");
  t.is(await library.mount(connection, names), "first");
  t.deepEqual(await library.listFilesystems(USER_CLUSTER), [UUID]);
  t.is((await library.mountResult(connection, names, 0)).number, 0);
  connection.close();
  t.regex(await library.dump(), /volume 77D9.*live, for ocfs2/);
  t.is((await library.unmount("unmount", names)).number, 0);
  t.deepEqual(await library.listFilesystems(USER_CLUSTER), []);
  await running.stop();
});

test("what is wrong with a request is answered with its number", async (t) => {
  const running = await RunningDaemon.start(addNode(new FakeCorosync(), 1), UNSAFE);
  const { kernel } = running.node;
  kernel.addFile("/image");
  const client = running.client();
  const wrong: [Message, number][] = [
    [{ ...mount(), fstype: "ext4" } as Message, 22],
    [{ ...mount(), cluster: "nope" } as Message, 22],
    [mount("ocfs2", DISK, "A".repeat(33)), 36],
    [mount("ocfs2", DISK, "controld"), 22],
    [mount(""), 22],
    [mount("ocfs2", "/dev/none"), 2],
    [mount("ocfs2", "sdb"), 22],
    [unmount(), 2],
    [result(0), 2],
    [{ ...result(0), result: "0x1" } as Message, 22],
    [{ ...result(0), result: "99999999999" } as Message, 34],
    [{ keyword: "LISTFS", fstype: "ext4", cluster: USER_CLUSTER }, 22],
    [{ keyword: "LISTFS", fstype: "ocfs2", cluster: "nope" }, 22],
    [{ keyword: "LISTMOUNTS", first: "a", second: "b" }, 22],
    [{ keyword: "STATUS", number: "0", text: "OK" }, 22],
    [{ keyword: "ITEM", text: "x" }, 22],
  ];
  for (const [message, status] of wrong) t.is(await client.ask(message), status, JSON.stringify(message));
  const frame = Buffer.alloc(256, 0xff);
  client.sendBytes(frame);
  t.is(await client.status(), 22);
  t.deepEqual(running.view, []);

  await mounted(running);
  t.is(await client.ask(mount("ocfs2", "/image")), 22, "another device");
  t.is(await client.ask(result(0)), 22, "another connection's mount");
  t.is(await client.ask(mount()), 114, "the error has left no trace");
  client.end();
  running.node.mounted.clear();
  t.is(await running.client().ask(unmount()), 0);
  await running.stop();
});

test("who is not root may look only, and takes the room of nobody else", async (t) => {
  // In the order in which they connect; of the last one nothing is known.
  const users: (number | null)[] = [0, 1000, null];
  const running = await RunningDaemon.start(addNode(new FakeCorosync(), 1), {
    ...UNSAFE,
    userOf: () => (users.length > 0 ? (users.shift() ?? null) : 1000),
  });
  const [root, user, nobody] = [running.client(), running.client(), running.client()];
  t.is(await root.ask(mount()), 0);
  running.node.mounted.add(UUID);
  t.is(await root.ask(result(0)), 0);
  for (const client of [user, nobody])
    for (const request of [mount(), mount("tool"), result(5), unmount()]) t.is(await client.ask(request), 1);
  t.deepEqual(running.view, [`${UUID} live: ocfs2`]);
  user.send({ keyword: "LISTFS", fstype: "ocfs2", cluster: USER_CLUSTER });
  t.like(await user.next(), { keyword: "ITEMCOUNT", count: "1" });

  const many = Array.from({ length: 70 }, () => running.client());
  t.is(many.filter((client) => client.isEnded).length, 8, "64 of them at a time, two are there");
  users.push(0);
  running.node.mounted.clear();
  t.is(await running.client().ask(unmount()), 0);
  many[0]?.end();
  await running.until(() => !running.client().isEnded, "one has left, another is let in");
  await running.stop();
});

test("a client that dies in each state leaves what the protocol says", async (t) => {
  const running = await RunningDaemon.start(addNode(new FakeCorosync(), 1), UNSAFE);
  const { ring, dlm } = running.node;
  const empty = (): boolean => running.view.length === 0 && ring.members(volumeGroup).length === 0;

  const joining = running.client();
  joining.send(mount());
  joining.end();
  await running.until(empty, "it never joined, or has left");

  const release = dlm.hold();
  const registering = running.client();
  registering.send(mount());
  await running.until(() => dlm.registered.size === 1, "it registers");
  registering.end();
  await running.until(() => running.view[0] === `${UUID} leaving: `, "it is to leave");
  t.is(await running.client().ask(mount()), 16);
  release();
  await running.until(empty, "it has left");
  t.is(dlm.registered.size, 0);

  const notified = running.client();
  t.is(await notified.ask(mount()), 0);
  notified.end();
  await running.until(() => running.view[0] === `${UUID} live: ocfs2`, "it counts as mounted");
  const additional = running.client();
  t.is(await additional.ask(mount()), 114);
  additional.end();
  await running.until(() => running.view[0] === `${UUID} live: ocfs2`, "the first mount stays");

  const leaving = running.client();
  leaving.send(unmount());
  leaving.end();
  await running.until(empty, "the leave goes on");
  t.deepEqual(running.of("failed"), []);
  await running.stop();
});

test("the last unmount that meets an additional mount leaves it to that one's end", async (t) => {
  const running = await RunningDaemon.start(addNode(new FakeCorosync(), 1), UNSAFE);
  for (const [outcome, view] of [
    [0, [`${UUID} live: ocfs2`]],
    [5, []],
  ] as const) {
    if (running.view.length === 0) await mounted(running);
    const additional = running.client();
    t.is(await additional.ask(mount()), 114);
    t.is(await running.client().ask(unmount()), 16);
    t.is(await additional.ask(result(outcome)), 0);
    t.deepEqual(running.view, view);
  }
  running.node.mounted.clear();
  await running.stop();
});

test("requests that are sent ahead are answered in their order, and what was unmounted before the end of a connection is so", async (t) => {
  const running = await RunningDaemon.start(addNode(new FakeCorosync(), 1), UNSAFE);
  const client = running.client();
  client.send(mount());
  client.send(result(0));
  client.send({ keyword: "LISTCLUSTERS" });
  t.is(await client.status(), 0);
  t.is(await client.status(), 0);
  t.deepEqual(await client.next(), { keyword: "ITEMCOUNT", count: "1" });
  t.deepEqual(await client.next(), { keyword: "ITEM", text: USER_CLUSTER });
  t.is(await client.status(), 0);
  client.send({ keyword: "DUMP" });
  client.send(unmount());
  client.send(mount());
  client.end();
  await running.until(() => running.view.length === 0, "it was left");
  await running.stop();
});

test("with recovery callbacks nothing is registered and no control device is opened", async (t) => {
  const ring = new FakeCorosync();
  const running = await RunningDaemon.start(addNode(ring, 1, { dlm: "callbacks", label: "cman" }));
  t.like(running.of("ready")[0], { mode: "callbacks", recovery: "kernel", stack: "cman" });
  await mounted(running);
  t.deepEqual([...running.node.dlm.registered], []);
  t.is(running.node.handshake, null);
  t.is(ring.members(volumeGroup).length, 1);
  t.is(await running.client().ask(unmount()), 0);
  await running.stop();
});

// -- the start

const started = async (
  prepare: (node: ReturnType<typeof addNode>) => void = () => undefined,
  options = {},
  settings: Parameters<typeof addNode>[2] = { dlm: "controld" },
) => {
  const ring = new FakeCorosync();
  const node = addNode(ring, 1, settings);
  prepare(node);
  const running = new RunningDaemon(node, options);
  const error = await running.ended;
  return { error, ring, running };
};

test("it refuses to start where it cannot serve, says why, and leaves nothing", async (t) => {
  const refusals: [string, Awaited<ReturnType<typeof started>>][] = [
    ["O2CB_UNSAFE_KERNEL", await started()],
    [
      "O2CB_UNSAFE_KERNEL",
      await started(() => undefined, { readBytes: () => gzipSync("CONFIG_FORTIFY_SOURCE=y\n") }),
    ],
    ["O2CB_INVALID_STACK_NAME", await started(() => undefined, UNSAFE, { label: "o2cb" })],
    ["O2CB_INVALID_STACK_NAME", await started(() => undefined, { ...UNSAFE, stack: "cman" })],
    ["O2CB_MODULE_NOT_LOADED", await started(() => undefined, UNSAFE, { modules: [] })],
    ["O2CB_SERVICE_UNAVAILABLE", await started(() => undefined, UNSAFE, { dlm: null })],
    [
      "O2CB_SERVICE_UNAVAILABLE",
      await started(({ kernel }) => {
        kernel.services.corosync = null;
      }, UNSAFE),
    ],
    [
      "O2CB_SERVICE_UNAVAILABLE",
      await started(({ kernel }) => {
        kernel.services.corosync = { clusterName: null, isQuorate: true };
      }, UNSAFE),
    ],
    ...(await Promise.all(
      ["", "two words", "seventeen letters"].map(
        async (clusterName) =>
          [
            "O2CB_INVALID_CLUSTER_NAME",
            await started(() => undefined, UNSAFE, { dlm: "controld", clusterName }),
          ] as [string, Awaited<ReturnType<typeof started>>],
      ),
    )),
    [
      "O2CB_ALREADY_RUNNING",
      await started(({ kernel }) => {
        kernel.services.listeners.set("ocfs2_controld_sock", 5);
      }, UNSAFE),
    ],
  ];
  for (const [code, { error, ring, running }] of refusals) {
    t.true(isCode(error, code as "O2CB_IO"), `${code}: ${String(error)}`);
    t.deepEqual([ring.names, running.node.handshake, running.of("ready")], [[], null, []], code);
    t.deepEqual(running.node.kernel.disasters, []);
  }
});

test("a second daemon of a node ends, by the socket or by the group, and the other nodes take it for no death", async (t) => {
  const { one, other } = await two();
  await mounted(one);
  const twin = new RunningDaemon(one.node, UNSAFE);
  t.true(isCode(await twin.ended, "O2CB_ALREADY_RUNNING"));
  one.node.kernel.abstractSockets.clear();
  const hidden = new RunningDaemon(one.node, UNSAFE);
  t.true(isCode(await hidden.ended, "O2CB_ALREADY_RUNNING"));
  t.deepEqual([...one.of("died"), ...other.of("died")], []);
  await other.stop();
});

test("a daemon that tells no version, and one of another version, keep others from starting", async (t) => {
  const ring = new FakeCorosync();
  const native = addNode(ring, 2).kernel.process({ name: "another daemon" });
  const stranger = await native.joinProcessGroup("ocfs2:controld");
  const node = addNode(ring, 1);
  const silent = new RunningDaemon(node, UNSAFE);
  const late = await silent.ended;
  t.true(isCode(late, "O2CB_TIMEOUT"));
  t.regex(String(late), /node 2/);

  const tells = async (major: number, minor: number): Promise<unknown> => {
    const running = new RunningDaemon(node, UNSAFE);
    await running.until(() => ring.members("ocfs2:controld").length === 2, "it has joined");
    await stranger.send(Buffer.from([...Buffer.from("O2CT"), 1, 1, 1, 0, major, minor, 1, 0, 0, 0]));
    await Promise.race([running.ended, running.until(() => running.of("ready").length > 0, "ready")]);
    if (running.hasEnded) return running.failure;
    await running.stop();
    return null;
  };
  t.is(await tells(1, 0), null);
  for (const [major, minor] of [
    [2, 0],
    [1, 1],
    [0, 9],
  ] as const) {
    const error = await tells(major, minor);
    t.true(isCode(error, "O2CB_BAD_VERSION"), `${major}.${minor}`);
    t.regex(String(error), new RegExp(`protocol ${major}.${minor} .*protocol 1.0 `));
  }
  t.deepEqual(ring.members("ocfs2:controld").length, 1);
});

test("two daemons that start at once agree", async (t) => {
  const ring = new FakeCorosync();
  const both = [1, 2].map((number) => new RunningDaemon(addNode(ring, number), UNSAFE));
  for (const running of both) await running.until(() => running.of("ready").length > 0, "ready");
  for (const running of both) await running.stop();
  t.deepEqual(ring.names, []);
});

// -- the end

test("signals do not end it while a volume is in use", async (t) => {
  const running = await RunningDaemon.start(addNode(new FakeCorosync(), 1), UNSAFE);
  await mounted(running);
  for (const signal of ["SIGTERM", "SIGINT", "SIGTERM"]) running.daemon.stop(signal);
  t.deepEqual(
    running.of("kept").map(({ signal }) => signal),
    ["SIGTERM", "SIGINT", "SIGTERM"],
  );
  running.node.mounted.clear();
  t.is(await running.client().ask(unmount()), 0);
  t.false(running.hasEnded);
  await running.stop();
  t.false(running.node.isRestarted);
});

test("a signal while the last volume is being left ends it after that", async (t) => {
  const running = await RunningDaemon.start(addNode(new FakeCorosync(), 1), UNSAFE);
  await mounted(running);
  running.node.mounted.clear();
  running.native.beforeCall = ({ name }) => {
    if (name === "ProcessGroup.leave") running.daemon.stop("SIGTERM");
  };
  t.is(await running.client().ask(unmount()), 0);
  t.is(await running.ended, null);
});

test("a signal during the start ends it, and leaves nothing", async (t) => {
  const ring = new FakeCorosync();
  let isReady = false;
  for (let call = 1; !isReady; call += 1) {
    const running = new RunningDaemon(addNode(ring, 1), UNSAFE);
    running.native.beforeCall = ({ n }) => {
      if (n === call) running.daemon.stop("SIGTERM");
    };
    await Promise.race([running.ended, running.until(() => running.of("ready").length > 0, "it is ready")]);
    isReady = running.of("ready").length > 0;
    running.daemon.stop("SIGTERM");
    t.is(await running.ended, null, `call ${call}`);
    t.deepEqual([ring.names, running.node.handshake], [[], null], `call ${call}`);
  }
});

for (const dlm of ["controld", "callbacks"] as const)
  test(`where corosync ends, or puts the node out, the daemon ends and says what follows (${dlm})`, async (t) => {
    for (const how of ["corosync", "daemons", "volume"] as const) {
      const { ring, one, other } = await two(UNSAFE, dlm);
      await mounted(one);
      await mounted(other);
      if (how === "corosync") one.node.stopCorosync();
      else one.node.putOut(how === "daemons" ? "ocfs2:controld" : volumeGroup);
      t.true(isCode(await one.ended, "O2CB_SERVICE_UNAVAILABLE"), how);
      t.like(one.of("abandoned")[0], { uuids: [UUID], willRestart: dlm === "controld" }, how);
      t.is(one.node.isRestarted, dlm === "controld", how);
      // It has not left in order: the others must not forget it.
      await other.until(() => other.of("died").length === 1, `its death is seen (${how})`);
      t.is(ring.members("ocfs2:controld").length, 1);
      other.native.kill();
    }
  });

test("without volumes a lost corosync ends it without a word of a restart", async (t) => {
  const running = await RunningDaemon.start(addNode(new FakeCorosync(), 1), UNSAFE);
  running.node.stopCorosync();
  t.true(isCode(await running.ended, "O2CB_SERVICE_UNAVAILABLE"));
  t.deepEqual(running.of("abandoned"), []);
});

test("where dlm_controld ends nothing new is mounted, what is mounted can be unmounted, and then the daemon ends", async (t) => {
  const running = await RunningDaemon.start(addNode(new FakeCorosync(), 1), UNSAFE);
  await mounted(running);
  running.node.dlm.end();
  await running.until(() => running.of("frozen").length === 1, "it is frozen");
  t.is(await running.client().ask(mount()), 107);
  t.is(await running.client().ask(mount("ocfs2", DISK, "B".repeat(32))), 107);
  t.false(running.hasEnded);
  running.node.mounted.clear();
  t.is(await running.client().ask(unmount()), 0);
  t.true(isCode(await running.ended, "O2CB_SERVICE_UNAVAILABLE"));
  t.false(running.node.isRestarted);

  const idle = await RunningDaemon.start(addNode(new FakeCorosync(), 1), UNSAFE);
  idle.node.dlm.end();
  t.true(isCode(await idle.ended, "O2CB_SERVICE_UNAVAILABLE"));
});

// -- deaths

for (const order of ["first", "last"] as const)
  for (const how of ["node", "process"] as const)
    test(`a ${how}'s death is recovered where the kernel survives it: DOWN, then dlm_controld until it has seen it (daemons told ${order})`, async (t) => {
      const { one, other } = await two(SAFE);
      one.node.isFortified = false;
      one.node.dlm.notSeen = 3;
      await mounted(one);
      await mounted(other);
      if (how === "node") other.node.powerOff(order);
      other.native.kill();
      await one.until(() => one.of("recovered").length === 1, "it is recovered");
      t.deepEqual(one.node.downs, [`${UUID} 2`]);
      t.deepEqual(
        one.node.dlm.notified,
        Array.from({ length: 4 }, () => `${UUID} 2`),
      );
      t.is(await one.client().ask(mount("tool")), 114);
      one.native.kill();
    });

test("without recovery a death freezes the volume on all nodes: no DOWN, nothing is told to dlm_controld, nobody is let in", async (t) => {
  const { ring, one, other } = await two();
  const third = await RunningDaemon.start(addNode(ring, 3), UNSAFE);
  await mounted(one);
  await mounted(other);
  const waiting = third.node.dlm.hold();
  const joining = third.client();
  joining.send(mount());
  await third.until(() => third.node.dlm.registered.size === 1, "the third registers");
  other.node.powerOff();
  other.native.kill();
  await one.until(() => one.of("frozen").length === 1, "it is frozen");
  t.regex(one.of("frozen")[0]?.reason ?? "", /node 2 has died.*--without-recovery/);
  await third.until(() => third.of("frozen").length === 1, "the third, too");
  waiting();
  t.is(await joining.status(), 112);
  t.is(await one.client().ask(mount()), 112);
  const fourth = await RunningDaemon.start(addNode(ring, 4), UNSAFE);
  t.is(await fourth.client().ask(mount()), 112, "a daemon that came later knows");
  t.is(await fourth.client().ask(mount("ocfs2", DISK, "B".repeat(32))), 0, "another volume is let in");
  for (const { node } of [one, third, fourth]) {
    t.deepEqual([node.downs, node.dlm.notified], [[], []]);
    t.deepEqual(node.kernel.disasters, []);
  }
  // Once nobody uses it, it begins anew.
  one.node.mounted.clear();
  t.is(await one.client().ask(unmount()), 0);
  let status = 112;
  while (status === 112) status = await fourth.client().ask(mount());
  t.is(status, 0);
  fourth.native.kill();
});

test("a death that the kernel cannot be told of freezes the volume", async (t) => {
  for (const call of ["ControlDevice.nodeDown", "DlmControl.notified"] as const) {
    const { one, other } = await two(SAFE);
    one.node.isFortified = false;
    await mounted(one);
    await mounted(other);
    one.native.failCall(call, { errno: "EIO" });
    other.node.powerOff();
    other.native.kill();
    await one.until(() => one.of("frozen").length === 1, call);
    t.is(await one.client().ask(mount()), 112);
    one.native.kill();
  }
});

test("with recovery callbacks a death is only told", async (t) => {
  const { one, other } = await two(UNSAFE, "callbacks");
  await mounted(one);
  await mounted(other);
  other.node.powerOff();
  other.native.kill();
  await one.until(() => one.of("died").length === 1, "it is told");
  t.is(one.of("died")[0]?.recovery, "kernel");
  t.is(await one.client().ask(mount()), 114);
  one.native.kill();
});

test("a node that unmounts, and a daemon without volumes that ends, are no deaths", async (t) => {
  const { one, other } = await two();
  await mounted(one);
  await mounted(other);
  other.node.mounted.clear();
  t.is(await other.client().ask(unmount()), 0);
  other.native.kill();
  await one.until(
    () => one.of("members").some(({ uuid, nodes }) => uuid === null && nodes.join() === "1"),
    "",
  );
  t.deepEqual(one.of("died"), []);
  t.is(await one.client().ask(mount()), 114);
  one.native.kill();
});
