// What the kernel of a fake machine can do, and which modules make it do so; eras differ (kernel-abi 0, 8).

export interface KernelFeatures {
  /** /sys/fs/ocfs2: since 2.6.26 */
  stackGlue: boolean;
  /** `heartbeat/mode`, global heartbeat, fence_method: since 2.6.37 */
  heartbeatMode: boolean;
  /** the timeouts of a cluster and `dead_threshold` in configfs: since about 2.6.20 */
  clusterTimeouts: boolean;
  /** `pid` of a region */
  pid: boolean;
  /** a domain keeps its region from being removed */
  pinning: boolean;
  debugfs: boolean;
  /** /proc/PID/ns: since 3.0, with `pid` and `mnt` since 3.8 */
  namespaceLinks: boolean;
  /** /proc tells the whole name of a kernel thread, not 15 bytes of it: since 5.17 */
  fullThreadNames: boolean;
  /** /sys/fs/ocfs2/<disk>: since 4.7 */
  deviceSysfs: boolean;
  /** the mount calls of 5.2 */
  fsopen: boolean;
  /** the kernel can hear of dead nodes from the DLM: since 3.14 */
  recoverCallbacks: boolean;
  /** `context`: options are judged one by one, with messages (seen on 7.2); `legacy`: together, at the end */
  optionParser: "legacy" | "context";
}

/** A kernel of today, 6.1 and later. */
export const modernKernel: KernelFeatures = {
  stackGlue: true,
  heartbeatMode: true,
  clusterTimeouts: true,
  pid: true,
  pinning: true,
  debugfs: true,
  namespaceLinks: true,
  fullThreadNames: false,
  deviceSysfs: true,
  fsopen: true,
  recoverCallbacks: true,
  optionParser: "legacy",
};

/** The drivers that came with tools 1.2 (group-api 1.6, commands 5): one stack, local heartbeat, no pins. */
export const oldDriver: KernelFeatures = {
  stackGlue: false,
  heartbeatMode: false,
  clusterTimeouts: false,
  pid: false,
  pinning: false,
  debugfs: false,
  namespaceLinks: false,
  fullThreadNames: false,
  deviceSysfs: false,
  fsopen: false,
  recoverCallbacks: false,
  optionParser: "legacy",
};

/** What modprobe loads for each module, in its order (kernel-abi 0). */
export const moduleDependencies: Record<string, readonly string[]> = {
  ocfs2: ["configfs", "ocfs2_nodemanager", "ocfs2_stackglue", "ocfs2"],
  ocfs2_stack_o2cb: ["configfs", "ocfs2_nodemanager", "ocfs2_stackglue", "ocfs2_dlm", "ocfs2_stack_o2cb"],
  ocfs2_stack_user: ["configfs", "ocfs2_stackglue", "dlm", "ocfs2_stack_user"],
  dlm: ["configfs", "dlm"],
  ocfs2_dlmfs: ["configfs", "ocfs2_nodemanager", "ocfs2_stackglue", "ocfs2_dlm", "ocfs2_dlmfs"],
  ocfs2_nodemanager: ["configfs", "ocfs2_nodemanager"],
  configfs: ["configfs"],
  ocfs2_stackglue: ["ocfs2_stackglue"],
  ocfs2_dlm: ["configfs", "ocfs2_nodemanager", "ocfs2_dlm"],
};
