// The domains of the classic stack's DLM on this node, whoever joined them.
//
// Facts relied on: kernel-abi 5 (dlmfs: a directory is a domain), 3 (debugfs lists every domain, those of mounts under the volume's UUID).
import type { Native } from "../native-types.ts";
import { listOrNone } from "../region/regions.ts";
import { dlmfsMounts } from "./dlmfs.ts";

const DOMAINS = "/sys/kernel/debug/o2dlm";

export interface ClusterDomain {
  name: string;
  /** in dlmfs; null for a mount's, and where dlmfs is not mounted here */
  directory: string | null;
}

/** Every DLM domain of this node, as debugfs and dlmfs tell. Errors: what makes them unreadable. */
export async function clusterDomains(native: Native): Promise<ClusterDomain[]> {
  const found = new Map<string, string | null>();
  for (const name of await listOrNone(native, DOMAINS)) found.set(name, null);
  for (const target of await dlmfsMounts(native))
    for (const name of await listOrNone(native, target)) found.set(name, `${target}/${name}`);
  return [...found].map(([name, directory]) => ({ name, directory }));
}
