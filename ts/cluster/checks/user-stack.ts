// A userspace stack on this host: plugin, control devices, corosync with its quorum, dlm_controld with its mode, the cluster's name, and what a mount
// would miss. Says nothing where no user stack is meant: neither the running one, nor that of the settings, nor of a volume that is named.
//
// Facts relied on: userspace-stack 2.6, 3.2 and 9.5 (recover_callbacks), 4.2 (C tools wait 10 s for /dev/misc/dlm-control where only the link is missing), 5
// (16 bytes for the cluster's name; links of the control devices), 6.1 (a mount without quorum waits inside the kernel), 6.3 (the module
// ocfs2_dlmfs makes the C tools take dlmfs, which never works beside callbacks). /proc/misc has a line `MINOR NAME` for each device.
import { exists, readHint } from "../../attributes.ts";
import type { Native } from "../../native-types.ts";
import {
  DLM_CONTROL,
  isMiscDevice,
  MISC_FILE,
  MISC_MAJOR,
  miscMinor,
  miscPlaces,
  PLUGIN_CONTROL,
} from "../../stack/misc-devices.ts";
import { USER_PLUGIN } from "../../stack/setup.ts";
import { nameProblem } from "../../stack/user-cluster.ts";
import { CLASSIC_STACK, openVolume } from "../../volume.ts";
import {
  describeUserStack,
  dlmProblem,
  isDlmReady,
  missingDaemon,
  type UserStackStatus,
} from "../user-stack.ts";
import { hostUserStack } from "./host-stack.ts";
import { failure, good, warning, type Check, type CheckContext, type Finding } from "./finding.ts";

const START =
  "start corosync and dlm_controld: systemctl start corosync dlm, or the cluster's resource for dlm";

export const userStackChecks: readonly Check[] = [
  {
    id: "user-stack",
    look: async (context) => {
      const stack = await meantStack(context);
      if (stack === null) return [];
      const found = await describeUserStack(context.native, stack, context.signal);
      return [
        pluginFinding(found),
        ...(await deviceFindings(context.native, found)),
        corosyncFinding(found),
        ...quorumFindings(found),
        dlmFinding(found),
        ...nameFindings(found),
        ...daemonFindings(found),
        ...(await dlmfsFindings(context.native, found)),
      ];
    },
  },
];

/** That of the host, else of a volume that is named; null: the classic one. */
async function meantStack({ native, devices, signal }: CheckContext): Promise<string | null> {
  const host = await hostUserStack(native, signal);
  if (host !== null) return host;
  const volumes = await Promise.all(
    devices.map((device) => openVolume(native, device, { signal }).catch(() => null)),
  );
  return volumes.find((one) => one !== null && !one.isLocal && one.stack !== CLASSIC_STACK)?.stack ?? null;
}

function pluginFinding({ stack, isPluginLoaded }: UserStackStatus): Finding {
  const id = "stack-plugin";
  return isPluginLoaded
    ? good(id, `the kernel has the plugin for the stack '${stack}'`)
    : warning(
        id,
        `the kernel has not loaded the plugin for the stack '${stack}'`,
        `load it: o2cb set-stack ${stack}, or modprobe ${USER_PLUGIN}`,
      );
}

/** Of the DLM's, and of the plugin's where a control daemon has to open it. */
async function deviceFindings(native: Native, { transport }: UserStackStatus): Promise<Finding[]> {
  const misc = (await readHint(native, MISC_FILE)) ?? "";
  const names = [DLM_CONTROL, ...(transport === "controld" ? [PLUGIN_CONTROL] : [])];
  return (await Promise.all(names.map((name) => deviceFinding(native, name, misc)))).flat();
}

async function deviceFinding(native: Native, name: string, misc: string): Promise<Finding[]> {
  const id = "control-device";
  const minor = miscMinor(misc, name);
  if (minor === null)
    return [
      warning(
        id,
        `the kernel has no device ${name}: its module is not loaded`,
        `load it: modprobe ${USER_PLUGIN}`,
        name,
      ),
    ];
  const places = miscPlaces(name);
  const there = await Promise.all(places.map((path) => isMiscDevice(native, path, minor).catch(() => false)));
  if (there[0]) return [good(id, `${places[0]} leads to the kernel's device`, name)];
  const remedy = `have udev make the link (package libdlm3 has the rules), or make it: mkdir -p /dev/misc; ln -s ../${name} ${places[0]}`;
  if (there[1])
    return [
      warning(
        id,
        `${places[0]} is missing, and the C tools wait 10 s for it; ${places[1]} is there`,
        remedy,
        name,
      ),
    ];
  return [
    failure(
      id,
      `the kernel's device ${name} is neither at ${places.join(" nor at ")}`,
      `start udev, or make it: mknod -m 600 ${places[1]} c ${MISC_MAJOR} ${minor}`,
      name,
    ),
  ];
}

