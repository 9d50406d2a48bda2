// o2cb exec on real kernels: two nodes, with the peer's tools on the other one.
import type { ExecutionContext } from "ava";
import {
  assertVolumeFree,
  format,
  heldOf,
  NOBODY_LEAVES,
  reap,
  volumeState,
  type VolumeName,
  PEER_TUNEFS,
} from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";
import type { Node } from "./vm/node.ts";

const shared = sharedLab({ nodes: 2, disks: [{ mib: 128 }], limitSeconds: 1500 });
const DEVICE = "/dev/vda";
const LIMIT = { limitSeconds: 180 };
/** Ends with status 7 when it is told to. */
const WAITS = "trap 'exit 7' TERM; echo held; while :; do sleep 0.2; done";

let volume: VolumeName | undefined;

async function prepared(): Promise<{ here: Node; there: Node } & VolumeName> {
  const [here, there] = shared.get().nodes;
  if (here === undefined || there === undefined) throw new Error("two nodes are needed");
  if (volume === undefined) {
    volume = { device: DEVICE, uuid: await format(here, DEVICE) };
    const dlmfs = "mkdir -p /dlm /vol; mountpoint -q /dlm || mount -t ocfs2_dlmfs ocfs2_dlmfs /dlm";
    await Promise.all(
      [here, there].map(async (node) => {
        await node.run(dlmfs);
        await node.setHbCtlPath(NOBODY_LEAVES);
      }),
    );
  }
  return { here, there, ...volume };
}

const exec = (...command: string[]): string[] => ["o2cb", "exec", DEVICE, "--", ...command];

async function assertFree(t: ExecutionContext, nodes: readonly Node[], name: VolumeName): Promise<void> {
  await Promise.all(nodes.map((node) => assertVolumeFree(node, name)));
  t.pass();
}

/** The note of a killed command's join means nothing any more, and stays until the monitor or a reap sees it. */
async function noteTakenAway(node: Node, uuid: string): Promise<void> {
  await reap(node, uuid);
}

/** Whether a process runs: not gone, and no zombie. */
async function runs(node: Node, pid: string): Promise<boolean> {
  return (await node.try(`grep -q '^State:[[:space:]]*[^ZX]' /proc/${pid}/status`)).status === 0;
}

scenario(
  "while a command runs the peer's tools on the other node are refused, and after it they pass",
  async (t) => {
    t.timeout(900_000);
    const { here, there, ...name } = await prepared();
    const running = here.start(exec("bash", "-c", WAITS), LIMIT);
    await running.waitForOutput(/held/, 180);
    const tunefs = await there.try([PEER_TUNEFS, "-L", "other", DEVICE], LIMIT);
    t.not(tunefs.status, 0, `${tunefs.stdout}${tunefs.stderr}`);
    const fsck = await there.try(`fsck.ocfs2 -fy ${DEVICE} </dev/null`, LIMIT);
    t.not(fsck.status, 0, `${fsck.stdout}${fsck.stderr}`);
    const ours = await there.try(exec("touch", "/root/started"), LIMIT);
    t.is(ours.status, 125, ours.stderr);
    t.not((await there.try("test -e /root/started")).status, 0);
    await running.kill("SIGTERM", "first");
    const { status, stdout, stderr } = await running.done;
    t.deepEqual([status, stdout, stderr], [7, "held\n", ""]);
    await assertFree(t, [here], name);
    await there.run([PEER_TUNEFS, "-L", "other", DEVICE], LIMIT);
    await there.run(`fsck.ocfs2 -fy ${DEVICE} </dev/null`, LIMIT);
    await assertFree(t, [here, there], name);
  },
);

scenario("statuses, the environment and the streams are the command's, and nothing is left", async (t) => {
  t.timeout(600_000);
  const { here, uuid, ...rest } = await prepared();
  const text = await here.try(
    `echo word | o2cb exec ${DEVICE} -- sh -c 'read x; echo "$x $OCFS2_GROUP_UUID $OCFS2_GROUP_CLUSTER"; kill -KILL $$'`,
    LIMIT,
  );
  t.deepEqual([text.status, text.stdout], [137, `word ${uuid} lab\n`], text.stderr);
  t.is((await here.try(exec("no-such-command"), LIMIT)).status, 127);
  await assertFree(t, [here], { uuid, ...rest });
});

scenario("mounted on the other node: refused with its name, and the command is never started", async (t) => {
  t.timeout(600_000);
  const { here, there, ...name } = await prepared();
  await there.run(["mount", "-t", "ocfs2", DEVICE, "/vol"], LIMIT);
  const { status, stdout, stderr } = await here.try(exec("touch", "/root/started"), LIMIT);
  t.deepEqual([status, stdout], [125, ""]);
  t.regex(stderr, /n2/);
  t.not((await here.try("test -e /root/started")).status, 0);
  await there.run(["umount", "/vol"], LIMIT);
  await assertFree(t, [here, there], name);
});

scenario(
  "killed with SIGKILL it takes the command along; what that left keeps the lock; the next command clears up",
  async (t) => {
    t.timeout(900_000);
    const { here, ...name } = await prepared();
    const alone = here.start(exec("sh", "-c", "echo $$ held; exec sleep 1000"), LIMIT);
    const [, pid = ""] = await alone.waitForOutput(/(\d+) held/, 180);
    await alone.kill("SIGKILL", "first");
    await alone.done;
    t.false(await runs(here, pid));
    t.log(`after the kill: ${heldOf(await volumeState(here, name)).join("; ")}`);
    const next = await here.try(exec("true"), LIMIT);
    t.is(next.status, 0, next.stderr);
    await noteTakenAway(here, name.uuid);
    await assertFree(t, [here], name);

    const parent = here.start(exec("sh", "-c", "sleep 1000 & echo $! held; wait"), LIMIT);
    const [, left = ""] = await parent.waitForOutput(/(\d+) held/, 180);
    await parent.kill("SIGKILL", "first");
    await parent.done;
    t.true(await runs(here, left));
    const refused = await here.try(exec("true"), LIMIT);
    t.is(refused.status, 125, refused.stderr);
    await here.run(`kill -KILL ${left}`);
    const last = await here.try(exec("true"), LIMIT);
    t.is(last.status, 0, last.stderr);
    await noteTakenAway(here, name.uuid);
    await assertFree(t, [here], name);
  },
);
