// The kernel's own file trees on the fake machine: sysfs, debugfs (procfs is in proc.ts), and where they are mounted.
//
// Facts relied on: kernel-abi 3 and 4, 8 (eras), group-api 1.2-1.6. Each file is computed from the machine's state at each look.
import type { DeviceNumber } from "../../../ts/native-types.ts";
import { clusterSubsystem } from "./configfs.ts";
import { refuse } from "./errors.ts";
import type { FakeKernel } from "./kernel.ts";
import { nodeList } from "./network.ts";
import { procfs } from "./proc.ts";
import { tmpfs } from "./tmpfs.ts";
import {
  computedDirectory,
  directory,
  link,
  textFile,
  type DirectoryNode,
  type Entries,
  type FileNode,
} from "./tree.ts";
import type { FileSystem } from "./vfs.ts";

const CONFIGFS_MAGIC = 0x6265_6570;

/** The root directory and what is mounted when the machine is up. */
export function mountTrees(kernel: FakeKernel, configfsAt: string | null): void {
  for (const path of ["sys", "proc", "dev", "run", "etc", "sbin", "config"]) kernel.root.directory(path);
  const mount = (target: string, type: string, magic: number, minor: number, root: DirectoryNode): void =>
    mountKernelTree(kernel, target, { type, magic, number: { major: 0, minor }, root, superOptions: "rw" });
  mount("/", "ext4", 0xef53, 1, kernel.root);
  mount("/proc", "proc", 0x9fa0, 20, procfs(kernel));
  mount("/sys", "sysfs", 0x6265_6572, 21, sysfs(kernel));
  if (kernel.features.debugfs) mountKernelTree(kernel, "/sys/kernel/debug", debugfsTree(kernel));
  if (configfsAt !== null) mountKernelTree(kernel, configfsAt, configfsTree(kernel));
  mountKernelTree(
    kernel,
    "/run",
    tmpfs(24, kernel.run, () => kernel.runFails),
  );
}

export function configfsTree(kernel: FakeKernel): FileSystem {
  const root = configfs(kernel);
  return {
    type: "configfs",
    magic: CONFIGFS_MAGIC,
    number: { major: 0, minor: 23 },
    root,
    superOptions: "rw",
  };
}

export function debugfsTree(kernel: FakeKernel): FileSystem {
  const root = debugfs(kernel);
  return { type: "debugfs", magic: 0x6462_6720, number: { major: 0, minor: 22 }, root, superOptions: "rw" };
}

/** Mounts a file system without a device in the host's namespace. */
export function mountKernelTree(kernel: FakeKernel, target: string, fileSystem: FileSystem): void {
  const place = target === "/" ? null : kernel.namespace.walk(target, kernel.init);
  kernel.namespace.attach(place, {
    fileSystem,
    source: fileSystem.type,
    options: "rw,relatime",
    root: "/",
    rootNode: fileSystem.root,
  });
}

function sysfs(kernel: FakeKernel): DirectoryNode {
  return directory({
    block: computedDirectory(() =>
      Object.fromEntries([...kernel.disks].map((disk) => [disk.name, blockDirectory(kernel, disk.name)])),
    ),
    dev: directory({
      block: computedDirectory(() =>
        Object.fromEntries(
          [...kernel.disks].map((disk) => [
            numberText(disk.number),
            link(`../../devices/virtual/block/${disk.name}`),
          ]),
        ),
      ),
    }),
    class: directory({
      block: computedDirectory(() =>
        Object.fromEntries(
          [...kernel.disks].map((disk) => [
            disk.name,
            directory({ dev: textFile(`${numberText(disk.number)}\n`) }),
          ]),
        ),
      ),
    }),
    fs: computedDirectory(() => ({
      ocfs2: kernel.hasModule("ocfs2_stackglue") && glue(kernel),
      o2cb:
        kernel.hasModule("ocfs2_nodemanager") &&
        kernel.revisionPath === "/sys/fs/o2cb/interface_revision" &&
        revision(kernel),
    })),
    o2cb:
      kernel.revisionPath === "/sys/o2cb/interface_revision"
        ? computedDirectory(() =>
            kernel.hasModule("ocfs2_nodemanager") ? { interface_revision: revisionFile(kernel) } : {},
          )
        : undefined,
    kernel: computedDirectory(() => ({
      config: directory({}),
      debug: directory({}),
      dlm:
        kernel.hasModule("dlm") &&
        directory(Object.fromEntries([...kernel.lockspaces.joined].map((name) => [name, directory({})]))),
    })),
    module: computedDirectory(() =>
      Object.fromEntries(
        [...kernel.modules].map((name) => [
          name,
          directory({
            refcnt: textFile("0\n"),
            parameters:
              name === "ocfs2_dlmfs" &&
              kernel.features.stackGlue &&
              directory({ capabilities: textFile("bast stackglue") }),
          }),
        ]),
      ),
    ),
  });
}

