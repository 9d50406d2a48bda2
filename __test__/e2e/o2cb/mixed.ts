// The C tool's o2cb in the middle: what one registers the other finds, changes and takes away, on nodes of one cluster.
//
// Facts relied on: what the C tool's commands do (group-api 6.4); it loads and mounts nothing, that is its init script's part, and ours here.
import type { ExecutionContext } from "ava";
import { assertCleanVolume, CLUSTER, format, PEER_MOUNT } from "../ours.ts";
import type { Node } from "../vm/node.ts";
import {
  adds,
  crossRead,
  isOnline,
  makes,
  members,
  mount,
  ours,
  OURS,
  refused,
  registration,
  steps,
  THEIRS,
  type Three,
  type Tool,
} from "./tools.ts";

export async function lifeByBoth(t: ExecutionContext, [a, b, c]: Three): Promise<void> {
  await Promise.all([
    format(a, "/dev/vda"),
    steps(a, ...makes(OURS, [a, b]), "o2cb online", `${THEIRS} cluster-status ${CLUSTER}`),
    steps(b, ...makes(THEIRS, [a, b]), "o2cb load", `${THEIRS} register-cluster ${CLUSTER}`),
  ]);
  t.deepEqual(
    withoutLocal(await registration(b)),
    withoutLocal(await registration(a)),
    "both register the same",
  );
  t.true(await isOnline(b));
  // Ours writes the threshold, which a registration of theirs leaves as it is: here it is the kernel's own.
  t.deepEqual((await ours(b, "online")).writes, [], "there is nothing to add to theirs");
  await steps(a, `${THEIRS} register-cluster ${CLUSTER}`);
  t.like(await registration(a), { "lab/node/n1/local": "1" }, "nor to ours");

  await Promise.all([mount(a, "/dev/vda"), b.run([PEER_MOUNT, "/dev/vda", "/vol", "-o", "rw"])]);
  await crossRead([a, b]);
  await grow(t, a, b, c);
  await ours(c, "drain");
  await c.assertNothingLeft();
  t.deepEqual(await registration(c), {});
  await takeDown(t, a, b);
  await Promise.all([halfRegistered(t, a), assertCleanVolume(b, "/dev/vda")]);
  await Promise.all([a, b, c].map((node) => node.run(["o2cb", "stop"])));
}

function withoutLocal(attributes: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).filter(([path]) => !path.endsWith("/local")));
}

/** Ours registered on `a`, theirs on `b`: each is changed by the other, while the volume is mounted. */
async function grow(t: ExecutionContext, a: Node, b: Node, c: Node): Promise<void> {
  await Promise.all([
    steps(a, adds(THEIRS, c), `${THEIRS} register-cluster ${CLUSTER}`),
    steps(b, adds(OURS, c), `o2cb register-cluster ${CLUSTER}`),
    steps(c, ...makes(THEIRS, [a, b, c]), "o2cb load", `${THEIRS} register-cluster ${CLUSTER}`),
  ]);
  const check = async (node: Node): Promise<void> => {
    t.deepEqual(await members(node), ["n1", "n2", "n3"]);
    const listing = (tool: Tool): Promise<string> =>
      steps(node, `${tool} list-nodes --oneline ${CLUSTER}`, `${tool} list-cluster ${CLUSTER}`);
    t.is(await listing(OURS), await listing(THEIRS), "both read the file alike");
  };
  await Promise.all([c.run([PEER_MOUNT, "/dev/vda", "/vol", "-o", "rw"]), ...[a, b, c].map(check)]);
  await crossRead([a, b, c]);
}

async function takeDown(t: ExecutionContext, a: Node, b: Node): Promise<void> {
  const still = await b.try([THEIRS, "unregister-cluster", CLUSTER]);
  t.not(still.status, 0, "a volume is mounted");
  t.regex((await refused(b, "unregister-cluster", CLUSTER)).message, /heartbeat region/);
  const left = `[ "$(ls /sys/kernel/config/cluster/${CLUSTER}/node | tr '\\n' ' ')" = "n1 n2 " ]`;
  await Promise.all([
    steps(
      a,
      "umount /vol",
      `${THEIRS} remove-node ${CLUSTER} n3`,
      `o2cb register-cluster ${CLUSTER}`,
      left,
      `${THEIRS} unregister-cluster ${CLUSTER}`,
    ),
    steps(
      b,
      "umount /vol",
      `o2cb remove-node ${CLUSTER} n3`,
      `${THEIRS} register-cluster ${CLUSTER}`,
      left,
      "o2cb offline",
    ),
  ]);
  const check = async (node: Node): Promise<void> => {
    await node.assertNothingLeft();
    t.deepEqual(await registration(node), {});
    t.false(await isOnline(node));
    t.is((await node.try([THEIRS, "cluster-status", CLUSTER])).status, 1);
    t.deepEqual((await ours(node, "offline")).writes, []);
  };
  await Promise.all([a, b].map(check));
}

/** What the C tool makes, with status 0, on a host that is none of the nodes: ours sees that, refuses the same, and mends it. */
async function halfRegistered(t: ExecutionContext, node: Node): Promise<void> {
  await steps(node, "hostname strange", `${THEIRS} register-cluster ${CLUSTER}`);
  t.deepEqual(await members(node), ["n1", "n2"]);
  t.false(await isOnline(node));
  t.regex((await refused(node, "online")).message, /none of the 2 nodes .* is this host, .*'strange'/);
  await steps(node, `hostname ${node.name}`);
  await ours(node, "online");
  t.true(await isOnline(node));
  t.like(await registration(node), { "lab/node/n1/local": "1", "lab/node/n2/local": "0" });
  await steps(node, `${THEIRS} unregister-cluster ${CLUSTER}`);
}
