// Nodes of a userspace cluster stack: corosync and dlm_controld run in each machine, as Debian packages them.
//
// Facts relied on: userspace-stack 9.2 (the recipe) and 9.5 (what dlm_controld writes into configfs). There is no udev in a machine: with
// /dev/misc as /dev itself every device of the DLM is where its rules would link it, those of lockspaces that are made later as well.
import type { Step } from "../../../ts/steps.ts";
import { installHelpers } from "../ours.ts";
import type { Result } from "../vm/command.ts";
import { LabError } from "../vm/errors.ts";
import { Lab, type LabOptions } from "../vm/lab.ts";
import type { Node } from "../vm/node.ts";
import { clusterServices } from "../vm/services.ts";

export const CLUSTER = "labpc";
/** How long corosync waits before a silent node is gone; shorter ones are missed under emulation. */
const TOKEN_MS = 10_000;
const CONFIG = "/etc/corosync/corosync.conf";

export interface ServiceOptions {
  /** dlm_controld's mode for file systems with a control daemon: the kernel gets no recovery callbacks */
  fscontrol?: boolean;
  /** corosync and dlm_controld are started; default true */
  start?: boolean;
}

export interface UserspaceOptions extends LabOptions, ServiceOptions {
  /** ours, diverting the C tools; default true */
  install?: boolean;
}

export interface Userspace {
  lab: Lab;
  nodes: readonly Node[];
  packages: string;
}

/** Boots machines with modules, our helpers, and both services running and quorate. */
export async function bootUserspace(
  t: { log: (text: string) => void },
  options: UserspaceOptions,
): Promise<Userspace> {
  const log = (line: string): void => t.log(line);
  const packages = await clusterServices(log);
  const lab = await Lab.boot({ log, ...options });
  try {
    await Promise.all(
      lab.nodes.map(async (node) => {
        await prepareServices(node, packages, options.nodes);
        if (options.install !== false) await installHelpers(node);
      }),
    );
    if (options.start !== false) await startServices(lab.nodes, options);
  } catch (error) {
    lab.keep();
    await lab.close();
    throw error;
  }
  return { lab, nodes: lab.nodes, packages };
}

/** What a machine needs before its services can start; two nodes of two are not needed for quorum, one is enough. */
export async function prepareServices(node: Node, packages: string, size: number): Promise<void> {
  await node.run("modprobe -a configfs ocfs2 ocfs2_stack_user");
  await node.mountControl();
  await node.run(
    `cp -a ${packages}/usr /; ldconfig
     ln -s . /dev/misc
     mkdir -p /etc/corosync /etc/dlm /var/lib/corosync /var/log/corosync /run/dlm_controld /var/log/dlm_controld
     echo /bin/true >/proc/sys/fs/ocfs2/nm/hb_ctl_path`,
    { limitSeconds: 120 },
  );
  await node.run(`cat >${CONFIG}`, { input: corosyncConf(size) });
  await node.run("cat >/etc/dlm/dlm.conf", {
    input: "enable_fencing=0\nenable_startup_fencing=0\nprotocol=tcp\n",
  });
}

function corosyncConf(size: number): string {
  const nodes = Array.from({ length: size }, (_, index) => index + 1).map(
    (id) => `  node {\n    name: n${id}\n    nodeid: ${id}\n    ring0_addr: 10.9.0.${id}\n  }\n`,
  );
  return `totem {
  version: 2
  cluster_name: ${CLUSTER}
  transport: knet
  crypto_cipher: none
  crypto_hash: none
  token: ${TOKEN_MS}
}
quorum {
  provider: corosync_votequorum
  two_node: ${size === 2 ? 1 : 0}
  wait_for_all: 0
}
nodelist {
${nodes.join("")}}
logging {
  to_logfile: yes
  to_syslog: no
  to_stderr: no
  logfile: /var/log/corosync/corosync.log
}
`;
}

/** Has both nodes of two be needed for quorum, or one again; corosync reads it anew where it runs. */
export async function needBoth(nodes: readonly Node[], both: boolean): Promise<void> {
  const change = `s/two_node: [01]/two_node: ${both ? 0 : 1}/`;
  await Promise.all(nodes.map((node) => node.run(["sed", "-i", change, CONFIG])));
  const wanted = both ? 2 : 1;
  for (const node of nodes)
    await node.run(
      `if pgrep -x corosync >/dev/null; then
         corosync-cfgtool -R >/dev/null
         until corosync-quorumtool -s 2>/dev/null | grep -q '^Quorum: *${wanted} '; do sleep 0.1; done
       fi`,
      { limitSeconds: 60 },
    );
}

