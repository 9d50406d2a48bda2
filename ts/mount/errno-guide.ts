// What a refused mount(2) means: from the errno, from what the kernel said meanwhile, and from what is known about the volume,
// one clause that names the cause and one that says what to do.
//
// Facts relied on: linux fs/ocfs2 and fs/ocfs2/cluster as collected in kernel-abi 7.2, 7.4 and commands 1.5. EINVAL has some
// twenty causes, so the kernel's own words (errno-clues.ts) are looked at first. Where it said nothing, the cause that fits
// the facts is named, as likely where it is not certain.
//
// Pure: what is to be asked of the system, the caller asks and passes as a fact.
import { errnoName } from "../errors.ts";
import { CLASSIC_STACK } from "../volume.ts";
import { CHECK_NETWORK, clues, FSCK, LOOK_AT_LOG, NAME_THIS_HOST } from "./errno-clues.ts";
import type { Answer, MountFacts } from "./errno-clues.ts";
import { userStackAnswers } from "./errno-user-stack.ts";
import { quoted } from "../words.ts";
import { isOcfs2Option, optionName } from "./options-ocfs2.ts";
import { securityNames } from "./options-table.ts";

export type { MountFacts } from "./errno-clues.ts";

export interface Explanation {
  /** follows "…: " in a sentence */
  cause: string;
  /** an imperative phrase; undefined where only the cause can tell */
  remedy: string | undefined;
}

/** Where the kernel's words did not tell: by errno. */
const byErrno: Record<string, (facts: MountFacts) => Answer> = {
  EINVAL: (facts) => {
    if (facts.node === null) return ["this host is not a node of the registered cluster", NAME_THIS_HOST];
    if (facts.isRegionActive === false) {
      return [
        "the volume's heartbeat does not run on this node",
        "look at the kernel log for why it stopped",
      ];
    }
    return ["it found an option, the cluster or the volume invalid, and did not say which", LOOK_AT_LOG];
  },
  EBUSY: (facts) => {
    if (facts.runningStack && facts.stack !== "" && facts.runningStack !== facts.stack) {
      return [
        `the stack '${facts.runningStack}' is active on this node, and the volume belongs to '${facts.stack}'`,
        "unmount the volumes of the active stack and stop it first",
      ];
    }
    const [holder] = facts.holders ?? [];
    if (holder !== undefined)
      return [`'${facts.device}' is part of '${holder}'`, `mount /dev/${holder} instead`];
    if (facts.mountedOn !== undefined) {
      return [
        `the volume is mounted on '${facts.mountedOn}' already, there or in the other of read-only and read-write`,
        "mount it with the same ro or rw at another directory",
      ];
    }
    if (facts.isRegionActive === true) {
      return [
        "the kernel mounts no device that is open for writing, which the heartbeat on it is",
        "boot with bdev_allow_write_mounted=1, or use global heartbeat on other devices",
      ];
    }
    return [
      `'${facts.device}' is in use: mounted already (the other way of ro and rw, or at this directory), claimed by another device, or opened exclusively`,
      `look at ls /sys/class/block/*/holders and at who has it open: fuser -v '${facts.device}'`,
    ];
  },
  EACCES: (facts) => [
    `'${facts.device}' is read-only`,
    "mount it with -o ro, or make the device writable (blockdev --setrw)",
  ],
  EROFS: (facts) =>
    facts.readOnlyDevice
      ? [
          `'${facts.device}' refuses writes, and its journals have to be replayed or a heartbeat written`,
          "make the device writable (blockdev --setrw), or let a node that can write mount the volume first",
        ]
      : ["the volume is damaged, or needs to be written to where it may only be read", FSCK],
  ENOTCONN: () => ["other nodes that have the volume mounted cannot be reached", CHECK_NETWORK],
  ENOENT: (facts) => [
    `the stack's kernel module, '${facts.device}' or '${facts.directory}' is missing`,
    "load the module (modprobe ocfs2_stack_o2cb), and check both paths",
  ],
  ENODEV: () => [
    "this kernel does not know the file system ocfs2",
    "load the module (modprobe ocfs2), or install the package that holds it",
  ],
  EBADR: (facts) => [
    `the cluster named on the volume${facts.cluster === null ? "" : `, '${facts.cluster}',`} is not the running one`,
    "compare the names; tunefs.ocfs2 --update-cluster-stack writes the running one's",
  ],
  ESRCH: () => ["the stack's control daemon does not run", "start the cluster's services on this node"],
  EEXIST: () => [
    "an OCFS2 tool or another program uses the volume's lock space on this node",
    "wait until it has ended, then try again",
  ],
  EPROTO: () => [
    "the nodes speak different versions of the locking protocol",
    "run kernels on all nodes that speak one version",
  ],
  EIO: (facts) => [
    `'${facts.device}' cannot be read or written, or its checksums do not fit`,
    "look at the kernel log and at the path to the disk, then run fsck.ocfs2",
  ],
  ENOMEM: () => ["the kernel has no memory left for this", "free some memory, then try again"],
  ENOSPC: () => ["the volume has no room for what mounting needs", FSCK],
  ENOTBLK: (facts) => [
    `'${facts.device}' is not a block device`,
    "use a loop device for an image file: losetup --find --show FILE",
  ],
  ENOTDIR: (facts) => [`'${facts.directory}' is not a directory`, "name a directory"],
  ENXIO: (facts) => [`there is no disk behind '${facts.device}'`, "check the path to the disk"],
  EPERM: () => ["this process may not mount", "run it as root, in the initial user namespace"],
  ETIMEDOUT: () => ["another node did not answer in time", "look at the kernel logs of the other nodes"],
  EINTR: () => [
    "joining the lock manager's domain was given up",
    "try again; look at the kernel logs of the other nodes if it happens again",
  ],
};

