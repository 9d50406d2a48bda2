// What runs on this host: stack, modules, file systems, the cluster with its nodes and timeouts, regions and who holds them. Reads only.
//
// Facts relied on: group-api 5.5: a cluster is registered where a node is local, and online where it has, in global mode, a region too; 1.2,
// 1.3 (stack and revision), kernel-abi 3, 4, 5. What may not be read is null, or a note of the audit. A user stack is online where a volume of it
// could be mounted, but for the quorum (user-stack.ts).
//
// No module is loaded, no device is opened, and no configuration file is read: this is the kernel's view, and corosync's of a user stack.
import { exists, readHint } from "../attributes.ts";
import { dlmfsMounts } from "../dlm/dlmfs.ts";
import { clusterDomains, type ClusterDomain } from "../dlm/domains.ts";
import { isCode } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { audit } from "../region/audit.ts";
import type { RegionAudit } from "../region/audit-types.ts";
import { HB_CTL_PATH } from "../region/hb-ctl-path.ts";
import { findConfigfs, readRevision, STACK_FILE } from "../stack/detect.ts";
import { stackHolderPhrases, stackHolders } from "../stack/stack-holders.ts";
import type { HeartbeatMode } from "../steps.ts";
import { CLASSIC_STACK } from "../volume.ts";
import { DEBUGFS_DIRECTORY } from "./modules.ts";
import { readClusterState, type ClusterState } from "./registered.ts";
import type { ClusterTimeouts } from "./timeouts.ts";
import { isUserStackOnline, userCluster, userStackStatus, type UserStackStatus } from "./user-stack.ts";

export const STACK_MODULES = [
  "configfs",
  "ocfs2_stackglue",
  "ocfs2_nodemanager",
  "ocfs2_dlm",
  "ocfs2_stack_o2cb",
  "ocfs2_stack_user",
  "dlm",
  "ocfs2_dlmfs",
  "ocfs2",
] as const;

export interface NodeStatus {
  name: string;
  number: number | null;
  address: string | null;
  port: number | null;
  isLocal: boolean;
  /** whether it beats; null where debugfs does not tell */
  isLive: boolean | null;
  /** whether there is a connection to it; likewise, and null for this node */
  isConnected: boolean | null;
}

export interface ClusterStatus {
  /** 4 bytes; null where nothing of OCFS2 is loaded */
  stack: string | null;
  /** `o2cb` or `user`: the stack cannot be changed now; null: nothing uses it, or it cannot be read */
  activePlugin: string | null;
  /** a phrase for each mount, DLM domain or lockspace, and heartbeat region that uses a stack */
  stackUsers: string[];
  /** of the o2cb interface; null without the classic stack */
  revision: number | null;
  modules: { name: string; isLoaded: boolean }[];
  /** where it is mounted; null where it is not, as the next two */
  configfs: string | null;
  debugfs: string | null;
  dlmfs: string[];
  /** the registered one; with a user stack that of corosync */
  cluster: string | null;
  isRegistered: boolean;
  isOnline: boolean;
  mode: HeartbeatMode | null;
  nodes: NodeStatus[];
  regions: RegionAudit[];
  timeouts: ClusterTimeouts | null;
  /** as the kernel has it; null where there is no such setting */
  hbCtlPath: string | null;
  domains: ClusterDomain[];
  /** null where no user stack runs */
  user: UserStackStatus | null;
  /** what could not be looked at */
  notes: string[];
}

export async function clusterStatus(
  native: Native,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<ClusterStatus> {
  const { signal } = options;
  const [
    label,
    revision,
    configfs,
    isDebugging,
    dlmfs,
    state,
    seen,
    hbCtlPath,
    domains,
    loaded,
    holders,
    user,
  ] = await Promise.all([
    readHint(native, STACK_FILE),
    readRevision(native, signal).catch(() => null),
    findConfigfs(native, signal),
    exists(native, `${DEBUGFS_DIRECTORY}/o2hb`, signal).catch(() => false),
    dlmfsMounts(native),
    readClusterState(native),
    audit(native, { signal }),
    readHint(native, HB_CTL_PATH),
    clusterDomains(native).catch(() => null),
    Promise.all(STACK_MODULES.map((name) => exists(native, `/sys/module/${name}`, signal))),
    stackHolders(native, signal),
    lookAtUserStack(native, signal),
  ]);
  const notes = [
    ...seen.notes,
    ...(domains === null ? ["DLM domains cannot be listed: run this as root"] : []),
    ...(typeof user === "string" ? [user] : []),
  ];
  const userStack = typeof user === "string" ? null : user;
  return {
    stack: label ?? (revision === null ? null : CLASSIC_STACK),
    activePlugin: holders.plugin,
    stackUsers: stackHolderPhrases(holders),
    revision,
    modules: STACK_MODULES.map((name, index) => ({ name, isLoaded: loaded[index] ?? false })),
    configfs,
    debugfs: isDebugging ? DEBUGFS_DIRECTORY : null,
    dlmfs,
    cluster: state?.name ?? (userStack === null ? null : userCluster(userStack)),
    isRegistered: isRegistered(state),
    isOnline: isOnline(state) || (userStack !== null && isUserStackOnline(userStack)),
    mode: state?.mode ?? null,
    nodes: state === null ? [] : nodesOf(state),
    regions: seen.regions,
    timeouts: state?.timeouts ?? null,
    hbCtlPath,
    domains: domains ?? [],
    user: userStack,
    notes,
  };
}

/** Why it cannot be told is a text. */
async function lookAtUserStack(
  native: Native,
  signal: AbortSignal | undefined,
): Promise<UserStackStatus | null | string> {
  try {
    return await userStackStatus(native, signal);
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    return `the user stack cannot be looked at: ${(error as Error).message}`;
  }
}

export function isRegistered(state: ClusterState | null): state is ClusterState {
  return state?.nodes.some(({ local }) => local) ?? false;
}

export function isOnline(state: ClusterState | null): boolean {
  return isRegistered(state) && (state.mode === "local" || state.regions.length > 0);
}

function nodesOf({ nodes, live, connected }: ClusterState): NodeStatus[] {
  return nodes.map(({ name, number, address, port, local }) => ({
    name,
    number,
    address,
    port,
    isLocal: local,
    isLive: live === null || number === null ? null : live.includes(number),
    isConnected: connected === null || number === null || local ? null : connected.includes(number),
  }));
}

/** The word, and the exit status of `online-status`: 0, 1 or 2. */
export interface OnlineStatus {
  cluster: string | null;
  state: "online" | "offline" | "error";
  status: 0 | 1 | 2;
  /** why it cannot be told */
  reason: string | null;
}

/** Whether the cluster, or without a name any, is online. Never throws. */
export async function onlineStatus(native: Native, name: string | null = null): Promise<OnlineStatus> {
  try {
    const [state, user] = await Promise.all([readClusterState(native), userStackStatus(native)]);
    const running = state?.name ?? (user === null ? null : userCluster(user));
    const isRunning = isOnline(state) || (user !== null && isUserStackOnline(user));
    const isIt = isRunning && (name === null || running === name);
    const cluster = name ?? running;
    return { cluster, state: isIt ? "online" : "offline", status: isIt ? 0 : 1, reason: null };
  } catch (error) {
    return { cluster: name, state: "error", status: 2, reason: (error as Error).message };
  }
}