function corosyncFinding({ corosync }: UserStackStatus): Finding {
  const id = "corosync";
  const { problem, cluster, nodes } = corosync;
  if (problem !== null) return failure(id, problem, START);
  if (cluster === null)
    return failure(
      id,
      "corosync runs, and its cluster has no name",
      "set cluster_name in the section totem of corosync.conf on all nodes, and start corosync again",
    );
  return good(id, `corosync runs the cluster '${cluster}' with ${nodes.length} nodes`);
}

function quorumFindings({ corosync: { problem, isQuorate, nodes } }: UserStackStatus): Finding[] {
  const id = "quorum";
  if (problem !== null) return [];
  if (isQuorate === null) return [warning(id, "corosync does not tell whether this node has quorum", null)];
  const gone = nodes
    .filter(({ isMember }) => isMember === false)
    .map(({ number, name }) => name ?? String(number));
  if (!isQuorate)
    return [
      failure(
        id,
        "this node's side of the cluster has no quorum: a mount waits inside the kernel, where no signal reaches it",
        "start the other nodes, and look at the network between them (corosync-quorumtool)",
      ),
    ];
  if (gone.length > 0)
    return [
      warning(
        id,
        `this node has quorum; ${gone.join(", ")} ${gone.length === 1 ? "is" : "are"} no member`,
        null,
      ),
    ];
  return [good(id, "this node has quorum")];
}

function dlmFinding({ stack, dlm, transport }: UserStackStatus): Finding {
  const id = "dlm-controld";
  if (!isDlmReady(dlm))
    return failure(id, `${dlmProblem(dlm)}, and the stack '${stack}' stands on it`, START);
  if (dlm.recoverCallbacks === false)
    return warning(
      id,
      "dlm_controld runs without recovery callbacks (--enable_fscontrol): the kernel hears of a dead node from a control daemon only, and one with CONFIG_FORTIFY_SOURCE crashes on that",
      "start dlm_controld without --enable_fscontrol",
    );
  const how =
    transport === "kernel"
      ? "mount(2) joins a volume by itself"
      : `volumes of '${stack}' are joined through ocfs2_controld`;
  return good(id, `dlm_controld runs with recovery callbacks: ${how}`);
}

/** Against each other, and against what a volume has room for. */
function nameFindings({ dlm, corosync }: UserStackStatus): Finding[] {
  const id = "cluster-name";
  const name = dlm.cluster ?? corosync.cluster;
  if (name === null) return [];
  if (dlm.cluster !== null && corosync.cluster !== null && dlm.cluster !== corosync.cluster)
    return [
      failure(
        id,
        `the cluster is '${corosync.cluster}' in corosync, and '${dlm.cluster}' in the kernel's DLM, which compares volumes with that`,
        "unmount the volumes, and start corosync and dlm_controld again",
      ),
    ];
  const problem = nameProblem(name);
  if (problem === null) return [good(id, `volumes can carry the cluster's name '${name}'`)];
  return [
    failure(
      id,
      `no volume can carry the cluster's name '${name}': ${problem}`,
      "give the cluster another cluster_name in corosync.conf on all nodes",
    ),
  ];
}

function daemonFindings(found: UserStackStatus): Finding[] {
  const id = "control-daemon";
  if (found.transport === "kernel") return [];
  const missing = missingDaemon(found.stack, found);
  if (missing === null) return [good(id, "ocfs2_controld answers on this node")];
  return [failure(id, missing.message, missing.remedy ?? null)];
}

async function dlmfsFindings(native: Native, { dlm }: UserStackStatus): Promise<Finding[]> {
  if (dlm.recoverCallbacks === false || !(await exists(native, "/sys/module/ocfs2_dlmfs"))) return [];
  return [
    warning(
      "dlmfs-loaded",
      "the module ocfs2_dlmfs is loaded: the C tools (tunefs.ocfs2, fsck.ocfs2) then lock volumes through dlmfs, which this stack's DLM refuses",
      "unmount dlmfs and unload it: umount /dlm; modprobe -r ocfs2_dlmfs",
    ),
  ];
}
