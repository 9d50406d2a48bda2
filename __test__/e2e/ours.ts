// What the scenarios share: nodes with a registered cluster and our helpers in /sbin, volumes, and counts as the peer sees them.
//
// The helpers are installed inside each machine with `install-helpers --divert`, as a user would, beside the peer's own tools.
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import type { Audit, ReapPlan, ReapResult, RegionAudit } from "../../ts/region/audit-types.ts";
import { LabError } from "./vm/errors.ts";
import { Lab, type LabOptions } from "./vm/lab.ts";
import type { Node } from "./vm/node.ts";

/** The repository, with a slash at its end. */
export const root = fileURLToPath(new URL("../../", import.meta.url));
export const CLUSTER = "lab";
/** Where `--divert` keeps the C tool. */
export const PEER_MOUNT = "/sbin/mount.ocfs2.distrib";
export const PEER_HB_CTL = "/sbin/ocfs2_hb_ctl.distrib";
export const PEER_TUNEFS = "/sbin/tunefs.ocfs2.distrib";
export const PEER_MOUNTED = "/sbin/mounted.ocfs2.distrib";
/** Who leaves at the end of a superblock: nobody by itself, or the kernel through our ocfs2_hb_ctl. */
export const NOBODY_LEAVES = "/bin/true";
export const KERNEL_LEAVES = "/sbin/ocfs2_hb_ctl";
const scripts = `${root}__test__/e2e/guest-scripts`;
/** Single system calls in a machine; see the script's head. */
export const kernelCall = (...words: string[]): string[] => ["perl", `${scripts}/kernel-calls.pl`, ...words];

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
  // Where ours is installed the peer's is put aside.
  const { stdout } = await node.run(
    `peer=${PEER_HB_CTL}; [ -e $peer ] || peer=ocfs2_hb_ctl; $peer -I -u ${uuid}`,
  );
  return Number(/: (\d+) refs/.exec(stdout)?.[1] ?? Number.NaN);
}

/** Fails unless fsck.ocfs2 -fn of the peer finds the volume clean. */
export async function assertCleanVolume(node: Node, device: string): Promise<void> {
  await node.run(["fsck.ocfs2", "-fn", device]);
}

/** A volume as the scenarios speak of it. */
export interface VolumeName {
  uuid: string;
  /** /dev/vda */
  device: string;
}

/** What the kernel holds for one volume, and our notes of it. */
export interface VolumeState {
  region: boolean;
  /** what the region beats on; "" where it has not begun to */
  dev: string | null;
  elapsedMs: number | null;
  hasSet: boolean;
  references: number;
  superblock: boolean;
  domain: boolean;
  /** mount points in the machine's first namespace */
  mounts: string[];
  records: string[];
}

export async function volumeState(node: Node, { uuid, device }: VolumeName): Promise<VolumeState> {
  // The key of a region's semaphore set is a checksum of its name (group-api 3.6).
  const key = String(crc32(uuid) | 0);
  const { stdout } = await node.run(["perl", `${scripts}/volume-state.pl`, uuid, key, device.slice(5)]);
  return JSON.parse(stdout) as VolumeState;
}

/** One phrase for each thing that is held for a volume. */
export function heldOf(state: VolumeState): string[] {
  return [
    ...state.mounts.map((directory) => `the mount on ${directory}`),
    ...(state.superblock ? ["the superblock"] : []),
    ...(state.domain ? ["the DLM domain"] : []),
    ...(state.region ? [`the region, beating on '${state.dev ?? ""}'`] : []),
    ...(state.hasSet ? [`the semaphore set, with ${state.references} references`] : []),
    ...state.records.map((name) => `the record ${name}`),
  ];
}

/** Fails, naming it, if anything is held for this volume: Node.assertNothingLeft() for one of several. */
export async function assertVolumeFree(node: Node, volume: VolumeName): Promise<void> {
  const held = heldOf(await volumeState(node, volume));
  if (held.length > 0)
    throw new LabError(
      "left",
      `${node.name}: nothing should be held for ${volume.device}, but there is ${held.join("; ")}.`,
    );
}

/** Runs ocfs2_hb_ctl with --json and returns the result that is on its last line, whatever its status. */
async function hbCtl<T>(node: Node, ...words: string[]): Promise<T> {
  const command = [KERNEL_LEAVES, ...words, "--json"];
  const { status, stdout, stderr } = await node.try(command);
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  const { result } = JSON.parse(last.startsWith("{") ? last : "{}") as { result?: T };
  if (result === undefined)
    throw new LabError("command", `${node.name}: ${command.join(" ")}: status ${status}\n${stdout}${stderr}`);
  return result;
}

/** The audit of the whole machine, by the command. */
export function auditAll(node: Node): Promise<Audit> {
  return hbCtl(node, "--audit");
}

/** What the audit says of one region; its verdict is `absent` where nothing of it is there. */
export async function auditOf(node: Node, uuid: string): Promise<RegionAudit | undefined> {
  const { regions } = await hbCtl<Audit>(node, "--audit", "-u", uuid);
  return regions.find(({ region }) => region === uuid);
}

export async function planReap(node: Node, uuid: string): Promise<ReapPlan> {
  return (await hbCtl<{ plan: ReapPlan }>(node, "--reap", "--dry-run", "-u", uuid)).plan;
}

export function reap(node: Node, uuid: string, ...more: "--force"[]): Promise<ReapResult> {
  return hbCtl(node, "--reap", ...more, "-u", uuid);
}

/** A process with a mount namespace of its own, made now: a copy of all mounts there are. Kill it to end the namespace. */
export async function openNamespace(node: Node): Promise<{ pid: string; end: () => Promise<void> }> {
  const holder = node.start("exec unshare -m --propagation private bash -c 'echo here; exec sleep 3600'");
  await holder.waitForOutput(/here/);
  return {
    pid: String(await holder.pid),
    async end() {
      await holder.kill("SIGKILL");
      await holder.done;
    },
  };
}

/** A process with a file open below a directory. */
export async function openFile(node: Node, directory: string): Promise<{ close: () => Promise<void> }> {
  const user = node.start(`exec 9>>${directory}/open; echo opened; exec sleep 3600`);
  await user.waitForOutput(/opened/);
  return {
    async close() {
      await user.kill("SIGKILL");
      await user.done;
    },
  };
}
