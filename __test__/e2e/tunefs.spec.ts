// tunefs.ocfs2 on real kernels: what it changes against the C tools and the kernel, who is kept out by whom, and power cuts in the middle of a change.
//
// Facts relied on: the disks are sparse files of the host, which a machine that is powered off leaves as they are. The third machine judges
// what the two others left; the dead threshold is 8, so a node that is gone is noticed after some 16 s.
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import type { ExecutionContext } from "ava";
import { loadNative } from "../../ts/native.ts";
import { assertCleanVolume, CLUSTER, format, PEER_TUNEFS } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";
import type { Node } from "./vm/node.ts";

const [CLUSTERED, PAUSED, LOCAL] = ["/dev/vda", "/dev/vdb", "/dev/vdc"];
/** One small volume of each, from /dev/vdd on. */
const SHAPES = [512, 1024, 2048, 4096].flatMap((blockBytes) =>
  ["metaecc", "nometaecc"].map((checks) => ({ blockBytes, checks })),
);
const shared = sharedLab({
  nodes: 3,
  disks: [{ mib: 1200 }, { mib: 1200 }, { mib: 1200 }, ...SHAPES.map(() => ({ mib: 64 }))],
  limitSeconds: 2400,
});
const SCRIPT = new URL("guest-scripts/tune.mjs", import.meta.url).pathname;
/** The kernel finds a name in a bucket by a hash that begins with the UUID's. */
const ATTRIBUTES = new URL("guest-scripts/xattrs.pl", import.meta.url).pathname;
const GIB = 2 ** 30;
let isPrepared = false;

async function prepared(): Promise<[Node, Node, Node]> {
  const [a, b, c] = shared.get().nodes;
  if (a === undefined || b === undefined || c === undefined) throw new Error("three nodes are needed");
  if (!isPrepared) {
    isPrepared = true;
    await format(a, CLUSTERED, { more: "--fs-features=metaecc" });
    await format(a, PAUSED, { more: "--fs-features=metaecc" });
    await format(a, LOCAL, { stack: "", more: "-M local --fs-features=metaecc" });
    const threshold = `/sys/kernel/config/cluster/${CLUSTER}/heartbeat/dead_threshold`;
    const dlmfs = "mkdir -p /dlm /vol; mountpoint -q /dlm || mount -t ocfs2_dlmfs ocfs2_dlmfs /dlm";
    await Promise.all([a, b, c].map((node) => node.run(`echo 8 >${threshold}; ${dlmfs}`)));
  }
  return [a, b, c];
}

/** What the C tools say of the volume, which must be clean, and its backups like its superblock. */
async function told(
  t: ExecutionContext,
  node: Node,
  device: string,
): Promise<{ label: string; uuid: string; features: string }> {
  const ask = "%V|%U|%H";
  const theirs = (await node.run([PEER_TUNEFS, "-Q", ask, device])).stdout;
  const ours = await node.run(["tunefs.ocfs2", "-Q", ask, device]);
  t.is(ours.stdout, theirs);
  const [label = "", uuid = "", features = ""] = theirs.split("|");
  t.regex((await node.run(`debugfs.ocfs2 -R stats ${device}`)).stdout, new RegExp(`UUID: ${uuid}`));
  await assertCleanVolume(node, device);
  return { label, uuid, features };
}

async function mountOnce(node: Node, device: string, work = "true"): Promise<void> {
  await node.run(`mount -t ocfs2 ${device} /vol && { ${work}; status=$?; umount /vol; exit $status; }`);
}

