// What exists of the cluster group on a node, and the text of a cluster.conf. Pure; node.ts does the input and output.

export interface GroupState {
  readonly regions: readonly { readonly cluster: string; readonly name: string }[];
  /** System V semaphore sets: key (signed decimal, as in /proc/sysvipc/sem), id, number of semaphores */
  readonly semaphoreSets: readonly { readonly key: number; readonly id: number; readonly count: number }[];
  readonly mounts: readonly { readonly source: string; readonly directory: string }[];
  readonly domains: readonly string[];
}

/** Reads the lines of group_state in guest/lib.sh. */
export function parseGroupState(text: string): GroupState {
  const lines = text.split("\n").map((line) => line.split(" "));
  const of = (kind: string) => lines.filter(([first]) => first === kind);
  return {
    regions: of("region").map(([, cluster = "", name = ""]) => ({ cluster, name })),
    semaphoreSets: of("semaphores").map(([, key, id, count]) => ({
      key: Number(key),
      id: Number(id),
      count: Number(count),
    })),
    mounts: of("mount").map(([, source = "", directory = ""]) => ({ source, directory })),
    domains: of("domain").map(([, name = ""]) => name),
  };
}

/** One phrase for each thing that is there. */
export function leftovers(state: GroupState): string[] {
  return [
    ...state.mounts.map(({ source, directory }) => `the mount of ${source} on ${directory}`),
    ...state.domains.map((name) => `the domain ${name}`),
    ...state.regions.map(({ cluster, name }) => `the region ${name} of cluster ${cluster}`),
    ...state.semaphoreSets.map(
      ({ key }) => `the semaphore set 0x${(key >>> 0).toString(16).padStart(8, "0")}`,
    ),
  ];
}

export interface ClusterConf {
  readonly mode?: "local" | "global";
  /** how many nodes: n1 on 10.9.0.1, and so on */
  readonly nodes?: number;
  /** UUIDs of the regions of a cluster in global mode */
  readonly regions?: readonly string[];
}

/** The text of /etc/ocfs2/cluster.conf (o2cb.conf(5) of ocfs2-tools). */
export function clusterConf(name: string, { mode = "local", nodes = 1, regions = [] }: ClusterConf): string {
  const stanza = (title: string, fields: Record<string, string | number>) =>
    `${title}:\n${Object.entries(fields)
      .map(([field, value]) => `\t${field} = ${value}\n`)
      .join("")}\n`;
  const numbers = Array.from({ length: nodes }, (_, index) => index + 1);
  return [
    stanza("cluster", { name, heartbeat_mode: mode, node_count: nodes }),
    ...numbers.map((number) =>
      stanza("node", {
        cluster: name,
        number,
        ip_port: 7777,
        ip_address: `10.9.0.${number}`,
        name: `n${number}`,
      }),
    ),
    ...regions.map((region) => stanza("heartbeat", { cluster: name, region })),
  ].join("");
}
