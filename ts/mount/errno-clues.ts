// What the kernel says when it refuses a mount, and what that means: patterns for its messages.
//
// Facts relied on: linux fs/ocfs2 and fs/ocfs2/cluster as collected in kernel-abi 7.2. A pattern holds as few words
// as tell a message apart, since texts change between kernels. errno-guide.ts decides when they are looked at.

export interface MountFacts {
  device: string;
  /** the volume's, which is its lock space's name; undefined where nobody looked */
  uuid?: string | undefined;
  directory: string;
  /** the volume's label, `o2cb` for the classic stack; empty where not known */
  stack: string;
  /** the cluster's name on the disk; null where the volume carries none */
  cluster: string | null;
  /** formatted for one node */
  isLocal: boolean;
  /** the device itself refuses writes */
  readOnlyDevice: boolean;
  /** a read-only mount was asked for */
  readOnly: boolean;
  /** what the kernel was given */
  options: readonly string[];
  /** the node of the cluster that is this host; null where none is, undefined where nobody looked. The same below. */
  node?: string | null | undefined;
  runningStack?: string | null | undefined;
  /** the name of the running cluster of a userspace stack */
  runningCluster?: string | null | undefined;
  /** false where dlm_controld has the kernel told of dead nodes by a control daemon */
  hasRecoveryCallbacks?: boolean | undefined;
  /** whether a heartbeat region of the volume is started here */
  isRegionActive?: boolean | undefined;
  /** what is made from the device: /sys/dev/block/M:m/holders */
  holders?: readonly string[] | undefined;
  /** where the volume is mounted already on this node */
  mountedOn?: string | undefined;
}

export type Answer = [cause: string, remedy?: string];
/** The errnos it can explain, a pattern for a kernel message, and what that says (`word` is the pattern's group). */
export type Clue = [errnos: string, pattern: RegExp, explain: (word: string, facts: MountFacts) => Answer];

export const FSCK = "unmount the volume on every node and run fsck.ocfs2 on it";
const NO_HEARTBEAT_OPTION = "leave heartbeat= out of the options";
export const NAME_THIS_HOST =
  "name this host in /etc/ocfs2/cluster.conf as `hostname` prints it, and register the cluster again";
export const LOOK_AT_LOG = "look at the kernel log (dmesg)";
export const CHECK_NETWORK =
  "check the network and the firewall between the nodes (the o2cb port, 7777 unless configured otherwise)";

/**
 * What the kernel says. Other volumes' messages can be among them, so a pattern counts only with the errno that goes with
 * it, and a later message before an earlier one.
 */
export const clues: readonly Clue[] = [
  [
    "EINVAL",
    /(?:Unknown parameter|Unrecognized mount option) ['"]?([^'"\s]+)/i,
    (name) => [
      `the kernel does not know the option '${name}'`,
      "leave the option out, or have it ignored with mount -s",
    ],
  ],
  [
    "EINVAL",
    /Bad value for ['"]?([^'"\s]+)/i,
    (name) => [`the kernel does not take this value of the option '${name}'`, "correct the value"],
  ],
  [
    "EINVAL",
    /node has not been configured/i,
    () => ["this host is not a node of the registered cluster", NAME_THIS_HOST],
  ],
  [
    "EINVAL",
    /(local|global) heartbeat has not been started/i,
    (mode) => [
      `the ${mode.toLowerCase()} heartbeat does not run on this node`,
      /global/i.test(mode) ? "start it: o2cb start-heartbeat" : "look at the kernel log for why it stopped",
    ],
  ],
  [
    "EINVAL",
    /heartbeat has to be started/i,
    () => ["the volume belongs to a cluster, and was to be mounted without heartbeat", NO_HEARTBEAT_OPTION],
  ],
  [
    "EINVAL",
    /mismatching o2cb heartbeat modes/i,
    () => [
      "the volume's heartbeat mode is not the running cluster's",
      "change the cluster's mode with o2cb heartbeat-mode, or the volume's with tunefs.ocfs2",
    ],
  ],
  [
    "EINVAL",
    /cannot heartbeat on a locally mounted/i,
    () => ["the volume is one node's own and takes no heartbeat", NO_HEARTBEAT_OPTION],
  ],
  [
    "EINVAL",
    /userspace stack expected/i,
    (_, facts) => [`the volume's stack '${facts.stack}' takes no heartbeat option`, NO_HEARTBEAT_OPTION],
  ],
  [
    "EINVAL",
    /cluster stack passed to mount/i,
    () => ["the stack named in the options is not the volume's", "leave cluster_stack= out of the options"],
  ],
  [
    "EINVAL",
    /invalid heartbeat mount options/i,
    () => ["the heartbeat option is missing or given twice", NO_HEARTBEAT_OPTION],
  ],
  [
    "EINVAL",
    /no free slots available/i,
    () => [
      "all node slots of the volume are taken",
      "unmount it on another node, or add slots with tunefs.ocfs2 -N while nobody has it mounted",
    ],
  ],
  [
    "EINVAL",
    /invalid number of node slots/i,
    (_, facts) => [
      `'${facts.device}' holds heartbeat slots only and can never be mounted`,
      "name the device of a volume made without mkfs.ocfs2 -H",
    ],
  ],
  [
    "EINVAL",
    /superblock probe failed/i,
    (_, facts) => [
      `the kernel finds no OCFS2 volume on '${facts.device}'`,
      "check the device's name; fsck.ocfs2 can restore a superblock from a backup",
    ],
  ],
  [
    "EINVAL",
    /unsupported (?:optional )?features/i,
    () => [
      "the volume uses features that this kernel does not support",
      "use a newer kernel, or switch the features off with tunefs.ocfs2",
    ],
  ],
  [
    "EINVAL",
    /dlm.*\b(?:regions?|nodes?)\b.*\b(?:not|mismatch|differs?)\b/i,
    () => [
      "the nodes have registered different nodes or heartbeat regions",
      "give all nodes the same cluster.conf and the same heartbeat regions",
    ],
  ],
  [
    "ENOTCONN",
    /could not connect to nodes:?\s*([\d ,]*)/i,
    (nodes) => {
      const list = nodes
        .trim()
        .split(/[\s,]+/)
        .filter(Boolean)
        .join(", ");
      return [
        list === ""
          ? "this node cannot reach others that use the volume"
          : `this node cannot reach node ${list}`,
        CHECK_NETWORK,
      ];
    },
  ],
  [
    "ENOENT",
    /cluster stack driver "?([\w-]*)"? cannot be found/i,
    (driver) => [
      `the kernel has no driver for the stack '${driver}'`,
      `load or install the module ocfs2_stack_${driver === "o2cb" ? "o2cb" : "user"}`,
    ],
  ],
  [
    "EINVAL EROFS EIO",
    /journal.*\b(?:fail|corrupt|invalid|error)|(?:could not|cannot|unable|fail|error)\w*\b.*journal/i,
    () => ["a journal of the volume cannot be used or replayed", FSCK],
  ],
];