export async function startCorosync(node: Node): Promise<void> {
  // Its descriptors are not the command's, which would wait for their end.
  await node.run(
    `setsid corosync -f </dev/null >/var/log/corosync/out 2>&1 &
     until corosync-cmapctl -g totem.cluster_name >/dev/null 2>&1; do kill -0 $! || exit 1; sleep 0.1; done`,
  );
}

/** Ends when the kernel has the cluster's settings. */
export async function startDlmControld(
  node: Node,
  { fscontrol = false }: ServiceOptions = {},
): Promise<void> {
  const mode = fscontrol ? "--enable_fscontrol=1" : "";
  const ready = fscontrol ? "-e $dlm/recover_callbacks" : '-n "$(cat $dlm/cluster_name 2>/dev/null)"';
  await node.run(
    `dlm=/sys/kernel/config/dlm/cluster
     setsid dlm_controld --foreground ${mode} </dev/null >/var/log/dlm_controld/out 2>&1 &
     until dlm_tool status >/dev/null 2>&1 && [ ${ready} ]; do kill -0 $! || exit 1; sleep 0.1; done`,
  );
}

/** Ends both services of a node in order, as their units do; nothing of the DLM may be in use. */
export async function stopServices(node: Node): Promise<void> {
  await node.run(
    `pkill -x dlm_controld; while pgrep -x dlm_controld >/dev/null; do sleep 0.1; done
     pkill -x corosync; while pgrep -x corosync >/dev/null; do sleep 0.1; done`,
    { limitSeconds: 60 },
  );
}

/** Both services on all nodes, all nodes seen by each. */
export async function startServices(nodes: readonly Node[], options: ServiceOptions = {}): Promise<void> {
  await Promise.all(nodes.map((node) => startCorosync(node)));
  await Promise.all(nodes.map((node) => waitForMembers(node, nodes.length)));
  await Promise.all(nodes.map((node) => startDlmControld(node, options)));
}

export async function waitForMembers(node: Node, count: number): Promise<void> {
  await node.run(
    `until [ "$(corosync-quorumtool -l 2>/dev/null | grep -c '^ *[0-9]')" = ${count} ]; do sleep 0.2; done`,
    { limitSeconds: 120 },
  );
}

export async function waitForQuorum(node: Node, quorate: boolean): Promise<void> {
  await node.run(
    `until corosync-quorumtool -s 2>/dev/null | grep -q '^Quorate: *${quorate ? "Yes" : "No"}'; do sleep 0.1; done`,
    { limitSeconds: 60 },
  );
}

/** Fails, naming it, if anything of a user stack is held on a node: a mount, a lockspace, a lock of ours on a volume. */
export async function assertNothingHeld(node: Node): Promise<void> {
  const { stdout } = await node.run(
    `grep -h ' ocfs2 ' /proc/mounts; ls /sys/kernel/dlm 2>/dev/null; ls /run/ocfs2-group/joins 2>/dev/null; true`,
  );
  if (stdout !== "")
    throw new LabError("left", `${node.name}: nothing should be held, but there is\n${stdout}`);
  await node.assertNothingLeft();
}

/** What a command with --json says, line by line, and its last line. */
export interface Told {
  status: number;
  stderr: string;
  steps: Step[];
  result: Record<string, unknown> | undefined;
  error: { code: string; message: string; remedy?: string; errnoName?: string } | undefined;
}

export function told({ status, stdout, stderr }: Pick<Result, "status" | "stdout" | "stderr">): Told {
  const lines = stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const last = lines.at(-1) ?? {};
  return {
    status,
    stderr,
    steps: lines.filter((line) => "step" in line) as unknown as Step[],
    result: last["result"] as Told["result"],
    error: last["error"] as Told["error"],
  };
}

/** Runs our mount.ocfs2 with --json. */
export async function mountJson(
  node: Node,
  device: string,
  directory: string,
  options = "rw",
): Promise<Told> {
  return told(await node.try(["/sbin/mount.ocfs2", device, directory, "-o", options, "--json"]));
}

/** The two nodes of a lab that has booted. */
export function pairOf({ nodes }: Pick<Userspace, "nodes">): [Node, Node] {
  const [a, b] = nodes;
  if (a === undefined || b === undefined) throw new Error("two nodes are needed");
  return [a, b];
}
