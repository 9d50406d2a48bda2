// Who keeps a cluster from going offline: mounts, DLM domains and the processes behind them, and regions of local heartbeat with theirs.
//
// Facts relied on: kernel-abi 5 and commands 2.5 (dlmfs: a directory is a domain, programs open its files), 3 (debugfs lists every domain, those
// of mounts under the volume's UUID), 7.3 (mountinfo shows the heartbeat mode of a clustered mount). A process that has joined a domain
// need not have a file open: then only the domain can be named.
import { dlmfsMounts } from "../dlm/dlmfs.ts";
import { clusterDomains, type ClusterDomain } from "../dlm/domains.ts";
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { processFacts } from "../process.ts";
import { audit } from "../region/audit.ts";
import type { RegionAudit } from "../region/audit-types.ts";
import { allMounts, type MountSeen } from "../region/liveness.ts";
import { listOrNone } from "../region/regions.ts";
import type { KernelWrites } from "./writes.ts";

const PARALLEL = 16;

export interface ClusterProcess {
  pid: number;
  name: string;
  /** the first file of it that was found */
  path: string;
}

export interface ClusterHolders {
  mounts: MountSeen[];
  /** those of mounts too */
  domains: ClusterDomain[];
  /** that have files of dlmfs open, as far as /proc tells */
  processes: ClusterProcess[];
  /** of local heartbeat: left after a reap */
  regions: RegionAudit[];
}

/** Whether a mount relies on the classic stack's heartbeat. */
export function isClustered({ entry }: MountSeen): boolean {
  return entry.superOptions.split(",").some((option) => /^heartbeat=(local|global)$/.test(option));
}

/** Looks; changes nothing. Errors: what makes a mount table, debugfs or dlmfs unreadable: then nothing may be stopped either. */
export async function clusterHolders({
  native,
  signal,
}: Pick<KernelWrites, "native" | "signal">): Promise<ClusterHolders> {
  const [mounts, dlmfs, domains, seen] = await Promise.all([
    allMounts(native, signal),
    dlmfsMounts(native),
    clusterDomains(native),
    audit(native, { probe: true, signal }),
  ]);
  return {
    mounts: mounts.filter(isClustered),
    domains,
    processes: domains.length === 0 ? [] : await usersOf(native, dlmfs),
    regions: seen.mode === "local" ? seen.regions.filter(({ directory }) => directory !== null) : [],
  };
}

/** The processes with a file below one of the directories open. What cannot be looked at is left out. */
async function usersOf(native: Native, directories: readonly string[]): Promise<ClusterProcess[]> {
  if (directories.length === 0) return [];
  const waiting = (await listOrNone(native, "/proc")).filter((name) => /^\d+$/.test(name));
  const found: ClusterProcess[] = [];
  const work = async (): Promise<void> => {
    for (let pid = waiting.shift(); pid !== undefined; pid = waiting.shift()) {
      const path = await openBelow(native, pid, directories);
      if (path === null) continue;
      const facts = await processFacts(native, Number(pid)).catch(() => null);
      found.push({ pid: Number(pid), name: facts?.name ?? "?", path });
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return found.toSorted((one, other) => one.pid - other.pid);
}

async function openBelow(
  native: Native,
  pid: string,
  directories: readonly string[],
): Promise<string | null> {
  const files = await native.listFiles(`/proc/${pid}/fd`).catch((): string[] => []);
  for (const file of files) {
    const target = await native.readLink(`/proc/${pid}/fd/${file}`).catch(() => "");
    if (directories.some((directory) => target === directory || target.startsWith(`${directory}/`)))
      return target;
  }
  return null;
}

/** One phrase for each thing that holds the cluster; a domain that is a mount's, and a region that is, go with the mount. */
export function holderPhrases({ mounts, domains, processes, regions }: ClusterHolders): string[] {
  const phrases = mounts.map(
    ({ directory, namespace, entry }) =>
      `the mount of ${entry.source} on '${directory}'${namespace === null ? "" : ` (seen in ${namespace})`}`,
  );
  const volumes = new Set(regions.map(({ region }) => region));
  for (const { name, directory } of domains) {
    if (directory === null && (volumes.has(name) || mounts.length > 0)) continue;
    phrases.push(`the DLM domain '${name}'${directory === null ? "" : ` (${directory})`}`);
  }
  for (const { pid, name, path } of processes)
    phrases.push(`process ${pid} (${name}), which has '${path}' open`);
  for (const { region, reason, superblock, holders } of regions) {
    if (superblock.mounts.length > 0) continue;
    const who = holders.map(({ service, pid }) => (pid === null ? service : `${service}, process ${pid}`));
    phrases.push(
      `the heartbeat region ${region}: ${reason}${who.length === 0 ? "" : ` [${who.join("; ")}]`}`,
    );
  }
  return phrases;
}

/** Errors: O2CB_REGION_IN_USE with all their names. */
export function refuseHolders(cluster: string, holders: ClusterHolders, operation: string): void {
  const phrases = holderPhrases(holders);
  if (phrases.length === 0) return;
  throw new O2cbError("O2CB_REGION_IN_USE", `cluster '${cluster}' is in use by ${phrases.join("; ")}`, {
    operation,
    cluster,
    region: holders.regions[0]?.region,
    path: holders.mounts[0]?.directory ?? holders.domains[0]?.directory ?? undefined,
    holder: holders.processes[0]?.pid,
    remedy:
      "o2cb drain unmounts the volumes; end the programs, or ocfs2_hb_ctl -K what they hold, for the rest",
  });
}
