// The DLM for programs on real kernels, two nodes: the six surprises of dlmfs, locks and values between nodes, volumes locked against the C
// tools and by them, and what processes and nodes that end leave behind.
//
// Facts relied on: kernel-abi 5. The dead threshold is 8, so a node that is gone is noticed after some 16 s.
import type { ExecutionContext } from "ava";
import { Client, rawHolder, rawTry } from "./dlm/client.ts";
import { CLUSTER, format, heldOf, KERNEL_LEAVES, PEER_TUNEFS, reap, volumeState } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";
import type { Command } from "./vm/command.ts";
import type { Node } from "./vm/node.ts";

const DISK = "/dev/vda";
const shared = sharedLab({ nodes: 2, disks: [{ mib: 128 }], limitSeconds: 1500 });
let uuid = "";

async function prepared(): Promise<[Node, Node]> {
  const [a, b] = shared.get().nodes;
  if (a === undefined || b === undefined) throw new Error("two nodes are needed");
  if (uuid === "") {
    uuid = await format(a, DISK);
    const threshold = `/sys/kernel/config/cluster/${CLUSTER}/heartbeat/dead_threshold`;
    await Promise.all(
      [a, b].map((node) =>
        node.run(
          `echo 8 >${threshold}; mkdir -p /dlm /vol; mountpoint -q /dlm || mount -t ocfs2_dlmfs ocfs2_dlmfs /dlm`,
        ),
      ),
    );
  }
  return [a, b];
}

const join = async (node: Node): Promise<Client> => {
  const client = await Client.start(node);
  await client.call("volume", DISK);
  return client;
};
const path = (name: string): string => `/dlm/${uuid}/${name}`;

scenario("the six surprises of dlmfs, and what the library makes of them", async (t) => {
  t.timeout(600_000);
  const [a, b] = await prepared();
  const [one, two] = await Promise.all([join(a), join(b)]);

  // 1: the node holds it, not the process; ours keep each other out all the same.
  const raw = rawHolder(a, "ex", "try", path("first"));
  await raw.waitForOutput(/held/);
  t.is(await rawTry(a, "ex", path("first")), null, "two holders of EX on one node");
  await raw.kill("SIGKILL");
  await raw.done;
  const beside = await join(a);
  await one.call("lock", "k", "mine");
  t.is((await beside.fails("lock", "k", "mine", { trylock: true })).code, "O2CB_LOCK_BUSY");
  const turn = await beside.send("lock", "k", "mine");
  await one.call("unlock", "k");
  t.is((await beside.answer(turn)).ok, "EX");
  await beside.call("unlock", "k");

  // 2: closed is not given up; a plain close refuses the other node's trylocks, ours gives it up, and a request that queues has it.
  t.is(await rawTry(b, "ex", path("first")), "ETXTBSY", "cached on the first node");
  await two.call("lock", "k", "first", { timeoutMs: 30_000 });
  t.true((await two.call<string[]>("steps")).includes("node queued"));
  await two.call("unlock", "k");
  await one.call("lock", "k", "mine");
  await one.call("unlock", "k");
  await two.call("lock", "k", "mine", { trylock: true });
  await two.call("unlock", "k", { keep: true });
  t.is((await one.fails("lock", "k", "mine", { trylock: true })).code, "O2CB_LOCK_BUSY");
  await one.call("lock", "k", "mine", { timeoutMs: 30_000 });
  await one.call("unlock", "k");

  // 3: who queues cannot be ended by anything, but ours ends: a process apart waits, and gives the lock up when it has it.
  await one.call("lock", "k", "third");
  const stuck = rawHolder(b, "ex", "wait", path("third"));
  const pid = await stuck.pid;
  await b.run(
    `for i in $(seq 100); do grep -q '^State:.D' /proc/${pid}/status && exit 0; sleep 0.1; done; exit 1`,
  );
  await stuck.kill("SIGKILL");
  await b.run(`sleep 1; grep -q '^State:.D' /proc/${pid}/status`);
  await one.call("unlock", "k");
  await stuck.done;
  await one.call("lock", "k", "third", { timeoutMs: 30_000 });
  const queued = await two.send("lock", "q", "third", { queueAfterMs: 0, timeoutMs: 3000 });
  const { error } = await two.answer(queued);
  t.is(error?.code, "O2CB_TIMEOUT");
  t.is(error?.outcome, "in-kernel");
  await two.kill();
  t.is((await two.process.done).signal, "SIGKILL", "it ends though the kernel still queues");
  await one.call("unlock", "k");
  await one.call("lock", "k", "third", { timeoutMs: 30_000 });
  await one.call("unlock", "k");

  // 4: where another node waits, an open on the holding node sleeps, a trylock too; ours is refused before it comes to that.
  const three = await join(b);
  await one.call("lock", "k", "fourth");
  const wanted = await three.send("lock", "k", "fourth", { queueAfterMs: 0 });
  await one.call("notified", "k");
  const sleeper = rawHolder(a, "pr", "try", path("fourth"));
  const sleeping = await sleeper.pid;
  await a.run(
    `for i in $(seq 100); do grep -q '^State:.D' /proc/${sleeping}/status && exit 0; sleep 0.1; done; exit 1`,
  );
  const refusal = await beside.fails("lock", "k", "fourth", { trylock: true, level: "PR" });
  t.regex(refusal.message, /another process on this node/);
  await one.call("unlock", "k");
  t.is((await three.answer(wanted)).ok, "EX");
  await sleeper.waitForOutput(/refused .*: ETXTBSY/);
  await sleeper.kill("SIGKILL");
  await three.end();

  // 5: the domain of a region's name keeps it; one of another name keeps none, and without a region the kernel takes this node out.
  t.not((await a.try(`rmdir /sys/kernel/config/cluster/${CLUSTER}/heartbeat/${uuid}`)).status, 0);

  await beside.end();
  await one.end();
  const next = await join(b);
  await next.end();
  await withoutRegion(t, a);
  await assertFree(t, a, b);
});

