// Ready-made machines: a registered cluster, a disk with a volume, a mount point. What they contain counts as clean.
import { Cluster, ClusterNode } from "./configfs.ts";
import { ocfs2HbCtl } from "./c-tools.ts";
import { volume, type BlockDevice, type VolumeContent, type VolumeSettings } from "./device.ts";
import { oldDriver } from "./features.ts";
import { FakeKernel, type KernelSettings } from "./kernel.ts";
import { Region } from "./region.ts";
import { COUNT } from "./region-lock.ts";
import { regionKey } from "./semaphores.ts";

export const CLUSTER = "lab";
/** node 0 is this machine, node 1 another */
export const NODES = ["alpha", "beta"] as const;
export const DISK = "/dev/sdb";
export const DIRECTORY = "/vol";
/** of the volume on DISK, unless a test names another */
export const UUID = "77D95EF51C0149D2823674FCC162CF8B";

export interface SetupSettings extends KernelSettings {
  volume?: VolumeSettings;
  readOnly?: boolean;
  sectorBytes?: number;
  /** who leaves at the end of a superblock: `us` (hb_ctl_path is /bin/true) or the `kernel` through the C tool; default `us` */
  leave?: "us" | "kernel";
  /** register no cluster */
  unregistered?: boolean;
  /** start no global heartbeat */
  stopped?: boolean;
}

export interface Machine {
  kernel: FakeKernel;
  /** the volume on DISK, whose kernel name is sdb, number 8:16; DIRECTORY and /vol2 are mount points */
  disk: BlockDevice;
  content: VolumeContent;
  /** of the volume and of its region */
  uuid: string;
  /** the region's directory in configfs */
  regionDirectory: string;
}

/** A stock kernel with the classic stack, local heartbeat. */
export function classicLocal(settings: SetupSettings = {}): Machine {
  return build(settings, ["ocfs2", "ocfs2_stack_o2cb", "ocfs2_dlmfs"]);
}

/** The same with global heartbeat: one region on a device of its own beats already, with one persistent reference. */
export function classicGlobal(settings: SetupSettings = {}): Machine {
  const machine = build({ ...settings, volume: { global: true, ...settings.volume } }, [
    "ocfs2",
    "ocfs2_stack_o2cb",
    "ocfs2_dlmfs",
  ]);
  const { kernel } = machine;
  kernel.heartbeat.mode = "global";
  const quorum = kernel.addDisk({
    name: "sdq",
    number: { major: 65, minor: 0 },
    volume: volume({ heartbeatDevice: true }),
  });
  if (!settings.stopped && !settings.unregistered) startByHand(kernel, quorum);
  kernel.markClean();
  return machine;
}

/** Drivers of the 1.2 era: no stack file, no mode, no pins, configfs at /config, revision below /proc. */
export function oldDriver12(settings: SetupSettings = {}): Machine {
  const revisionPath = "/proc/fs/ocfs2_nodemanager/interface_revision";
  return build(
    {
      configfs: "/config",
      revisionPath,
      volume: { stack: null },
      ...settings,
      features: { ...oldDriver, ...settings.features },
    },
    ["ocfs2", "ocfs2_nodemanager"],
  );
}

/** A machine whose kernel has loaded nothing of OCFS2 yet. */
export function nothingLoaded(settings: SetupSettings = {}): Machine {
  return build({ unregistered: true, ...settings }, []);
}

/** A machine with these modules in its kernel; the others here are made so. */
export function build(settings: SetupSettings, modules: readonly string[]): Machine {
  const kernel = new FakeKernel(settings);
  for (const module of modules) kernel.loadModule(module);
  const content = volume({ uuid: UUID, ...settings.volume });
  const disk = kernel.addDisk({
    name: "sdb",
    number: { major: 8, minor: 16 },
    volume: content,
    readOnly: settings.readOnly ?? false,
    sectorBytes: settings.sectorBytes ?? 512,
  });
  for (const path of [DIRECTORY, "/vol2", "/vol3"]) kernel.addDirectory(path);
  kernel.addFile("/etc/hostname", `${NODES[0]}\n`);
  if (!settings.unregistered) registerCluster(kernel);
  kernel.installProgram("/sbin/ocfs2_hb_ctl", ocfs2HbCtl(kernel));
  kernel.hbCtlPath = settings.leave === "kernel" ? "/sbin/ocfs2_hb_ctl" : "/bin/true";
  kernel.markClean();
  const base =
    settings.configfs === "/config" || settings.revisionPath?.startsWith("/proc")
      ? "/config"
      : "/sys/kernel/config";
  return {
    kernel,
    disk,
    content,
    uuid: content.uuid,
    regionDirectory: `${base}/cluster/${CLUSTER}/heartbeat/${content.uuid}`,
  };
}

/** The cluster of two nodes as `o2cb register-cluster` leaves it. */
export function registerCluster(kernel: FakeKernel, name: string = CLUSTER): Cluster {
  const cluster = new Cluster(name);
  NODES.forEach((nodeName, number) => {
    const node = new ClusterNode(nodeName);
    Object.assign(node, { number, port: 7777, address: `10.0.0.${number + 1}`, local: number === 0 });
    cluster.nodes.set(nodeName, node);
  });
  kernel.clusters.set(name, cluster);
  return cluster;
}

/** A region that beats with one persistent reference, as `o2cb start-heartbeat` leaves it. */
export function startByHand(kernel: FakeKernel, disk: BlockDevice): Region {
  const [cluster] = kernel.clusters.values();
  const uuid = disk.volume?.uuid;
  if (cluster === undefined || uuid === undefined)
    throw new TypeError("startByHand needs a cluster and a volume");
  const region = new Region(uuid, cluster, kernel);
  Object.assign(region, {
    blockBytes: disk.sectorBytes,
    startBlock: 2184n,
    blocks: 255,
    device: disk,
    live: true,
    lastBeat: kernel.clock.now,
  });
  region.startThread();
  cluster.regions.set(uuid, region);
  kernel.semaphores().get(regionKey(uuid), true, uuid).values[COUNT] = 1;
  return region;
}