function configfs(kernel: FakeKernel): DirectoryNode {
  const cluster = clusterSubsystem(kernel);
  return computedDirectory(() => ({
    cluster: kernel.hasModule("ocfs2_nodemanager") && cluster,
    dlm: kernel.hasModule("dlm") && kernel.lockspaces.directory,
  }));
}

function numberText({ major, minor }: DeviceNumber): string {
  return `${major}:${minor}`;
}

function blockDirectory(kernel: FakeKernel, name: string): DirectoryNode {
  const mapped = kernel.mapperNames.get(name);
  return directory({ dm: mapped === undefined ? undefined : directory({ name: textFile(`${mapped}\n`) }) });
}

function revisionFile(kernel: FakeKernel): FileNode {
  return { kind: "file", read: () => kernel.revision };
}

function revision(kernel: FakeKernel): DirectoryNode {
  return directory({ interface_revision: revisionFile(kernel) });
}

/** /sys/fs/ocfs2, with the rules of ocfs2_cluster_stack_store (kernel-abi 4). */
function glue(kernel: FakeKernel): DirectoryNode {
  const active = (): string | null =>
    kernel.stackInUse() ? (kernel.stackLabel === "o2cb" ? "o2cb" : "user") : null;
  const stack: FileNode = {
    kind: "file",
    read: () => kernel.stackFile ?? `${kernel.stackLabel}\n`,
    write(text) {
      const label = text.replace(/\n$/, "");
      if (Buffer.byteLength(label) !== 4) refuse("EINVAL");
      if (active() !== null && label !== kernel.stackLabel) refuse("EBUSY");
      kernel.stackLabel = label;
    },
  };
  const plugins = (): string =>
    ["o2cb", "user"]
      .filter((name) => kernel.hasModule(`ocfs2_stack_${name}`))
      .map((name) => `${name}\n`)
      .join("");
  return computedDirectory(() => ({
    cluster_stack: stack,
    active_cluster_plugin: textFile(active() === null ? "" : `${active()}\n`),
    loaded_cluster_plugins: textFile(plugins()),
    max_locking_protocol: textFile(kernel.hasModule("ocfs2") ? "1.0\n" : ""),
    dlm_recover_callback_support: kernel.features.recoverCallbacks && textFile("1\n"),
    ...mountedDisks(kernel),
  }));
}

/** Gone at the very start of a dismount, shortly after IN_UNMOUNT; there though the disk is gone. */
function mountedDisks(kernel: FakeKernel): Entries {
  if (!kernel.features.deviceSysfs) return {};
  const living = [...kernel.superblocks].filter((superblock) => superblock.inSysfs);
  return Object.fromEntries(
    living.map((superblock) => [
      superblock.device.name,
      directory({ filecheck: directory({ check: textFile(""), fix: textFile(""), set: textFile("") }) }),
    ]),
  );
}

function debugfs(kernel: FakeKernel): DirectoryNode {
  return computedDirectory(() => ({
    o2hb: kernel.hasModule("ocfs2_nodemanager") && heartbeatDebug(kernel),
    o2net:
      kernel.hasModule("ocfs2_nodemanager") &&
      directory({ connected_nodes: textFile(nodeList(kernel.network.connectedPeers)) }),
    ocfs2:
      kernel.hasModule("ocfs2") &&
      computedDirectory(() =>
        perVolume(kernel, (uuid, name) => ({
          fs_state: textFile(`    Device => Id: ${name}  Uuid: ${uuid}\n`),
        })),
      ),
    o2dlm:
      kernel.hasModule("ocfs2") &&
      computedDirectory(() => ({
        ...perVolume(kernel, (uuid) => domainFiles(uuid)),
        ...Object.fromEntries([...kernel.domains.keys()].map((name) => [name, directory(domainFiles(name))])),
      })),
  }));
}

function domainFiles(name: string): Entries {
  return { dlm_state: textFile(`Domain: ${name}  Key: 0x00000000  Protocol: 1.3\n`) };
}

function perVolume(kernel: FakeKernel, files: (uuid: string, device: string) => Entries): Entries {
  const living = [...kernel.superblocks].filter((superblock) => superblock.clustered);
  return Object.fromEntries(
    living.map(({ volume, number }) => [
      volume.uuid,
      directory(files(volume.uuid, `${number.major},${number.minor}`)),
    ]),
  );
}

function heartbeatDebug(kernel: FakeKernel): DirectoryNode {
  const live = (one: boolean): FileNode => {
    const own = kernel.localNodeNumber();
    return textFile(nodeList(one && own !== null ? [own, ...kernel.network.livePeers] : []));
  };
  return computedDirectory(() => ({
    livenodes: live(kernel.isLive()),
    ...Object.fromEntries(
      kernel.regions().map((region) => [
        region.name,
        directory({
          livenodes: live(region.live),
          pinned: kernel.features.pinning && textFile(region.pins.size > 0 ? "1\n" : "0\n"),
          elapsed_time_in_ms: textFile(
            `${region.lastBeat === null ? 0 : kernel.clock.now - region.lastBeat}\n`,
          ),
        }),
      ]),
    ),
  }));
}