scenario(
  "label, UUID, mount type and cluster stack: the C tools and the kernel see what was asked for",
  async (t) => {
    t.timeout(900_000);
    const [a, , c] = await prepared();
    await mountOnce(a, CLUSTERED, `echo text >/vol/file && perl ${ATTRIBUTES} set /vol/file`);
    const before = await told(t, a, CLUSTERED);

    const changed = await a.run(["tunefs.ocfs2", "-L", "a label", "-U", CLUSTERED]);
    const after = await told(t, a, CLUSTERED);
    t.is(after.label, "a label");
    t.not(after.uuid, before.uuid);
    t.is(after.features, before.features);
    await a.assertNothingLeft();
    await mountOnce(c, CLUSTERED, `grep -q text /vol/file && perl ${ATTRIBUTES} check /vol/file`);

    const undoFile = /--undo (\S+)/.exec(changed.stdout)?.[1] ?? "";
    await a.run(["tunefs.ocfs2", "--undo", undoFile, CLUSTERED]);
    t.deepEqual(await told(t, a, CLUSTERED), before);

    await a.run(["tunefs.ocfs2", "-M", "local", CLUSTERED]);
    t.regex((await told(t, a, CLUSTERED)).features, /^local /);
    await a.run(["tunefs.ocfs2", "-M", "cluster", CLUSTERED]);
    t.deepEqual(await told(t, a, CLUSTERED), before);

    // Another cluster's, which the kernel would not mount here.
    await a.run(`o2cluster -y --update=o2cb,other,local ${CLUSTERED}`);
    const refused = await a.try(["tunefs.ocfs2", "-L", "no", CLUSTERED]);
    t.not(refused.status, 0);
    const unconfirmed = await a.try(["tunefs.ocfs2", "--update-cluster-stack", CLUSTERED]);
    t.is(unconfirmed.status, 1);
    t.regex(unconfirmed.stderr, /nobody can be asked/);
    await a.run(["tunefs.ocfs2", "-y", "--update-cluster-stack", CLUSTERED]);
    t.is((await a.run(["o2cluster", "-o", CLUSTERED])).stdout.trim(), `o2cb,${CLUSTER},local`);
    t.deepEqual(await told(t, a, CLUSTERED), before);
    await mountOnce(c, CLUSTERED, "grep -q text /vol/file");
    await Promise.all([a, c].map((node) => node.assertNothingLeft()));
  },
);

scenario(
  "blocks of 512 to 4096 bytes, with checksums and without: clean after each change, and mounted",
  async (t) => {
    t.timeout(900_000);
    const [a, b, c] = await prepared();
    const change = async (node: Node, index: number): Promise<void> => {
      const { blockBytes = 0, checks } = SHAPES[index] ?? {};
      const device = `/dev/vd${String.fromCharCode("d".charCodeAt(0) + index)}`;
      await format(node, device, { slots: 2, more: `-b ${blockBytes} --fs-features=${checks}` });
      const before = await told(t, node, device);
      t.is(before.features.includes("metaecc"), checks === "metaecc", device);
      await node.run(["tunefs.ocfs2", "-L", `blocks of ${blockBytes}`, device]);
      const labelled = await told(t, node, device);
      t.deepEqual(labelled, { ...before, label: `blocks of ${blockBytes}` });
      const changed = await node.run(["tunefs.ocfs2", "-U", device]);
      const renamed = await told(t, node, device);
      t.not(renamed.uuid, before.uuid);
      t.deepEqual(renamed, { ...labelled, uuid: renamed.uuid });
      await c.run(`mkdir -p /m${device} && mount -t ocfs2 ${device} /m${device} && umount /m${device}`);
      const undoFile = /--undo (\S+)/.exec(changed.stdout)?.[1] ?? "";
      await node.run(["tunefs.ocfs2", "--undo", undoFile, device]);
      t.deepEqual(await told(t, node, device), labelled);
    };
    // Two at a time on a machine: fsck.ocfs2 takes much of its memory.
    await Promise.all(
      [0, 1, 2, 3].map(async (lane) => {
        for (const index of [lane, lane + 4]) await change(lane % 2 === 0 ? a : b, index);
      }),
    );
    await Promise.all([a, b, c].map((node) => node.assertNothingLeft()));
  },
);

