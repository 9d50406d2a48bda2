// What a userspace stack stands on, as it is on this host: plugin, DLM, corosync, dlm_controld, and the control daemon where one is needed. A look; and
// the demand that all of it is there.
//
// Facts relied on: userspace-stack 3.2, 5 (what a mount needs), 6.1 (without quorum a mount waits), 9.5 (dlm_controld fills dlm/cluster in configfs, with
// recover_callbacks 0 and no name in the mode that needs a control daemon), 1.1 (whose socket is there only once it can serve).
//
// Nothing of it is started here: these are services of the distribution, or of Pacemaker.
import { exists } from "../attributes.ts";
import { isCode, isErrno, O2cbError } from "../errors.ts";
import { CONTROLD_SOCKET } from "../controld/connection.ts";
import type { Native } from "../native-types.ts";
import { pause } from "../pause.ts";
import { listOrNone } from "../region/regions.ts";
import { readLabel } from "../stack/detect.ts";
import { hasPlugin } from "../stack/setup.ts";
import { readDlmSettings, transportOf, type Transport } from "../stack/transport.ts";
import {
  corosyncMembers,
  corosyncNodes,
  requireUserCluster,
  userClusterNames,
  type CorosyncNode,
} from "../stack/user-cluster.ts";
import { CLASSIC_STACK } from "../volume.ts";

export interface UserStackStatus {
  /** 4 bytes */
  stack: string;
  isPluginLoaded: boolean;
  /** how a volume's group is joined: inside mount(2), or through the control daemon */
  transport: Transport;
  corosync: {
    /** totem.cluster_name */
    cluster: string | null;
    /** null where it does not tell */
    isQuorate: boolean | null;
    /** of its node list; `isMember` is null where it cannot be told */
    nodes: (CorosyncNode & { isMember: boolean | null })[];
    /** why it does not answer; null where it does */
    problem: string | null;
  };
  dlm: {
    isLoaded: boolean;
    /** whether dlm_controld has set up the kernel's DLM; what it wrote outlives it */
    isConfigured: boolean;
    /** whether dlm_controld answers */
    isRunning: boolean;
    /** as the kernel compares it; null where it has none */
    cluster: string | null;
    /** true: the kernel hears of dead nodes from the DLM; false: a control daemon has to tell it; null: nobody has said */
    recoverCallbacks: boolean | null;
    /** on this node, of mounts and of programs */
    lockspaces: string[];
  };
  /** whether ocfs2_controld answers on this node */
  hasControlDaemon: boolean;
}

/** Null where another stack than a user stack runs, or none. Errors: O2CB_ABORTED, and what makes sysfs or configfs unreadable. */
export async function userStackStatus(native: Native, signal?: AbortSignal): Promise<UserStackStatus | null> {
  const stack = await readLabel(native, signal);
  return stack === null || stack === CLASSIC_STACK ? null : describeUserStack(native, stack, signal);
}

/** The same of a stack that may not be the running one. */
export async function describeUserStack(
  native: Native,
  stack: string,
  signal?: AbortSignal,
): Promise<UserStackStatus> {
  const [isPluginLoaded, transport, names, settings, isLoaded, lockspaces, isRunning, hasControlDaemon] =
    await Promise.all([
      hasPlugin(native, stack, signal),
      transportOf(native, stack, signal),
      userClusterNames(native, signal),
      readDlmSettings(native, signal),
      exists(native, "/sys/module/dlm", signal),
      listOrNone(native, "/sys/kernel/dlm"),
      dlmControldAnswers(native, signal),
      answers(native, signal),
    ]);
  const { recoverCallbacks } = settings;
  return {
    stack,
    isPluginLoaded,
    transport,
    corosync: {
      cluster: names.corosync,
      problem: names.problem,
      ...(names.problem === null ? await membership(native, names.corosync, signal) : NO_MEMBERSHIP),
    },
    dlm: {
      isLoaded,
      isRunning,
      isConfigured: settings.clusterName !== null || recoverCallbacks !== null,
      cluster: names.dlm,
      recoverCallbacks: recoverCallbacks === null ? null : recoverCallbacks !== "0",
      lockspaces,
    },
    hasControlDaemon,
  };
}

/** The name of no volume. */
const NO_LOCKSPACE = "ocfs2-group-look";
const NO_MEMBERSHIP = { isQuorate: null, nodes: [] };

async function membership(
  native: Native,
  cluster: string | null,
  signal: AbortSignal | undefined,
): Promise<Pick<UserStackStatus["corosync"], "isQuorate" | "nodes">> {
  const [isQuorate, nodes, members] = await Promise.all([
    orNull(native.isQuorate({ signal })),
    orNull(corosyncNodes(native, signal)),
    corosyncMembers(native, cluster, signal),
  ]);
  // Without quorum no side knows who lives.
  const isMember = (number: number): boolean | null => (members.size === 0 ? null : members.has(number));
  return {
    isQuorate,
    nodes: (nodes ?? []).map(({ number, name }) => ({ number, name, isMember: isMember(number) })),
  };
}

