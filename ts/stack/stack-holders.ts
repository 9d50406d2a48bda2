// Who keeps this node's cluster stack what it is: what the kernel counts as active, and o2cb's heartbeat, which it does not count.
//
// Facts relied on: kernel-abi 4 (a stack is active while a clustered volume is mounted or a domain of dlmfs is joined; the label cannot change then,
// and the name of the plugin tells no more than o2cb or user), 7.3 (mountinfo: heartbeat=local or global on a volume of o2cb, cluster_stack=LABEL on
// others), userspace-stack 3.3. A region that beats does not make a stack active: the label may be changed under it.
//
// A look only, for words: what cannot be seen is missing from it.
import { readHint } from "../attributes.ts";
import { clusterDomains, type ClusterDomain } from "../dlm/domains.ts";
import { isCode } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { allMounts, type MountSeen } from "../region/liveness.ts";
import { listOrNone, startedRegions, type StartedRegion } from "../region/regions.ts";
import { CLASSIC_STACK, isRegionName } from "../volume.ts";

/** Empty while no stack is active. */
export const ACTIVE_PLUGIN = "/sys/fs/ocfs2/active_cluster_plugin";
/** The lockspaces of fs/dlm on this node: of mounts on a user stack, of programs, of other file systems. */
const LOCKSPACES = "/sys/kernel/dlm";

export interface StackHolders {
  /** `o2cb` or `user`; null: none is active, or it cannot be read */
  plugin: string | null;
  /** clustered ones, in every mount namespace */
  mounts: (MountSeen & { stack: string })[];
  /** of o2cb's DLM; those of mounts too */
  domains: ClusterDomain[];
  /** of fs/dlm whose name is a volume's; those of mounts too */
  lockspaces: string[];
  /** of o2cb, that beat */
  regions: StartedRegion[];
}

/** Errors: O2CB_ABORTED. */
export async function stackHolders(native: Native, signal?: AbortSignal): Promise<StackHolders> {
  const [plugin, mounts, domains, lockspaces, regions] = await Promise.all([
    readHint(native, ACTIVE_PLUGIN),
    orNone(allMounts(native, signal)),
    orNone(clusterDomains(native)),
    orNone(listOrNone(native, LOCKSPACES)),
    orNone(beatingRegions(native)),
  ]);
  return {
    plugin: plugin?.trim() || null,
    mounts: mounts.flatMap((mount) => {
      const stack = stackOfMount(mount);
      return stack === null ? [] : [Object.assign(mount, { stack })];
    }),
    domains,
    lockspaces: lockspaces.filter(isRegionName),
    regions,
  };
}

async function orNone<T>(look: Promise<T[]>): Promise<T[]> {
  try {
    return await look;
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    return [];
  }
}

/** Regions of o2cb with a heartbeat. Errors: what makes configfs unreadable. */
export async function beatingRegions(native: Native): Promise<StartedRegion[]> {
  // A driver without the attribute tells nothing of it: then the directory counts.
  return (await startedRegions(native)).filter(({ dev }) => dev !== "");
}

/** The stack's label of a clustered mount; null for a local volume's. */
export function stackOfMount({ entry }: MountSeen): string | null {
  const options = entry.superOptions.split(",");
  if (options.includes("heartbeat=local") || options.includes("heartbeat=global")) return CLASSIC_STACK;
  return (
    options.find((option) => option.startsWith("cluster_stack="))?.slice("cluster_stack=".length) ?? null
  );
}

/** One phrase for each thing that holds the stack; domains and lockspaces of mounts go with the mount. */
export function stackHolderPhrases({ plugin, mounts, domains, lockspaces, regions }: StackHolders): string[] {
  const phrases = mounts.map(
    ({ directory, namespace, entry }) =>
      `the mount of ${entry.source} on '${directory}'${namespace === null ? "" : ` (seen in ${namespace})`}`,
  );
  const isMounted = mounts.length > 0;
  for (const { name, directory } of domains)
    if (directory !== null || !isMounted)
      phrases.push(`the DLM domain '${name}'${directory === null ? "" : ` (${directory})`}`);
  if (!isMounted) phrases.push(...lockspaces.map((name) => `the DLM lockspace '${name}'`));
  phrases.push(...regions.map(regionPhrase));
  if (phrases.length === 0 && plugin !== null)
    phrases.push(`something that cannot be seen from here (the kernel's plugin '${plugin}' is active)`);
  return phrases;
}

export function regionPhrase({ name, dev }: Pick<StartedRegion, "name" | "dev">): string {
  return `the heartbeat region ${name}${dev === null ? "" : ` on ${dev}`}`;
}
