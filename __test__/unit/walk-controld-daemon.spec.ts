// The control daemon with each call of the core failing in turn: it ends with the error, or answers its clients and goes on; it never hangs,
// leaves no group and no registration, and a machine is restarted only after it was said.
import test from "ava";
import { encodeFrame } from "../../ts/controld/frame.ts";
import { O2cbError } from "../../ts/errors.ts";
import {
  DISK,
  UUID,
  walkFaults,
  walkKills,
  type FakeKernel,
  type FakeNative,
} from "../helpers/fake-native.ts";
import { FakeCorosync, type FakeClusterNode } from "../helpers/fake/corosync.ts";
import { USER_CLUSTER } from "../helpers/fake/user-setup.ts";
import { addNode, RunningDaemon } from "../helpers/running-daemon.ts";

const nodes = new WeakMap<FakeKernel, { node: FakeClusterNode; other: RunningDaemon | null }>();
const names = { fstype: "ocfs2", uuid: UUID, service: "ocfs2" };

function setup(dlm: "controld" | "callbacks") {
  return (): FakeKernel => {
    const node = addNode(new FakeCorosync(), 1, { dlm });
    nodes.set(node.kernel, { node, other: null });
    return node.kernel;
  };
}

/** A daemon's whole life with one mount; what its client gets is the client's business. */
async function life(native: FakeNative, kernel: FakeKernel): Promise<RunningDaemon> {
  const { node } = nodes.get(kernel) as { node: FakeClusterNode };
  const running = new RunningDaemon(node, { withoutRecovery: true }, native);
  await until(running, () => running.of("ready").length > 0);
  if (!running.hasEnded) await use(running);
  for (let again = 0; again < 3 && running.daemon.volumes.length > 0; again += 1)
    await ask(running, encodeFrame({ keyword: "UNMOUNT", ...names }));
  running.daemon.stop("SIGTERM");
  await running.ended;
  if (running.failure !== null) throw running.failure;
  return running;
}

async function use(running: RunningDaemon): Promise<void> {
  const client = running.client();
  client.send({ keyword: "MOUNT", ...names, cluster: USER_CLUSTER, device: DISK });
  const answer = await client.next();
  if (answer?.keyword !== "STATUS" || answer.number !== "0") return;
  running.node.mounted.add(UUID);
  client.send({ keyword: "MRESULT", ...names, result: "0" });
  await client.next();
  running.node.mounted.clear();
  client.end();
}

async function ask(running: RunningDaemon, frame: Uint8Array): Promise<void> {
  if (running.hasEnded) return;
  const client = running.client();
  client.sendBytes(frame);
  await client.next();
  client.end();
}

/** Or until the daemon has ended, or was killed. */
async function until(running: RunningDaemon, holds: () => boolean): Promise<void> {
  while (!holds() && !running.hasEnded && running.native.alive)
    await new Promise((resolve) => setImmediate(resolve));
}

for (const dlm of ["controld", "callbacks"] as const) {
  test(`each call fails in turn (${dlm})`, async (t) => {
    let failed = 0;
    const runs = await walkFaults(life, {
      setup: setup(dlm),
      errnos: ["EIO", "ENOMEM", "EACCES", "ENOENT", "ECONNREFUSED"],
      limitMs: 10_000,
      check: ({ kernel, outcome, title }) => {
        const { node } = nodes.get(kernel) as { node: FakeClusterNode };
        t.true(outcome.status === "ok" || outcome.status === "failed", `${title}: ${outcome.status}`);
        if (outcome.status === "failed") {
          t.true(outcome.error instanceof O2cbError, `${title}: ${String(outcome.error)}`);
          failed += 1;
        }
        t.deepEqual(node.ring.names, [], title);
        t.deepEqual([[...node.dlm.registered], node.handshake], [[], null], title);
        t.false(node.isRestarted, title);
        t.deepEqual(kernel.disasters, [], title);
      },
    });
    t.log(`${runs} runs, ${failed} of them ended the daemon`);
    t.true(failed > 0 && failed < runs);
  });

  test(`it is killed at each call (${dlm})`, async (t) => {
    const runs = await walkKills(life, {
      setup: setup(dlm),
      limitMs: 10_000,
      check: ({ kernel, title }) => {
        const { node } = nodes.get(kernel) as { node: FakeClusterNode };
        t.deepEqual(node.ring.names, [], title);
        t.is(node.handshake, null, title);
      },
    });
    t.true(runs > 20);
  });
}
