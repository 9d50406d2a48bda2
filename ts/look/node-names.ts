// Names of nodes by their numbers: of the cluster that is registered here, else of the one in cluster.conf that a volume names.
//
// A number without a name is no failure: the names only make a sentence better.
import { CLUSTER_CONF } from "../config/cluster-conf.ts";
import { loadConfig } from "../config/store.ts";
import type { Native } from "../native-types.ts";
import { readClusterState } from "../cluster/registered.ts";

export type NodeNames = ReadonlyMap<number, string>;

/** `cluster` is the one in a volume's stamp; null: any. What cannot be read has no names. */
export async function nodeNames(
  native: Native,
  cluster: string | null,
  { configPath = CLUSTER_CONF, signal }: { configPath?: string; signal?: AbortSignal | undefined } = {},
): Promise<NodeNames> {
  const fits = (name: string): boolean => cluster === null || name === cluster;
  const state = await readClusterState(native).catch(() => null);
  if (state !== null && fits(state.name))
    return new Map(state.nodes.flatMap(({ number, name }) => (number === null ? [] : [[number, name]])));
  const loaded = await loadConfig(native, configPath, { signal }).catch(() => null);
  const clusters = (loaded?.config.clusters ?? []).filter(({ name }) => fits(name));
  // Of two clusters neither is meant more than the other.
  const only = clusters.length === 1 ? clusters[0] : undefined;
  return new Map((only?.nodes ?? []).map(({ number, name }) => [number, name]));
}