async function orNull<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    return null;
  }
}

/** It has an answer for a lockspace that there is not. */
async function dlmControldAnswers(native: Native, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await native.lockspaceState(NO_LOCKSPACE, { signal });
    return true;
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    // It is there, and says something else.
    return !isCode(error, "O2CB_SERVICE_UNAVAILABLE");
  }
}

/** A connection that says nothing leaves nothing behind (userspace-stack 2.3: only that of a mounter counts). */
async function answers(native: Native, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    (await native.connectAbstract(CONTROLD_SOCKET, { signal })).close();
    return true;
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    // It is there, and lets nobody in who is not root.
    return isErrno(error, "EACCES", "EPERM");
  }
}

/** The cluster's name; null where nobody knows it. */
export function userCluster({ dlm, corosync }: UserStackStatus): string | null {
  return dlm.cluster ?? corosync.cluster;
}

/** Whether dlm_controld runs and has set up the kernel's DLM. */
export function isDlmReady({ isConfigured, isRunning }: UserStackStatus["dlm"]): boolean {
  return isConfigured && isRunning;
}

/** Whether volumes of this stack can be mounted here, but for the quorum, which comes and goes. */
export function isUserStackOnline({
  isPluginLoaded,
  transport,
  dlm,
  hasControlDaemon,
}: UserStackStatus): boolean {
  return isPluginLoaded && isDlmReady(dlm) && (transport === "kernel" || hasControlDaemon);
}

export interface UserStackReady {
  cluster: string;
  transport: Transport;
  hasControlDaemon: boolean;
  /** null where corosync does not tell */
  isQuorate: boolean | null;
}

/** Between two looks for what dlm_controld writes. */
const LOOK_MS = 250;

export interface RequireOptions {
  operation: string;
  signal?: AbortSignal | undefined;
  /** how long dlm_controld may take to set up the kernel's DLM, where corosync answers: it does so shortly after it has started. Default: no time */
  patienceMs?: number | undefined;
}

/**
 * What runs, where corosync and dlm_controld do. The control daemon cannot be asked for: it starts once its stack is the running one.
 * Errors: O2CB_SERVICE_UNAVAILABLE, O2CB_CONFIGURATION_ERROR and O2CB_INVALID_CLUSTER_NAME (the cluster's name).
 */
export async function requireUserServices(
  native: Native,
  stack: string,
  { operation, signal, patienceMs = 0 }: RequireOptions,
): Promise<UserStackReady> {
  const end = performance.now() + patienceMs;
  let found = await describeUserStack(native, stack, signal);
  while (!isDlmReady(found.dlm) && found.corosync.problem === null && performance.now() < end) {
    await pause(LOOK_MS, signal);
    found = await describeUserStack(native, stack, signal);
  }
  const { dlm, corosync, transport, hasControlDaemon } = found;
  if (!isDlmReady(dlm))
    throw new O2cbError(
      "O2CB_SERVICE_UNAVAILABLE",
      `${dlmProblem(dlm)}, and the stack '${stack}' stands on it${corosync.problem === null ? "" : `; ${corosync.problem}`}`,
      {
        operation,
        clusterStack: stack,
        remedy:
          "start corosync and dlm_controld: systemctl start corosync dlm, or the cluster's resource for dlm",
      },
    );
  const cluster = await requireUserCluster(native, stack, { operation, signal });
  return { cluster, transport, hasControlDaemon, isQuorate: corosync.isQuorate };
}

/** Why the DLM is not ready, without a full stop. */
export function dlmProblem({ isConfigured, isRunning }: UserStackStatus["dlm"]): string {
  if (!isRunning && isConfigured)
    return "dlm_controld does not answer on this node, though the kernel's DLM still has the cluster that it set";
  return isRunning
    ? "dlm_controld runs on this node, and has not set up the kernel's DLM"
    : "dlm_controld does not run on this node";
}

/** The control daemon, where volumes are joined through it and it does not answer; null where nothing is missing. */
export function missingDaemon(
  stack: string,
  { transport, hasControlDaemon }: Pick<UserStackReady, "transport" | "hasControlDaemon">,
): O2cbError | null {
  if (transport === "kernel" || hasControlDaemon) return null;
  return new O2cbError(
    "O2CB_SERVICE_UNAVAILABLE",
    `no ocfs2_controld answers on this node, and volumes of the stack '${stack}' are joined through it`,
    {
      operation: "find-control-daemon",
      clusterStack: stack,
      remedy: "start it, after corosync and dlm_controld: systemctl start ocfs2-controld",
    },
  );
}
