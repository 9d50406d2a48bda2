// What the kernel takes, answers with success and ignores, or refuses, while a cluster runs: our commands tell each, and
// nothing changes.
//
// Facts relied on: kernel-abi 1.3 (idle and keepalive stand still while a peer is connected), 1.5 (threshold and mode while a region
// exists, in silence), 4 (the stack while it is in use).
import type { ExecutionContext } from "ava";
import { CLUSTER } from "../ours.ts";
import type { Node } from "../vm/node.ts";
import { ours, refused, registration, steps } from "./tools.ts";

const DIRECTORY = `/sys/kernel/config/cluster/${CLUSTER}`;

/** `a` has the volume mounted, and is connected to `peer`. */
export async function noOps(t: ExecutionContext, a: Node, peer: Node, volume: string): Promise<void> {
  const before = await registration(a);
  await trap(t, a, "heartbeat/dead_threshold", "41");
  await trap(t, a, "heartbeat/mode", "global");

  const [region, connected] = [new RegExp(`ignores it.*${volume}`), /could not be set.* is connected/];
  for (const [option, value, sentence] of [
    ["--threshold", "41", region],
    ["--dead-seconds", "90", region],
    ["--idle-ms", "45000", connected],
    ["--keepalive-ms", "1000", connected],
  ] as const) {
    const { code, message } = await refused(a, "timeouts", option, value);
    t.is(code, "O2CB_REGION_IN_USE", message);
    t.regex(message, sentence);
  }
  t.is((await refused(a, "timeouts", "--threshold", "2")).code, "O2CB_CONFIGURATION_ERROR");

  await steps(a, `o2cb heartbeat-mode ${CLUSTER} global`, `o2cb add-heartbeat ${CLUSTER} /dev/vda`);
  for (const words of [["register-cluster", CLUSTER], ["online"]]) {
    const { code, message } = await refused(a, ...words);
    t.is(code, "O2CB_REGION_IN_USE", message);
    t.regex(message, new RegExp(`cannot change to global.*${volume}`));
  }
  await steps(a, `o2cb remove-heartbeat ${CLUSTER} ${volume}`, `o2cb heartbeat-mode ${CLUSTER} local`);

  await steps(a, "o2cb configure --stack pcmk");
  const stack = await refused(a, "online");
  t.is(stack.code, "O2CB_INVALID_STACK_NAME");
  t.regex(
    stack.message,
    /cannot become 'pcmk': it is 'o2cb', cluster '.*', and it is in use by the mount of/,
  );
  t.is(await steps(a, "cat /sys/fs/ocfs2/cluster_stack"), "o2cb\n");

  await steps(a, "o2cb configure --stack o2cb --threshold 41 --idle-ms 25000");
  const { status, stderr } = await a.try(["o2cb", "online"]);
  t.is(status, 0, "an online node is no failure");
  t.regex(stderr, /deadThreshold stays 21 and does not become 41: .*ignores it/);
  t.regex(stderr, /idleMs stays 20000 and does not become 25000: .*connected/);
  await steps(a, "o2cb configure --threshold 21 --idle-ms 20000");

  t.regex(
    (await apply(a, peer, { timeouts: { deadThreshold: 41 } })).message,
    /set the dead threshold to 41/,
  );
  t.regex((await apply(a, peer, { cluster: { mode: "global", heartbeats: [volume] } })).message, /to global/);
  t.deepEqual(await registration(a), before);

  await ours(a, "timeouts", "--reconnect-ms", "3000");
  t.like(
    await registration(a),
    { [`${CLUSTER}/reconnect_delay_ms`]: "3000" },
    "it can be changed at any time",
  );
  await ours(a, "timeouts", "--reconnect-ms", "2500");
}

/** The kernel is as it is said to be: it answers with success, and changes nothing. */
async function trap(t: ExecutionContext, node: Node, file: string, value: string): Promise<void> {
  const before = await steps(node, `cat ${DIRECTORY}/${file}`);
  t.not(before, `${value}\n`);
  t.is(await steps(node, `echo ${value} >${DIRECTORY}/${file}`, `cat ${DIRECTORY}/${file}`), before);
}

async function apply(a: Node, b: Node, more: { cluster?: object; timeouts?: object }) {
  const nodes = [a, b].map(({ name, address }, number) => ({ name, number, address, port: 7777 }));
  const desired = { ...more, cluster: { name: CLUSTER, mode: "local", nodes, ...more.cluster } };
  await a.run("cat >/root/desired.json", { input: JSON.stringify(desired) });
  return refused(a, "apply", "/root/desired.json");
}
