// The words for a stack that a volume, or somebody, wants and cannot have: both stacks, both clusters, who holds the one that runs, and the
// commands by which the two come together.
//
// Facts relied on: group-api G3 (programs such as fsck branch on the code), userspace-stack 4.1, 8. Looking for the words never fails.
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { registeredCluster } from "../region/regions.ts";
import { CLASSIC_STACK, type Volume } from "../volume.ts";
import { STACK_FILE } from "./detect.ts";
import { stackHolderPhrases, stackHolders, type StackHolders } from "./stack-holders.ts";
import { userClusterName } from "./user-cluster.ts";

export interface RefusalContext {
  volume?: Volume | undefined;
  operation?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** `why`: a reason of its own; null: somebody holds the stack. */
export async function stackRefused(
  native: Native,
  wanted: string,
  running: string,
  { volume, operation = "set-stack", signal }: RefusalContext,
  why: string | null,
  cause?: unknown,
): Promise<O2cbError> {
  const [cluster, holders] = await Promise.all([
    runningClusterName(native, running, signal),
    why === null ? stackHolders(native, signal) : null,
  ]);
  const phrases = holders === null ? [] : stackHolderPhrases(holders);
  // Somebody has brought it online, and may be about to mount.
  const isRegisteredOnly = running === CLASSIC_STACK && cluster !== null && phrases.length === 0;
  if (isRegisteredOnly) phrases.push(`its cluster '${cluster}', which is registered`);
  const reason =
    why ??
    `it is in use by ${phrases.length === 0 ? "something that cannot be seen from here" : phrases.join("; ")}`;
  const here = `'${running}'${cluster === null ? "" : `, cluster '${cluster}'`}`;
  const message =
    volume === undefined
      ? `this node's cluster stack cannot become '${wanted}': it is ${here}, and ${reason}`
      : `${stampPhrase(volume)}, and this node runs the cluster stack ${here}: ${reason}`;
  return new O2cbError("O2CB_INVALID_STACK_NAME", message, {
    operation,
    clusterStack: running,
    cluster: cluster ?? undefined,
    path: STACK_FILE,
    region: volume?.uuid,
    remedy: remedyOf(running, cluster, volume, holders, isRegisteredOnly),
    cause,
  });
}

/** `the volume on '/dev/sdb' belongs to the cluster 'labpc' of the cluster stack 'pcmk'` */
export function stampPhrase({ device, stack, cluster }: Volume): string {
  const whose = cluster === null ? "any cluster" : `the cluster '${cluster}'`;
  return `the volume on '${device}' belongs to ${whose} of the cluster stack '${stack}'`;
}

/** The cluster of the stack that runs; null where it has none, or cannot be told. */
export async function runningClusterName(
  native: Native,
  stack: string,
  signal?: AbortSignal,
): Promise<string | null> {
  if (stack !== CLASSIC_STACK) return userClusterName(native, signal);
  return (await registeredCluster(native).catch(() => null))?.name ?? null;
}

function remedyOf(
  running: string,
  cluster: string | null,
  volume: Volume | undefined,
  holders: StackHolders | null,
  isRegisteredOnly: boolean,
): string {
  const restamp =
    volume === undefined
      ? null
      : `give the volume the running cluster's stamp while no node has it mounted (tunefs.ocfs2 --update-cluster-stack ${volume.device})`;
  const other = restamp ?? `leave this node's stack at '${running}' (O2CB_STACK)`;
  return holders === null ? other : `${release(running, cluster, holders, isRegisteredOnly)}; or ${other}`;
}

/** The command that ends the use of a stack. */
function release(
  running: string,
  cluster: string | null,
  { mounts, regions }: StackHolders,
  isRegisteredOnly: boolean,
): string {
  const again = "then try again";
  const directories = mounts.map(({ directory }) => `'${directory}'`).join(" ");
  if (running === CLASSIC_STACK && (mounts.length > 0 || regions.length > 0 || isRegisteredOnly))
    return mounts.length > 0
      ? `unmount the volumes of '${running}' and take its cluster offline (o2cb drain), ${again}`
      : `take the cluster offline (o2cb offline${cluster === null ? "" : ` ${cluster}`}), ${again}`;
  if (mounts.length > 0) return `unmount the volumes of '${running}' (umount ${directories}), ${again}`;
  return `end the programs that use '${running}', ${again}`;
}
