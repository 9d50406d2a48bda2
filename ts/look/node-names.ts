// Names of nodes by their numbers. Of a classic volume: of the cluster that is registered here, else of the one in cluster.conf that the volume
// names. Of a user stack's: of corosync's node list, whose numbers are those in the slot map; o2cb's have other numbers there.
//
// A number without a name is no failure: the names only make a sentence better.
import { CLUSTER_CONF } from "../config/cluster-conf.ts";
import { loadConfig } from "../config/store.ts";
import { isCode } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { readClusterState } from "../cluster/registered.ts";
import { corosyncNodes, userClusterNames } from "../stack/user-cluster.ts";
import { CLASSIC_STACK, type Volume } from "../volume.ts";

export type NodeNames = ReadonlyMap<number, string>;

const NOBODY: NodeNames = new Map();

export interface NodeNamesOptions {
  configPath?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** What cannot be read has no names. Errors: O2CB_ABORTED. */
export async function nodeNames(
  native: Native,
  { stack, cluster }: Pick<Volume, "stack" | "cluster">,
  { configPath = CLUSTER_CONF, signal }: NodeNamesOptions = {},
): Promise<NodeNames> {
  if (stack !== CLASSIC_STACK) return (await corosyncNames(native, cluster, signal)) ?? NOBODY;
  const fits = (name: string): boolean => cluster === null || name === cluster;
  const registered = await registeredNames(native);
  if (registered !== null && fits(registered.cluster)) return registered.names;
  const loaded = await loadConfig(native, configPath, { signal }).catch(() => null);
  const clusters = (loaded?.config.clusters ?? []).filter(({ name }) => fits(name));
  // Of two clusters neither is meant more than the other.
  const only = clusters.length === 1 ? clusters[0] : undefined;
  return new Map((only?.nodes ?? []).map(({ number, name }) => [number, name]));
}

/** Of the cluster that is registered here; null where none is, or it cannot be read. */
export async function registeredNames(native: Native): Promise<{ cluster: string; names: NodeNames } | null> {
  const state = await readClusterState(native).catch(() => null);
  if (state === null) return null;
  const known = state.nodes.flatMap(({ number, name }) => (number === null ? [] : [[number, name] as const]));
  return { cluster: state.name, names: new Map(known) };
}

/** Of the cluster that corosync runs here, where it is `cluster`; null where it is not, or does not answer. Errors: O2CB_ABORTED. */
export async function corosyncNames(
  native: Native,
  cluster: string | null,
  signal?: AbortSignal,
): Promise<NodeNames | null> {
  try {
    const { corosync } = await userClusterNames(native, signal);
    if (corosync === null || corosync !== cluster) return null;
    const nodes = await corosyncNodes(native, signal);
    return new Map(nodes.flatMap(({ number, name }) => (name === null ? [] : [[number, name] as const])));
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    return null;
  }
}
