// The kernel's own file trees on the fake machine: sysfs, procfs, debugfs, and where they are mounted.
//
// Facts relied on: kernel-abi 3 and 4, 8 (eras), group-api 1.2-1.6. Each file is computed from the machine's state at each look.
import type { DeviceNumber } from "../../../ts/native-types.ts";
import { clusterSubsystem } from "./configfs.ts";
import { refuse } from "./errors.ts";
import type { FakeKernel } from "./kernel.ts";
import {
  computedDirectory,
  link,
  textFile,
  type DirectoryNode,
  type FileNode,
  type TreeNode,
  type Viewer,
} from "./tree.ts";
import type { FileSystem } from "./vfs.ts";

const CONFIGFS_MAGIC = 0x6265_6570;
/** The inode of the initial IPC namespace on every Linux. */
export const INITIAL_IPC = 4_026_531_839;
const MAX_HELPER = 255;

type Entries = Record<string, TreeNode | undefined | false>;

/** The root directory and what is mounted when the machine is up. */
export function mountTrees(kernel: FakeKernel, configfsAt: string | null): void {
  for (const path of ["sys", "proc", "dev", "run", "etc", "sbin", "config"]) kernel.root.directory(path);
  const mount = (target: string, type: string, magic: number, minor: number, root: DirectoryNode): void => {
    const fileSystem: FileSystem = { type, magic, number: { major: 0, minor }, root, superOptions: "rw" };
    const place = target === "/" ? null : kernel.namespace.walk(target, kernel.init);
    kernel.namespace.attach(place, {
      fileSystem,
      source: type,
      options: "rw,relatime",
      root: "/",
      rootNode: root,
    });
  };
  mount("/", "ext4", 0xef53, 1, kernel.root);
  mount("/proc", "proc", 0x9fa0, 20, procfs(kernel));
  mount("/sys", "sysfs", 0x6265_6572, 21, sysfs(kernel));
  if (kernel.features.debugfs) mount("/sys/kernel/debug", "debugfs", 0x6462_6720, 22, debugfs(kernel));
  if (configfsAt !== null) mount(configfsAt, "configfs", CONFIGFS_MAGIC, 23, configfs(kernel));
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
    kernel: directory({ config: directory({}), debug: directory({}) }),
    module: computedDirectory(() =>
      Object.fromEntries([...kernel.modules].map((name) => [name, directory({ refcnt: textFile("0\n") })])),
    ),
  });
}

function configfs(kernel: FakeKernel): DirectoryNode {
  const cluster = clusterSubsystem(kernel);
  return computedDirectory(() => ({ cluster: kernel.hasModule("ocfs2_nodemanager") && cluster }));
}

function directory(entries: Entries): DirectoryNode {
  return computedDirectory(() => entries);
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
    dlm_recover_callback_support: textFile("1\n"),
    ...mountedDisks(kernel),
  }));
}

/** Gone at the very start of a dismount. */
function mountedDisks(kernel: FakeKernel): Entries {
  if (!kernel.features.deviceSysfs) return {};
  const living = [...kernel.superblocks].filter((superblock) => !superblock.dying);
  return Object.fromEntries(
    living.map((superblock) => [
      superblock.device.name,
      directory({ filecheck: directory({ check: textFile(""), fix: textFile(""), set: textFile("") }) }),
    ]),
  );
}

function procfs(kernel: FakeKernel): DirectoryNode {
  const helper: FileNode = {
    kind: "file",
    read: () => `${kernel.hbCtlPath}\n`,
    write: (text) => {
      kernel.hbCtlPath = text.replace(/\n$/, "").slice(0, MAX_HELPER);
    },
  };
  const glued = (): boolean =>
    kernel.hasModule("ocfs2_stackglue") ||
    (!kernel.features.stackGlue && kernel.hasModule("ocfs2_nodemanager"));
  const oldManager: Entries = {
    interface_revision: revisionFile(kernel),
    hb_dead_threshold: textFile("31\n"),
  };
  return computedDirectory((viewer) => ({
    self: link(String(viewer.pid)),
    ...Object.fromEntries(kernel.tasks().map((task) => [String(task.pid), process(task)])),
    sys: directory({
      fs: computedDirectory(() => ({
        ocfs2: glued() && directory({ nm: directory({ hb_ctl_path: helper }) }),
      })),
    }),
    fs: computedDirectory(() => ({
      ocfs2_nodemanager:
        kernel.revisionPath.startsWith("/proc/") &&
        kernel.hasModule("ocfs2_nodemanager") &&
        directory(oldManager),
    })),
  }));
}

function process(viewer: Viewer): DirectoryNode {
  return directory({
    ns: directory({ ipc: link(`ipc:[${viewer.ipc}]`), mnt: link(`mnt:[${viewer.pid}]`) }),
    comm: textFile(`fake-${viewer.pid}\n`),
  });
}

function debugfs(kernel: FakeKernel): DirectoryNode {
  return computedDirectory(() => ({
    o2hb: kernel.hasModule("ocfs2_nodemanager") && heartbeatDebug(kernel),
    ocfs2:
      kernel.hasModule("ocfs2") &&
      computedDirectory(() =>
        perVolume(kernel, (uuid, name) => ({
          fs_state: textFile(`    Device => Id: ${name}  Uuid: ${uuid}\n`),
        })),
      ),
    o2dlm:
      kernel.hasModule("ocfs2") &&
      computedDirectory(() =>
        perVolume(kernel, (uuid) => ({
          dlm_state: textFile(`Domain: ${uuid}  Key: 0x00000000  Protocol: 1.3\n`),
        })),
      ),
  }));
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
  const live = (one: boolean): FileNode => textFile(one ? `${kernel.localNodeNumber()} \n` : "\n");
  return computedDirectory(() => ({
    livenodes: live(kernel.isLive()),
    ...Object.fromEntries(
      kernel.regions().map((region) => [
        region.name,
        directory({
          livenodes: live(region.live),
          pinned: textFile(region.pins.size > 0 ? "1\n" : "0\n"),
          elapsed_time_in_ms: textFile(
            `${region.lastBeat === null ? 0 : kernel.clock.now - region.lastBeat}\n`,
          ),
        }),
      ]),
    ),
  }));
}
