// procfs on the fake machine: processes, the driver's settings, the boot's name.
//
// Facts relied on: proc_pid_stat(5) (52 fields, the name in parentheses), proc_pid_ns(5), kernel-abi 4 (hb_ctl_path), 8 (eras). The name
// of a thread is cut to 15 bytes; kernels since 5.17 keep the whole name of their own threads for /proc (linux:
// kernel/kthread.c, get_kthread_comm), which `fullThreadNames` turns on.
//
// Not modelled: what /proc shows inside another PID namespace, counters, files of a process beyond these.
import type { FakeKernel } from "./kernel.ts";
import type { Task } from "./task.ts";
import {
  computedDirectory,
  directory,
  link,
  textFile,
  type DirectoryNode,
  type Entries,
  type FileNode,
} from "./tree.ts";

const MAX_HELPER = 255;
const MAX_NAME = 15;
const MAX_THREAD_NAME = 63;
const PF_KTHREAD = 0x200000;
/** PF_RANDOMIZE: what an ordinary process has */
const PF_ORDINARY = 0x400000;
/** the device number of /dev/pts/0 as tty_nr has it */
const A_TERMINAL = 34_816;
const STAT_FIELDS = 52;
const MISC = "130 watchdog\n 60 cpu_dma_latency\n231 snapshot\n";
/** The DLM's devices, with the number of the one that is asked for its version (userspace-stack 7.3). */
export const DLM_CONTROL_MINOR = 61;
const MISC_WITH_DLM = ` 59 dlm_plock\n 60 dlm-monitor\n ${DLM_CONTROL_MINOR} dlm-control\n${MISC}`;

export function procfs(kernel: FakeKernel): DirectoryNode {
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
    interface_revision: { kind: "file", read: () => kernel.revision },
    hb_dead_threshold: {
      kind: "file",
      read: () => `${kernel.heartbeat.deadThreshold}\n`,
      write: (text) => {
        const value = Number(text);
        if (value > 2 && kernel.regions().length === 0) kernel.heartbeat.deadThreshold = value;
      },
    },
  };
  return computedDirectory((viewer) => ({
    self: link(String(viewer.pid)),
    ...Object.fromEntries(kernel.tasks().map((task) => [String(task.pid), processDirectory(kernel, task)])),
    misc: textFile(kernel.hasModule("dlm") ? MISC_WITH_DLM : MISC),
    sys: directory({
      fs: computedDirectory(() => ({
        ocfs2: glued() && directory({ nm: directory({ hb_ctl_path: helper }) }),
      })),
      kernel: directory({
        hostname: { kind: "file", read: () => `${kernel.network.hostname}\n` },
        random: directory({ boot_id: { kind: "file", read: () => `${kernel.bootId}\n` } }),
      }),
    }),
    fs: computedDirectory(() => ({
      ocfs2_nodemanager:
        kernel.revisionPath.startsWith("/proc/") &&
        kernel.hasModule("ocfs2_nodemanager") &&
        directory(oldManager),
    })),
  }));
}

function processDirectory(kernel: FakeKernel, task: Task): DirectoryNode {
  const name = shownName(task, kernel.features.fullThreadNames);
  return directory({
    comm: textFile(`${name}\n`),
    stat: textFile(stat(task, name)),
    root: { kind: "link", target: "/", into: task.namespace },
    fd: directory(
      Object.fromEntries(
        [...task.openPaths.values()].map((path, number) => [String(number + 3), link(path)]),
      ),
    ),
    ns:
      kernel.features.namespaceLinks &&
      directory({
        ipc: link(`ipc:[${task.ipc}]`),
        mnt: link(`mnt:[${task.namespace.inode}]`),
        pid: link(`pid:[${task.pidNamespace}]`),
      }),
  });
}

function shownName({ name, kernelThread }: Task, full: boolean): string {
  if (kernelThread) return name.slice(0, full ? MAX_THREAD_NAME : MAX_NAME);
  return name.slice(name.lastIndexOf("/") + 1).slice(0, MAX_NAME);
}

function stat(task: Task, name: string): string {
  const group = task.kernelThread ? 0 : task.pid;
  const known: Record<number, string | number> = {
    1: task.pid,
    2: `(${name})`,
    3: "S",
    4: task.parentPid,
    5: group,
    6: group,
    7: task.terminal ? A_TERMINAL : 0,
    8: task.terminal ? task.pid : -1,
    9: task.kernelThread ? PF_KTHREAD : PF_ORDINARY,
    18: 20,
    20: 1,
    22: task.startTime,
  };
  return `${Array.from({ length: STAT_FIELDS }, (_, index) => known[index + 1] ?? 0).join(" ")}\n`;
}
