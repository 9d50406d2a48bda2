// What the scenarios of o2cb share: our command and the C tool's, and what the machine has, read without either.
//
// Facts relied on: --divert keeps the C tool beside ours; configfs as kernel-abi 1.2 lays it out.
import type { KernelWrite } from "../../../ts/cluster/writes.ts";
import { CLUSTER } from "../ours.ts";
import { LabError } from "../vm/errors.ts";
import type { Node } from "../vm/node.ts";

export const OURS = "o2cb";
export const THEIRS = "/sbin/o2cb.distrib";
export type Tool = typeof OURS | typeof THEIRS;
export type Three = readonly [Node, Node, Node];

/** The result of a command that changes something. */
export interface Written {
  dryRun: boolean;
  writes: KernelWrite[];
}

export interface Failure {
  code: string;
  message: string;
  remedy?: string;
}

/** Runs our command with --json and returns its result; fails unless its status is 0. */
export async function ours<T = Written>(node: Node, ...words: string[]): Promise<T> {
  const { result, said } = await ask<T>(node, words);
  if (result === undefined) throw new LabError("command", said);
  return result;
}

/** Runs our command with --json, which has to fail with status 1, and returns the error. */
export async function refused(node: Node, ...words: string[]): Promise<Failure> {
  const { error, said } = await ask(node, words);
  if (error === undefined) throw new LabError("command", `It should have failed: ${said}`);
  return error;
}

async function ask<T>(node: Node, words: string[]): Promise<{ result?: T; error?: Failure; said: string }> {
  const { status, stdout, stderr } = await node.try([OURS, ...words, "--json"]);
  const said = `${node.name}: o2cb ${words.join(" ")}: status ${status}\n${stdout}${stderr}`;
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  const { result, error } = (last.startsWith("{") ? JSON.parse(last) : {}) as { result?: T; error?: Failure };
  return {
    said,
    ...(status === 0 && result !== undefined && { result }),
    ...(status === 1 && error !== undefined && { error }),
  };
}

/** Commands of the shell, one after the other; each has to succeed. */
export async function steps(node: Node, ...lines: string[]): Promise<string> {
  return (await node.run(`set -e\n${lines.join("\n")}`)).stdout;
}

/** What adds a node to the file; without a number the tool gives it the lowest one that is free. */
export function adds(tool: Tool, node: Node, number?: number): string {
  const numbered = number === undefined ? "" : `--number ${number} `;
  return `${tool} add-node --ip ${node.address} ${numbered}${CLUSTER} ${node.name}`;
}

export function makes(tool: Tool, nodes: readonly Node[]): string[] {
  return [`${tool} add-cluster ${CLUSTER}`, ...nodes.map((node) => adds(tool, node))];
}

/** The registered clusters with every attribute that has a value: `lab/node/n1/num` -> `0`. */
export async function registration(node: Node): Promise<Record<string, string>> {
  const { stdout } = await node.try("cd /sys/kernel/config/cluster 2>/dev/null && grep -rs . .");
  const lines = stdout.split("\n").filter((line) => line !== "");
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf(":");
      return [line.slice(2, at), line.slice(at + 1)];
    }),
  );
}

/** The names of the registered nodes. */
export async function members(node: Node): Promise<string[]> {
  return (await steps(node, `ls /sys/kernel/config/cluster/${CLUSTER}/node`)).split("\n").filter(Boolean);
}

/** Everything that a command of the cluster may change, for a look before and after. */
export async function traces(node: Node): Promise<string> {
  const { stdout } = await node.run(
    [
      "grep -oE '^(configfs|ocfs2)[a-z0-9_]*' /proc/modules | sort",
      "grep -E 'configfs|debugfs|ocfs2' /proc/mounts",
      "find /sys/kernel/config/cluster /run/ocfs2-group /dlm 2>/dev/null",
      "cat /etc/ocfs2/cluster.conf /etc/default/o2cb 2>/dev/null",
      "cat /proc/sys/fs/ocfs2/nm/hb_ctl_path /sys/fs/ocfs2/cluster_stack 2>/dev/null",
      // Keys and sizes; the rest changes with each look.
      "awk '{ print $1, $4 }' /proc/sysvipc/sem",
    ].join("\n"),
  );
  return stdout;
}

/** Which modules of ocfs2 are loaded, and where its file systems are mounted. */
export async function loaded(node: Node): Promise<string> {
  const { stdout } = await node.run(
    "grep -oE '^ocfs2[a-z0-9_]*' /proc/modules; grep -E 'configfs|ocfs2' /proc/mounts; true",
  );
  return stdout;
}

/** A machine as it was after its boot, whatever a scenario left; the installed commands stay. */
export async function fresh(node: Node): Promise<void> {
  await node.reset();
  await steps(
    node,
    `hostname ${node.name}`,
    // Debian's own settings are the host's.
    "rm -rf /etc/ocfs2/cluster.conf /etc/default/o2cb",
    "[ ! -d /sys/module/ocfs2_stackglue ] || o2cb unload",
    "mkdir -p /vol /also",
  );
}

export async function isOnline(node: Node): Promise<boolean> {
  const { status, stdout } = await node.try([OURS, "online-status", CLUSTER]);
  if (stdout !== (status === 0 ? "online\n" : "offline\n") || status > 1)
    throw new LabError("command", `${node.name}: online-status says ${stdout}with status ${status}`);
  return status === 0;
}

/** Waits until a node sees these numbers beat, and no others. */
export async function sees(node: Node, ...numbers: number[]): Promise<void> {
  const file = "/sys/kernel/debug/o2hb/livenodes";
  await node.run(`until read -r line <${file}; [ "$line" = "${numbers.join(" ")}" ]; do sleep 0.1; done`);
}

export async function mount(node: Node, device: string, directory = "/vol"): Promise<void> {
  await node.run(["mount", "-t", "ocfs2", device, directory]);
}

/** Each writes a file, and each reads those of all. */
export async function crossRead(nodes: readonly Node[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.run(`echo "from ${node.name}" >/vol/${node.name}`)));
  const look = nodes.map(({ name }) => `grep -qx 'from ${name}' /vol/${name}`);
  await Promise.all(nodes.map((node) => steps(node, ...look)));
}