async function withoutRegion(t: ExecutionContext, node: Node): Promise<void> {
  await node.run([KERNEL_LEAVES, "-S", "-d", DISK, "fifth"]);
  await node.run("mkdir /dlm/elsewhere; dmesg -C");
  const lost = rawHolder(node, "ex", "try", "/dlm/elsewhere/lock");
  await lost.waitForOutput(/held/);
  await node.run([KERNEL_LEAVES, "-K", "-d", DISK, "fifth"]);
  await node.run("for i in $(seq 100); do dmesg | grep -q 'evicted node' && exit 0; sleep 0.1; done; exit 1");
  t.deepEqual(await node.regions(), []);
  await lost.kill("SIGKILL");
  await lost.done;
  await node.run("rm /dlm/elsewhere/lock; rmdir /dlm/elsewhere");
}

scenario(
  "a value written on one node is read on the other; who holds a lock hears of the node that waits",
  async (t) => {
    t.timeout(300_000);
    const [a, b] = await prepared();
    const [one, two] = await Promise.all([join(a), join(b)]);
    await one.call("lock", "v", "value");
    await one.call("write", "v", "from the first");
    await one.call("unlock", "v");
    await two.call("lock", "v", "value", { level: "PR" });
    t.is(await two.call("read", "v"), "from the first");
    await two.call("unlock", "v");

    await one.call("lock", "k", "wanted");
    const notified = await one.send("notified", "k");
    const waiting = await two.send("lock", "k", "wanted", { queueAfterMs: 0 });
    t.is((await one.answer(notified)).ok, "wanted");
    await one.call("write", "k", "last words");
    await one.call("unlock", "k", { keep: true });
    t.is((await two.answer(waiting)).ok, "EX");
    t.is(await two.call("read", "k"), "last words");
    await Promise.all([one.end(), two.end()]);
    await assertFree(t, a, b);
  },
);

