// The cluster of a userspace stack on this node: its name, by the kernel's DLM and by corosync, and the names of its nodes.
//
// Facts relied on: userspace-stack 4.3 (mkfs and tunefs take totem.cluster_name; the kernel compares a volume's stamp with dlm/cluster/cluster_name in
// configfs, which dlm_controld fills from corosync and leaves empty with --enable_fscontrol=1), 5 (a stamp has 16 bytes for the name), 9.2 (nodelist of
// corosync.conf, whose places are counted from 0 without a gap; a node has an address, and its number is the one in the slot map).
//
// cmap_keys(8): runtime.members.NODE.status is `joined` for a member, and another word, or missing, for all others.
//
// corosync that was given another name later goes on with both: then nobody can say which one is meant.
import { isCode, O2cbError, type O2cbErrorFields } from "../errors.ts";
import type { Native } from "../native-types.ts";
import type { Volume } from "../volume.ts";
import { readDlmSettings } from "./transport.ts";

export const CLUSTER_NAME_KEY = "totem.cluster_name";
/** disk-format 1.3 */
export const CLUSTER_NAME_BYTES = 16;
/** More than corosync takes. */
const MAX_NODES = 256;

export interface UserClusterNames {
  /** as the kernel's DLM has it; null where dlm_controld has told it none */
  dlm: string | null;
  /** as corosync has it; null where it has none, or does not answer */
  corosync: string | null;
  /** why corosync does not answer; null where it does */
  problem: string | null;
}

/** Errors: O2CB_ABORTED, and what makes configfs unreadable. */
export async function userClusterNames(native: Native, signal?: AbortSignal): Promise<UserClusterNames> {
  const { clusterName } = await readDlmSettings(native, signal);
  const dlm = clusterName === "" ? null : clusterName;
  try {
    const corosync = (await native.readClusterMap(CLUSTER_NAME_KEY, { signal })) || null;
    return { dlm, corosync, problem: null };
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    return { dlm, corosync: null, problem: (error as Error).message };
  }
}

/** For words: null where it cannot be told. Errors: O2CB_ABORTED. */
export async function userClusterName(native: Native, signal?: AbortSignal): Promise<string | null> {
  try {
    const { dlm, corosync } = await userClusterNames(native, signal);
    return dlm ?? corosync;
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    return null;
  }
}

/**
 * The one name that a volume of this cluster carries.
 * Errors: O2CB_SERVICE_UNAVAILABLE (nobody knows it), O2CB_CONFIGURATION_ERROR (corosync and the kernel differ), O2CB_INVALID_CLUSTER_NAME (no volume
 * can carry it).
 */
export async function requireUserCluster(
  native: Native,
  stack: string,
  { operation, signal }: { operation: string; signal?: AbortSignal | undefined },
): Promise<string> {
  const { dlm, corosync, problem } = await userClusterNames(native, signal);
  const fields = { operation, clusterStack: stack };
  if (dlm !== null && corosync !== null && dlm !== corosync)
    throw new O2cbError(
      "O2CB_CONFIGURATION_ERROR",
      `the cluster of the stack '${stack}' has two names: '${corosync}' in corosync, and '${dlm}' in the kernel's DLM`,
      { ...fields, remedy: "unmount the volumes of this cluster, and start corosync and dlm_controld again" },
    );
  const name = dlm ?? corosync;
  if (name === null)
    throw new O2cbError(
      "O2CB_SERVICE_UNAVAILABLE",
      `the name of the cluster that runs the stack '${stack}' is not known: ${problem ?? `corosync has no ${CLUSTER_NAME_KEY}`}`,
      {
        ...fields,
        remedy: "set cluster_name in the section totem of corosync.conf, and start corosync and dlm_controld",
      },
    );
  const why = nameProblem(name);
  if (why === null) return name;
  throw new O2cbError(
    "O2CB_INVALID_CLUSTER_NAME",
    `no volume can carry the cluster's name '${name}': ${why}`,
    {
      ...fields,
      cluster: name,
      remedy: "give the cluster another cluster_name in corosync.conf on all nodes",
    },
  );
}

/** Why a volume cannot carry the name; null where it can. The blank is the separator of ocfs2_controld's messages (userspace-stack 1.2). */
export function nameProblem(name: string): string | null {
  const bytes = Buffer.byteLength(name);
  if (bytes > CLUSTER_NAME_BYTES) return `it has ${bytes} bytes, and there is room for ${CLUSTER_NAME_BYTES}`;
  return /[\s\p{Cc}]/u.test(name) ? "it has blanks or control characters" : null;
}

/** A volume of another cluster than `running`, or of none. The code is O2CB_INVALID_CLUSTER_NAME; `remedy` takes the place of the usual one. */
export function otherCluster(
  { device, cluster }: Pick<Volume, "device" | "cluster">,
  running: string | undefined,
  fields: O2cbErrorFields,
  remedy: string = restamp(device),
): O2cbError {
  const whose =
    cluster === null
      ? `names no cluster, and '${running ?? "another"}'`
      : `belongs to the cluster '${cluster}', and '${running}'`;
  return new O2cbError("O2CB_INVALID_CLUSTER_NAME", `the volume on '${device}' ${whose} is running here`, {
    ...fields,
    cluster: running,
    remedy,
  });
}

/** What to do about a volume of another cluster. */
export function restamp(device: string): string {
  return `run the cluster that the volume names, or give it the running one's stamp while nobody has it mounted: tunefs.ocfs2 --update-cluster-stack '${device}'`;
}

export interface CorosyncNode {
  number: number;
  /** null where corosync.conf gives it none */
  name: string | null;
}

/** The nodes in corosync.conf, in its order. Errors: O2CB_SERVICE_UNAVAILABLE, O2CB_ABORTED. */
export async function corosyncNodes(native: Native, signal?: AbortSignal): Promise<CorosyncNode[]> {
  const nodes: CorosyncNode[] = [];
  for (let place = 0; place < MAX_NODES; place += 1) {
    const read = (key: string): Promise<string | null> =>
      native.readClusterMap(`nodelist.node.${place}.${key}`, { signal });
    const [address, id, name] = await Promise.all([read("ring0_addr"), read("nodeid"), read("name")]);
    if (address === null && id === null && name === null) break;
    if (id !== null && /^[1-9]\d{0,9}$/.test(id)) nodes.push({ number: Number(id), name: name || null });
  }
  return nodes;
}

/**
 * The numbers of the nodes that are members of the cluster now; none where corosync does not run `cluster`, or this side of it has no quorum: then
 * nobody can tell who lives. Errors: O2CB_ABORTED.
 */
export async function corosyncMembers(
  native: Native,
  cluster: string | null,
  signal?: AbortSignal,
): Promise<ReadonlySet<number>> {
  try {
    const [name, isQuorate] = await Promise.all([
      native.readClusterMap(CLUSTER_NAME_KEY, { signal }),
      native.isQuorate({ signal }),
    ]);
    if (name === null || name !== cluster || !isQuorate) return new Set();
    const numbers = (await corosyncNodes(native, signal)).map(({ number }) => number);
    const states = await Promise.all(
      numbers.map((number) => native.readClusterMap(`runtime.members.${number}.status`, { signal })),
    );
    return new Set(numbers.filter((_, index) => states[index] === "joined"));
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    return new Set();
  }
}