/** ERESTARTSYS: meant for inside of the kernel; reaches us when the domain stayed contended for 90 s (kernel-abi 7.2). */
const RAW_RESTART = 512;

/**
 * Cause and remedy of a failed mount(2) or remount. `error` carries `errno` (negative) and, where they are known,
 * `kernelMessages`; one without errno explains itself.
 */
export function explainMountFailure(error: unknown, facts: MountFacts): Explanation {
  const failure = (error ?? {}) as {
    errno?: unknown;
    kernelMessages?: unknown;
    message?: unknown;
    remedy?: string;
  };
  if (typeof failure.errno !== "number")
    return { cause: String(failure.message ?? error), remedy: failure.remedy };
  const isRestart = Math.abs(failure.errno) === RAW_RESTART;
  const name = isRestart ? "EINTR" : (errnoName(error) ?? `errno ${Math.abs(failure.errno)}`);
  const messages = Array.isArray(failure.kernelMessages) ? failure.kernelMessages.map(String) : [];
  const [cause, remedy] = fromMessages(messages, name, facts) ??
    strangeOptions(name, facts) ??
    (isUserStack(facts) ? userStackAnswers[name]?.(facts) : undefined) ??
    byErrno[name]?.(facts) ?? [`it gave no reason but ${name}`, LOOK_AT_LOG];
  return { cause, remedy };
}

function isUserStack({ stack }: MountFacts): boolean {
  return stack !== "" && stack !== CLASSIC_STACK;
}

function strangeOptions(errno: string, facts: MountFacts): Answer | undefined {
  if (errno !== "EINVAL") return undefined;
  const strange = facts.options
    .map(optionName)
    .filter((name) => !isOcfs2Option(name) && !securityNames.has(name));
  if (strange.length === 0) return undefined;
  const names = strange.map((name) => quoted(name)).join(", ");
  return [
    `probably for ${names}, which OCFS2 does not know`,
    `leave ${names} out, or have it ignored with mount -s`,
  ];
}

function fromMessages(messages: readonly string[], errno: string, facts: MountFacts): Answer | undefined {
  for (const message of messages.toReversed()) {
    for (const [errnos, pattern, explain] of clues) {
      const match = errnos.split(" ").includes(errno) ? pattern.exec(message) : null;
      if (match !== null) return explain(match[1] ?? "", facts);
    }
  }
  return undefined;
}
