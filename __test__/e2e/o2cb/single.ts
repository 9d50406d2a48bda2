// What one node can show by itself: hb_ctl_path over load and unload, the doctor's findings, apply from nothing, global heartbeat.
import type { ExecutionContext } from "ava";
import type { Finding } from "../../../ts/cluster/doctor.ts";
import type { Plan } from "../../../ts/cluster/plan-types.ts";
import { CLUSTER, format } from "../ours.ts";
import type { Node } from "../vm/node.ts";
import {
  adds,
  isOnline,
  loaded,
  makes,
  mount,
  ours,
  OURS,
  registration,
  steps,
  THEIRS,
  traces,
  type Written,
} from "./tools.ts";

const SAVED = "/run/ocfs2-group/hb_ctl_path";
const OTHER = "/opt/tools-1.2/ocfs2_hb_ctl";

/** A volume of one node keeps the module, and with it the setting, over an unload. */
export async function leavingProgram(t: ExecutionContext, node: Node, device: string): Promise<void> {
  await steps(
    node,
    `mkfs.ocfs2 -F -x -q -b 4096 -C 4096 -J size=4M -M local ${device} </dev/null`,
    "modprobe ocfs2",
    `mount -t ocfs2 ${device} /also`,
  );
  await node.setHbCtlPath(OTHER);
  for (const [leave, program] of [
    ["umount", "/bin/true"],
    ["kernel", "/sbin/ocfs2_hb_ctl"],
  ] as const) {
    await steps(node, `o2cb configure --leave ${leave}`, "o2cb load", "o2cb load");
    t.is(await node.hbCtlPath(), program);
    t.is(await steps(node, `cat ${SAVED}`), `${OTHER}\n${program}\n`);
    await ours(node, "unload");
    t.is(await node.hbCtlPath(), OTHER, "as it was before");
    t.is((await node.try(["test", "-e", SAVED])).status, 1);
  }
  await ours(node, "load");
  await node.setHbCtlPath("/opt/another");
  await ours(node, "unload");
  t.is(await node.hbCtlPath(), "/opt/another", "what somebody else has set meanwhile stays");
  await steps(node, "umount /also", "o2cb unload", "rm /etc/default/o2cb");
  t.is(await loaded(node), "");
}

/** Good, then with four faults at a time: one volume is another cluster's. */
export async function doctor(
  t: ExecutionContext,
  node: Node,
  { own, foreign }: { own: string; foreign: string },
): Promise<void> {
  const [orphan] = await Promise.all([
    format(node, own),
    format(node, foreign, { cluster: "other" }),
    steps(
      node,
      "sysctl -q kernel.panic_on_oops=1 kernel.panic=30",
      ...makes(OURS, [node]),
      `o2cb configure --cluster ${CLUSTER} --enable`,
      "o2cb online",
    ),
  ]);
  await mount(node, own);
  const good = await ours<{ findings: Finding[] }>(node, "doctor", "--device", own);
  t.deepEqual(
    good.findings.filter(({ state }) => state !== "good"),
    [],
  );
  t.true(good.findings.length > 25, `${good.findings.length} findings`);

  await node.run(["umount", "-i", "/vol"]);
  await node.setHbCtlPath("/opt/gone");
  await steps(node, "hostname strange");
  const { status, stdout } = await node.try(["o2cb", "doctor", "--json", "--device", foreign]);
  t.is(status, 1);
  const { findings } = (JSON.parse(stdout) as { result: { findings: Finding[] } }).result;
  const bad = findings.filter(({ state }) => state !== "good");
  const found = (check: string) => bad.find((one) => one.check === check);
  t.deepEqual(bad.map(({ check, state }) => `${check}: ${state}`).toSorted(), [
    "hb-ctl-path: failure",
    "host-name: failure",
    "leftovers: warning",
    "volume-stamp: failure",
  ]);
  t.regex(found("hb-ctl-path")?.evidence ?? "", /\/opt\/gone .*no such program/);
  t.regex(found("host-name")?.evidence ?? "", /'strange'.*'n\d'/);
  t.like(found("volume-stamp"), { subject: foreign });
  t.regex(found("volume-stamp")?.evidence ?? "", /cluster 'other'.*cluster 'lab'/);
  t.like(found("leftovers"), { subject: orphan });
  for (const { remedy } of bad) t.truthy(remedy);

  // Nobody counts on the orphan, which is proven: offline clears it. It takes no host's name.
  await steps(node, `hostname ${node.name}`);
  await ours(node, "offline");
  await node.assertNothingLeft();
  await ours(node, "unload");
}

/** From a host with nothing to an online one, by a file. */
export async function apply(t: ExecutionContext, node: Node): Promise<void> {
  const { name, address } = node;
  const desired = {
    cluster: { name: CLUSTER, mode: "local", nodes: [{ name, number: 5, address, port: 7778 }] },
    timeouts: { deadSeconds: 90, idleMs: 60_000, keepaliveMs: 3000, fenceMethod: "panic" },
    enabled: true,
    online: true,
  };
  type Applied = Written & { plan: Plan };
  await node.run("cat >/root/desired.json", { input: JSON.stringify(desired) });
  const before = await traces(node);
  const planned = await ours<Applied>(node, "apply", "--dry-run", "/root/desired.json");
  t.is(await traces(node), before);
  const first = await ours<Applied>(node, "apply", "/root/desired.json");
  t.deepEqual(first.plan, planned.plan);
  t.deepEqual(first.writes.slice(0, planned.writes.length), planned.writes);
  t.true(await isOnline(node));
  t.like(await registration(node), {
    "lab/heartbeat/dead_threshold": "46",
    "lab/idle_timeout_ms": "60000",
    "lab/keepalive_delay_ms": "3000",
    "lab/fence_method": "panic",
    [`lab/node/${name}/num`]: "5",
    [`lab/node/${name}/ipv4_port`]: "7778",
    [`lab/node/${name}/local`]: "1",
  });
  t.deepEqual((await ours(node, "online")).writes, [], "the files say the same");
  const again = await ours<Applied>(node, "apply", "/root/desired.json");
  t.deepEqual([again.plan.diff, again.plan.steps, again.writes], [[], [], []]);
  t.is((await node.run(["o2cb", "apply", "/root/desired.json"])).stdout, "nothing to do\n");
  await steps(node, "o2cb stop", "rm /etc/default/o2cb");
}

/** Global heartbeat: started by ours, stopped and started by theirs, taken down by ours. */
export async function globalHeartbeat(t: ExecutionContext, node: Node, device: string): Promise<void> {
  await steps(
    node,
    `mkfs.ocfs2 -F -x -q -H --cluster-stack=o2cb --cluster-name=${CLUSTER} --global-heartbeat ${device} </dev/null`,
    `o2cb add-cluster ${CLUSTER}`,
    adds(OURS, node, 7),
    `o2cb heartbeat-mode ${CLUSTER} global`,
    `o2cb add-heartbeat ${CLUSTER} ${device}`,
  );
  const planned = await ours(node, "online", "--dry-run");
  t.deepEqual((await ours(node, "online")).writes, planned.writes);
  await steps(node, `${THEIRS} cluster-status ${CLUSTER}`, `${THEIRS} stop-heartbeat ${CLUSTER}`);
  t.false(await isOnline(node), "without its region");
  t.deepEqual(await node.semaphoreSets(), []);
  await steps(node, `${THEIRS} start-heartbeat ${CLUSTER}`);
  t.true(await isOnline(node));
  t.deepEqual((await ours(node, "online")).writes, []);
  await ours(node, "offline");
  await node.assertNothingLeft();
  await ours(node, "unload");
}
