// What a refused mount(2) means on a userspace stack, where mount(2) is the join: by errno, where the kernel's own words did not tell.
//
// Facts relied on: userspace-stack 8 (the errnos and when they come), 6.3 (a tool has the lockspace of the volume's name: EEXIST here, EPROTO
// elsewhere), 3.2 (ESRCH without callbacks and without a control daemon; EINVAL for a newer locking protocol). EUNATCH is the DLM's answer where
// dlm_controld has told it of the cluster and does not run any more. Pure: see errno-guide.ts.
import { restamp } from "../stack/user-cluster.ts";
import type { Answer, MountFacts } from "./errno-clues.ts";
import { LOOK_AT_LOG } from "./errno-clues.ts";

const START_SERVICES =
  "start the cluster's services on this node (corosync and dlm_controld, by their units or by Pacemaker)";
const WAIT_FOR_TOOL = "wait until it has ended, then try again";
/** Measured (6.1, dlm 4.2): the locks of a tool that is killed go, its lock space stays, and keeps every mount out. */
const killedTool = (uuid: string | undefined, where: string): string =>
  `if none runs, one was killed: \`dlm_tool leave ${uuid ?? "UUID"}\` ${where} takes away what it left`;

export const userStackAnswers: Record<string, (facts: MountFacts) => Answer> = {
  EBADR: ({ cluster, runningCluster, device }) => [
    `the volume belongs to ${cluster === null ? "no cluster" : `the cluster '${cluster}'`}, and ${runningCluster ? `'${runningCluster}'` : "another one"} is running here`,
    restamp(device),
  ],
  EBUSY: ({ stack, runningStack, mountedOn, device }) => {
    if (runningStack && runningStack !== stack)
      return [
        `the stack '${runningStack}' is active on this node, and the volume belongs to '${stack}'`,
        "unmount the volumes of the active stack and stop it first",
      ];
    if (mountedOn !== undefined)
      return [
        `the volume is mounted on '${mountedOn}' already, there or in the other of read-only and read-write`,
        "mount it with the same ro or rw at another directory",
      ];
    return [
      `'${device}' is in use: mounted already (the other way of ro and rw, or at this directory), claimed by another device, or opened exclusively`,
      `look at ls /sys/class/block/*/holders and at who has it open: fuser -v '${device}'`,
    ];
  },
  EEXIST: ({ uuid }) => [
    "an OCFS2 tool on this node is at work on the volume, and has its lock space",
    `${WAIT_FOR_TOOL}; ${killedTool(uuid, "on this node")}`,
  ],
  EINVAL: ({ stack }) => [
    `it found an option or the volume invalid, or other nodes of the stack '${stack}' speak a newer locking protocol`,
    LOOK_AT_LOG,
  ],
  ENOENT: ({ stack, device, directory }) => [
    `the kernel module of the stack '${stack}', '${device}' or '${directory}' is missing`,
    "load the module (modprobe ocfs2_stack_user), and check both paths",
  ],
  ENOTCONN: ({ stack }) => [
    `the lock manager of the stack '${stack}' does not run on this node`,
    START_SERVICES,
  ],
  EPROTO: ({ uuid }) => [
    "on another node an OCFS2 tool is at work on the volume and has its lock space, or a kernel that speaks another version",
    `${WAIT_FOR_TOOL}; ${killedTool(uuid, "on its node")}; and use kernels that speak one version on all nodes`,
  ],
  ESRCH: ({ hasRecoveryCallbacks }) => [
    hasRecoveryCallbacks === false
      ? "dlm_controld runs without recovery callbacks, and no control daemon (ocfs2_controld) has connected to the kernel"
      : "no control daemon (ocfs2_controld) has connected to the kernel, which would need one",
    "start dlm_controld without --enable_fscontrol, or start ocfs2_controld beside it",
  ],
  EUNATCH: () => ["dlm_controld does not run any more on this node", START_SERVICES],
};
