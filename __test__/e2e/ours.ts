// What the scenarios share: nodes with a registered cluster and our helpers in /sbin, volumes, and counts as the peer sees them.
//
// The helpers are installed inside each machine with `install-helpers --divert`, as a user would, beside the peer's own tools.
import { fileURLToPath } from "node:url";
import { Lab, type LabOptions } from "./vm/lab.ts";
import type { Node } from "./vm/node.ts";

/** The repository, with a slash at its end. */
export const root = fileURLToPath(new URL("../../", import.meta.url));
export const CLUSTER = "lab";
/** Where `--divert` keeps the C tool. */
export const PEER_MOUNT = "/sbin/mount.ocfs2.distrib";

export interface Prepared {
  lab: Lab;
  nodes: readonly Node[];
}

/** Boots, loads, registers, installs; `hbCtlPath` is who leaves: nobody by default. */
export async function bootPrepared(
  t: { log: (text: string) => void },
  options: LabOptions & { hbCtlPath?: string; install?: boolean },
): Promise<Prepared> {
  const lab = await Lab.boot({ log: (line) => t.log(line), ...options });
  try {
    await Promise.all(lab.nodes.map((node) => prepareNode(node, options)));
  } catch (error) {
    lab.keep();
    await lab.close();
    throw error;
  }
  return { lab, nodes: lab.nodes };
}

/** A node with its modules, a registered cluster and our helpers. */
export async function prepareNode(
  node: Node,
  options: { hbCtlPath?: string; install?: boolean } = {},
): Promise<void> {
  await node.loadOcfs2();
  await node.mountControl();
  await node.writeClusterConf(CLUSTER);
  await node.registerCluster(CLUSTER);
  await node.setHbCtlPath(options.hbCtlPath ?? "/bin/true");
  if (options.install !== false) await installHelpers(node);
}

export async function installHelpers(node: Node): Promise<void> {
  // The installed package's command: unlike the npm script it builds nothing, which would take minutes in a machine.
  await node.run(["node", `${root}bin/ocfs2-group.js`, "install-helpers", "--divert"], { limitSeconds: 120 });
}

export interface FormatOptions {
  cluster?: string;
  stack?: string;
  more?: string;
  slots?: number;
}

/** Formats with the peer's mkfs.ocfs2 and returns the UUID as a region is named. */
export async function format(node: Node, device: string, options: FormatOptions = {}): Promise<string> {
  const { cluster = CLUSTER, stack = "o2cb", more = "", slots = 4 } = options;
  const stamp = stack === "" ? "" : `--cluster-stack=${stack} --cluster-name=${cluster}`;
  await node.run(
    `mkfs.ocfs2 -F -x -q -b 4096 -C 4096 -J size=4M -N ${slots} -L ${device.slice(5)} ${stamp} ${more} ${device} </dev/null`,
  );
  return uuidOf(node, device);
}

export async function uuidOf(node: Node, device: string): Promise<string> {
  const { stdout } = await node.run(`debugfs.ocfs2 -R stats ${device}`);
  const uuid = /UUID: ([0-9A-F]{32})/.exec(stdout)?.[1];
  if (uuid === undefined) throw new Error(`no UUID in:\n${stdout}`);
  return uuid;
}

/** The peer's count of references on a region; asking creates an empty set where there is none, so ask only of living regions. */
export async function peerReferences(node: Node, uuid: string): Promise<number> {
  const { stdout } = await node.run(["ocfs2_hb_ctl", "-I", "-u", uuid]);
  return Number(/: (\d+) refs/.exec(stdout)?.[1] ?? Number.NaN);
}

/** Fails unless fsck.ocfs2 -fn of the peer finds the volume clean. */
export async function assertCleanVolume(node: Node, device: string): Promise<void> {
  await node.run(["fsck.ocfs2", "-fn", device]);
}