scenario(
  "a volume that is locked, or mounted, is refused: ours to the C tools, theirs to us, with who it is",
  async (t) => {
    t.timeout(600_000);
    const [a, b] = await prepared();
    const one = await join(a);
    await one.call("lockDown");
    for (const tool of [`${PEER_TUNEFS} -L other ${DISK}`, `fsck.ocfs2 -f -y ${DISK}`]) {
      const { status, stdout, stderr } = await b.try(`${tool} </dev/null`);
      t.not(status, 0, `${tool}: ${stdout}${stderr}`);
    }
    await one.call("release");
    await b.run(`${PEER_TUNEFS} -L other ${DISK} </dev/null`);
    await one.call("lockDown");
    await one.call("release");

    const fsck = await stoppedFsck(b);
    const refused = await one.fails("lockDown");
    t.is(refused.code, "O2CB_VOLUME_IN_USE");
    t.regex(refused.message, /used without a mount by 'n2'/);
    await b.run(["kill", "-CONT", fsck.pid]);
    await fsck.command.done;
    await one.call("lockDown");
    await one.call("release");

    await b.run(["mount", "-t", "ocfs2", DISK, "/vol"]);
    const mounted = await one.fails("lockDown");
    t.is(mounted.code, "O2CB_VOLUME_IN_USE");
    t.regex(mounted.message, /is mounted on 'n2'/);
    await b.run(["umount", "/vol"]);
    await one.call("lockDown");
    await one.end();
    await assertFree(t, a, b);
  },
);

scenario(
  "what is killed with everything held is cleaned by the next one, a reap, or the other node's patience",
  async (t) => {
    t.timeout(900_000);
    const [a, b] = await prepared();
    const dead = await join(a);
    await dead.call("lockDown");
    await dead.call("lock", "k", "mine", { level: "PR" });
    await dead.kill();
    const one = await join(a);
    await one.call("lockDown");
    await one.call("release");

    // The C tool, killed: what it held stays cached there, and looks like a program at work, until it is queued for.
    const fsck = await stoppedFsck(b);
    await b.run(["kill", "-KILL", fsck.pid]);
    await fsck.command.done;
    const refused = await one.fails("lockDown");
    t.is(refused.code, "O2CB_VOLUME_IN_USE");
    await one.call("lockDown", { queueMs: 20_000 });
    await one.call("release");
    t.is((await reap(b, uuid)).done.length, 1);
    await one.end();
    await assertFree(t, a, b);

    const dying = await join(b);
    await dying.call("lock", "k", "orphaned");
    const next = await join(a);
    const waiting = await next.send("lock", "k", "orphaned");
    const began = Date.now();
    await b.powerOff();
    t.is((await next.answer(waiting, 200)).ok, "EX");
    t.log(`granted ${Math.round((Date.now() - began) / 1000)} s after the other node's end (host time)`);
    await next.end();
    await assertFree(t, a);
  },
);

/** fsck.ocfs2 of the peer, stopped while it holds the volume. */
async function stoppedFsck(node: Node): Promise<{ command: Command; pid: string }> {
  const command = node.start(
    `fsck.ocfs2 -f -y ${DISK} </dev/null >/tmp/fsck 2>&1 & pid=$!
     until [ -e ${path("S000000000000000000000200000000")} ]; do sleep 0.02; done
     sleep 0.3; kill -STOP $pid; echo stopped $pid; wait $pid; true`,
  );
  const [, pid = ""] = await command.waitForOutput(/stopped (\d+)/);
  return { command, pid };
}

/** Notes of processes that were killed may be left: they mean nothing, and a reap takes them away. */
async function assertFree(t: ExecutionContext, ...nodes: Node[]): Promise<void> {
  const held = async (node: Node): Promise<string[]> =>
    heldOf(await volumeState(node, { uuid, device: DISK })).filter((what) => !what.startsWith("the record"));
  for (const node of nodes) t.deepEqual(await held(node), [], node.name);
}
