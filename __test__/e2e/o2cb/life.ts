// A cluster's life by our command alone: configured, online, used, grown by a node, drained on one, and taken down.
import type { ExecutionContext } from "ava";
import { assertCleanVolume, CLUSTER, format, openFile, openNamespace } from "../ours.ts";
import type { Node } from "../vm/node.ts";
import { noOps } from "./no-ops.ts";
import {
  adds,
  crossRead,
  isOnline,
  loaded,
  makes,
  mount,
  ours,
  OURS,
  refused,
  registration,
  sees,
  steps,
  THEIRS,
  traces,
  type Three,
} from "./tools.ts";

/** Others than the kernel's own. */
const SETTINGS = `--cluster ${CLUSTER} --enable --threshold 21 --idle-ms 20000 --keepalive-ms 1500 --reconnect-ms 2500`;

export async function lifeByOurs(t: ExecutionContext, [a, b, c]: Three): Promise<void> {
  const founders = [a, b];
  const [volume] = await Promise.all([
    format(a, "/dev/vda"),
    ...founders.map((node) => steps(node, ...makes(OURS, founders), `o2cb configure ${SETTINGS}`)),
  ]);
  await bringUp(t, a, b);
  await Promise.all(founders.map((node) => mount(node, "/dev/vda")));
  await crossRead(founders);
  await Promise.all([
    noOps(t, a, b, volume),
    steps(c, ...makes(OURS, [a, b, c]), `o2cb configure ${SETTINGS}`, "o2cb start"),
  ]);
  await grow(t, founders, c);
  await drain(t, founders, c);
  await takeDown(t, [a, b, c]);
  await assertCleanVolume(a, "/dev/vda");
}

async function bringUp(t: ExecutionContext, a: Node, b: Node): Promise<void> {
  const before = await traces(a);
  const planned = await ours(a, "online", "--dry-run");
  t.is(await traces(a), before, "a dry run changes nothing");
  const [online] = await Promise.all([ours(a, "online"), ours(b, "start")]);
  t.deepEqual(online.writes, planned.writes, "the dry run has listed what the real one did, in order");
  const check = async (node: Node): Promise<void> => {
    t.deepEqual(await registration(node), {
      "lab/fence_method": "reset",
      "lab/heartbeat/dead_threshold": "21",
      "lab/heartbeat/mode": "local",
      "lab/idle_timeout_ms": "20000",
      "lab/keepalive_delay_ms": "1500",
      "lab/reconnect_delay_ms": "2500",
      ...registered(a, 0, node === a),
      ...registered(b, 1, node === b),
    });
    t.true(await isOnline(node));
    await node.run([THEIRS, "cluster-status", CLUSTER]);
  };
  await Promise.all([a, b].map(check));
  t.deepEqual((await ours(a, "online")).writes, [], "what is online is left as it is");
}

function registered({ name, address }: Node, number: number, isLocal: boolean): Record<string, string> {
  const at = `lab/node/${name}`;
  return {
    [`${at}/ipv4_address`]: address,
    [`${at}/ipv4_port`]: "7777",
    [`${at}/num`]: String(number),
    [`${at}/local`]: isLocal ? "1" : "0",
  };
}

/** A third node, online: in the file of the others, registered where the cluster runs with its volume mounted, then it joins. */
async function grow(t: ExecutionContext, founders: readonly Node[], c: Node): Promise<void> {
  const all = [...founders, c];
  await Promise.all(founders.map((node) => steps(node, adds(OURS, c), `o2cb register-cluster ${CLUSTER}`)));
  const digests = await Promise.all(all.map((node) => ours<{ sha256: string }>(node, "digest", CLUSTER)));
  t.is(new Set(digests.map(({ sha256 }) => sha256)).size, 1, "all have the same configuration");
  for (const node of founders) t.like(await registration(node), registered(c, 2, false));
  await mount(c, "/dev/vda");
  await mount(c, "/dev/vda", "/also");
  await crossRead(all);
  await Promise.all(all.map((node) => sees(node, 0, 1, 2)));
}

/** Two mount points, then a namespace with a copy of one; a volume in use is named, and nobody is killed. */
async function drain(t: ExecutionContext, founders: readonly Node[], c: Node): Promise<void> {
  const file = await openFile(c, "/vol");
  const busy = await refused(c, "drain");
  t.is(busy.code, "O2CB_UNMOUNT_FAILED");
  t.regex(busy.message, /'\/vol' cannot be unmounted: it is in use/);
  t.true(await isOnline(c));
  t.is((await c.run("cat /vol/n1")).stdout, "from n1\n");
  await file.close();
  const namespace = await openNamespace(c);
  await ours(c, "drain", CLUSTER);
  await c.assertNothingLeft();
  t.deepEqual(await registration(c), {});
  t.false(await isOnline(c));
  await c.run(["kill", "-0", namespace.pid]);
  await namespace.end();
  await Promise.all(founders.map((node) => sees(node, 0, 1)));
  await crossRead(founders);
}

async function takeDown(t: ExecutionContext, [a, b, c]: Three): Promise<void> {
  await Promise.all([
    steps(a, "umount /vol", "o2cb offline", "o2cb unload"),
    steps(b, "o2cb drain", "o2cb stop"),
    steps(c, "o2cb unload"),
  ]);
  for (const node of [a, b, c]) t.is(await loaded(node), "", `${node.name} is as before the first command`);
  for (const word of ["offline", "unload", "drain"])
    t.deepEqual((await ours(c, word)).writes, [], `${word} where nothing is`);
}
