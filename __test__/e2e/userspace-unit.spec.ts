// The unit of the control daemon under systemd, with the units of corosync and dlm_controld: it starts them, is ready when it takes clients, has
// what it needs in both of dlm_controld's modes and no more, and a stop does not kill it while a volume is mounted.
import type { ExecutionContext } from "ava";
import { format, root } from "./ours.ts";
import { scenario, shared } from "./scenario.ts";
import { CLUSTER, prepareServices } from "./userspace/cluster.ts";
import { groups, waitForGroups } from "./userspace/control-daemon.ts";
import { quote } from "./vm/command.ts";
import { Lab } from "./vm/lab.ts";
import type { Node } from "./vm/node.ts";
import { clusterServices } from "./vm/services.ts";

const UNIT = "ocfs2-controld.service";

const booted = shared(async (t: ExecutionContext) => {
  const packages = await clusterServices((line) => t.log(line));
  const lab = await Lab.boot({
    nodes: 1,
    disks: [{ mib: 200 }],
    init: "systemd",
    limitSeconds: 1500,
    log: (line) => t.log(line),
  });
  const [node] = lab.nodes as readonly [Node];
  await node.run("systemctl is-system-running --wait || true", { limitSeconds: 300 });
  await prepareServices(node, packages, 1);
  // As the packages' rules link them, which came here after the devices.
  await node.run(
    `rm -rf /dev/misc; mkdir /dev/misc
     for name in dlm-control dlm-monitor dlm_plock ocfs2_control; do ln -s ../$name /dev/misc/$name; done; ls -lL /dev/misc/`,
  );
  // The modules are there; the program that loads others does not know this kernel's.
  await dropIn(node, "dlm.service", "ExecStartPre=");
  await node.run(
    `node ${root}bin/ocfs2-group.js install-helpers --divert --units && systemctl daemon-reload`,
    {
      limitSeconds: 180,
    },
  );
  return { lab, node };
});

/** Settings of a unit that hold until the machine ends, in the place of those given before. */
async function dropIn(node: Node, unit: string, ...settings: string[]): Promise<void> {
  const directory = `/run/systemd/system/${unit}.d`;
  await node.run(
    `mkdir -p ${directory}; printf '%s\\n' '[Service]' ${settings.map(quote).join(" ")} >${directory}/lab.conf; systemctl daemon-reload`,
  );
}

const state = async (node: Node): Promise<string> =>
  (await node.try(["systemctl", "is-active", UNIT])).stdout.trim();
const log = async (node: Node): Promise<string> =>
  (await node.run(["journalctl", "-o", "cat", "-u", UNIT, "-u", "dlm.service", "-u", "corosync.service"]))
    .stdout;

async function start(node: Node): Promise<void> {
  const { status } = await node.try(["systemctl", "start", UNIT], { limitSeconds: 180 });
  if (status !== 0 || (await state(node)) !== "active") throw new Error(await log(node));
}

let uuid = "";

scenario(
  "it brings corosync and dlm_controld along, and a volume of the stack cman is mounted",
  async (t) => {
    t.timeout(900_000);
    const { node } = booted.get();
    await node.run("mkdir -p /vol; echo cman >/sys/fs/ocfs2/cluster_stack");
    await start(node);
    t.deepEqual(
      (await node.run("systemctl is-active corosync.service dlm.service")).stdout,
      "active\nactive\n",
    );
    uuid = await format(node, "/dev/vda", { stack: "cman", cluster: CLUSTER });
    await node.run("mount -t ocfs2 /dev/vda /vol");
    t.deepEqual(await groups(node, CLUSTER), [uuid]);
  },
);

scenario("a stop while it is mounted kills nobody, and says what to do", async (t) => {
  t.timeout(300_000);
  const { node } = booted.get();
  await dropIn(node, UNIT, "TimeoutStopSec=5");
  const pid = (await node.run(["systemctl", "show", "--value", "-p", "MainPID", UNIT])).stdout.trim();
  await node.try(["systemctl", "stop", UNIT], { limitSeconds: 60 });
  await node.run(["kill", "-0", pid]);
  t.regex(await log(node), /SIGTERM is ignored: .*unmount them first/);
  t.deepEqual(await groups(node, CLUSTER), [uuid]);
  await node.run("umount /vol");
  await waitForGroups(node, CLUSTER, 0);
  await node.run(`kill ${pid}; while kill -0 ${pid} 2>/dev/null; do sleep 0.1; done`);
  await node.try(["systemctl", "reset-failed", UNIT]);
});

scenario(
  "in the mode without recovery callbacks it is refused for good; without recovery it opens the control device",
  async (t) => {
    t.timeout(600_000);
    const { node } = booted.get();
    await node.run("systemctl stop dlm.service; echo pcmk >/sys/fs/ocfs2/cluster_stack", {
      limitSeconds: 60,
    });
    const fscontrol = "ExecStart=/usr/sbin/dlm_controld --foreground --enable_fscontrol=1";
    await dropIn(node, "dlm.service", "ExecStartPre=", "ExecStart=", fscontrol);
    await node.try(["systemctl", "start", UNIT], { limitSeconds: 120 });
    t.is(await state(node), "failed", "it is not started again and again");
    t.is((await node.run(["systemctl", "show", "--value", "-p", "ExecMainStatus", UNIT])).stdout.trim(), "6");
    t.regex(await log(node), /CONFIG_FORTIFY_SOURCE/);
    await dropIn(node, UNIT, "ExecStart=", "ExecStart=/sbin/ocfs2_controld --foreground --without-recovery");
    await node.run(["systemctl", "reset-failed", UNIT]);
    await start(node);
    uuid = await format(node, "/dev/vda", { stack: "pcmk", cluster: CLUSTER });
    await node.run("mount -t ocfs2 /dev/vda /vol && echo x >/vol/file");
    t.deepEqual(await groups(node, CLUSTER), [uuid]);
    await node.run("umount /vol");
    await waitForGroups(node, CLUSTER, 0);
    await node.run(["systemctl", "stop", UNIT]);
    t.is(await state(node), "inactive");
  },
);