scenario("mounted elsewhere, held by a C tool, held by ours: refused, and by name", async (t) => {
  t.timeout(600_000);
  const [a, b] = await prepared();
  await a.run(`mount -t ocfs2 ${CLUSTERED} /vol`);
  const [here, there] = await Promise.all([
    a.try(["tunefs.ocfs2", "-L", "no", CLUSTERED]),
    b.try(["tunefs.ocfs2", "-L", "no", CLUSTERED]),
  ]);
  t.is(here.status, 25, here.stderr);
  t.is(there.status, 25, there.stderr);
  t.regex(there.stderr, /n1/);
  await a.run("umount /vol");

  // It holds the lock while it waits for an answer.
  const question = a.start(
    `sleep 600 | ${PEER_TUNEFS} --uuid-reset=2A4D1C581FAA42A1A41D26EFC90C1315 ${CLUSTERED}`,
  );
  await question.waitForOutput(/Update the UUID/);
  t.is((await b.try(["tunefs.ocfs2", "-L", "no", CLUSTERED])).status, 25);
  await question.kill("SIGKILL");
  await question.done;

  const ours = a.start(["node", SCRIPT, "pause", CLUSTERED, "ours"]);
  await ours.waitForOutput(/before the backup/);
  t.is((await b.try([PEER_TUNEFS, "-L", "no", CLUSTERED])).status, 25);
  t.not((await b.try(["fsck.ocfs2", "-f", "-y", CLUSTERED])).status, 0);
  t.is((await b.try(["tunefs.ocfs2", "-L", "no", CLUSTERED])).status, 25);
  await ours.kill("SIGKILL");
  await ours.done;
  // What was killed between the superblock and its backup: the new value, told, and completed by the next change.
  const asked = await b.run(["tunefs.ocfs2", "-Q", "%V", CLUSTERED]);
  t.is(asked.stdout, "ours");
  t.regex(asked.stderr, /backups of the superblock/);
  await assertCleanVolume(b, CLUSTERED);
});

scenario(
  "a power cut between the superblock and its backup, of a node that holds the cluster's lock",
  async (t) => {
    t.timeout(900_000);
    const [a, , c] = await prepared();
    const change = a.start(["node", SCRIPT, "pause", PAUSED, "cut"]);
    await change.waitForOutput(/before the backup/);
    await a.powerOff();
    t.is((await c.run(["tunefs.ocfs2", "-Q", "%V", PAUSED])).stdout, "cut");
    await assertCleanVolume(c, PAUSED);
    await mountOnce(c, PAUSED);
    const completed = await c.run(["tunefs.ocfs2", "-L", "cut", "--json", PAUSED]);
    const { result } = JSON.parse(completed.stdout) as {
      result: { outcome: string; writes: { offset: number }[] };
    };
    t.is(result.outcome, "changed");
    t.deepEqual(
      result.writes.map(({ offset }) => offset),
      [GIB],
    );
    t.is((await told(t, c, PAUSED)).label, "cut");
  },
);

scenario(
  "a power cut in a run of changes, and writes that tear: the old superblock or the new, and both mount",
  async (t) => {
    t.timeout(900_000);
    const [, b, c] = await prepared();
    const run = b.start(["node", SCRIPT, "loop", LOCAL]);
    await run.waitForOutput(/^20$/m);
    await b.powerOff();
    const { label, uuid } = await told(t, c, LOCAL);
    t.true(["A", "B"].includes(label[0] ?? ""), label);
    t.deepEqual([label, uuid], [(label[0] ?? "").repeat(64), (label[0] ?? "").repeat(32)]);
    await mountOnce(c, LOCAL);

    // The same from the host: of the next change's block, the sectors up to each cut, and none of its backup.
    const disk = shared.get().lab.disks[2];
    if (disk === undefined) throw new Error("a third disk is needed");
    const native = loadNative();
    const wanted = { label: "torn", uuid: "C".repeat(32) };
    const [primary] = (await native.readSuperblocks(disk.path, wanted)).copies;
    if (primary === undefined) throw new Error("a superblock is needed");
    for (const sectors of [0, 1, 5, 8]) {
      writeAt(disk.path, Number(primary.offset), [
        primary.new.subarray(0, sectors * 512),
        primary.old.subarray(sectors * 512),
      ]);
      const seen = await told(t, c, LOCAL);
      t.deepEqual(
        [seen.label, seen.uuid],
        sectors === 0 ? [label, uuid] : ["torn", wanted.uuid],
        `${sectors} sectors`,
      );
      if (sectors < 2) await mountOnce(c, LOCAL);
    }
    await c.run(["tunefs.ocfs2", "-L", "torn", LOCAL]);
    t.deepEqual(
      (await native.readSuperblocks(disk.path, {})).copies.flatMap(({ fields }) => fields),
      [],
    );
  },
);

function writeAt(path: string, offset: number, parts: readonly Uint8Array[]): void {
  const file = openSync(path, "r+");
  try {
    writeSync(file, Buffer.concat(parts), 0, null, offset);
    const back = Buffer.alloc(16);
    readSync(file, back, 0, back.length, offset);
    if (!back.toString("latin1").startsWith("OCFSV2")) throw new Error("no superblock was written");
  } finally {
    closeSync(file);
  }
}
