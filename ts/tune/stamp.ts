// The stamp that the running cluster would give a volume, and stamps in words.
//
// Facts relied on (measured with tunefs.ocfs2 1.8.7): a volume that comes to a cluster is stamped `o2cb`, the registered cluster's name, and the
// flag of its heartbeat mode; a classic volume without a stamp is at home in any o2cb cluster with local heartbeat, and stays as it is. The C tool
// gives a volume with the old slot map the new one first; that is more than a change of the superblock, so here such a volume stays without a stamp
// where that is possible. userspace-stack 4.3, 5: a user stack's stamp is its label and the name of corosync's cluster, without flags; in which of the
// two forms it is written, the core decides by the form that the volume has.
import type { ClusterStamp, Native, VolumeFacts } from "../native-types.ts";
import { runningCluster } from "../stack/cluster.ts";
import { detectStack, type DetectOptions } from "../stack/detect.ts";
import { requireUserCluster } from "../stack/user-cluster.ts";
import { CLASSIC_STACK, GLOBAL_HEARTBEAT, INCOMPAT } from "../volume.ts";

/** Errors: those of detectStack, of runningCluster, and of requireUserCluster where a user stack runs. */
export async function runningStamp(native: Native, options: DetectOptions): Promise<ClusterStamp> {
  const { signal } = options;
  const { stack, configfs } = await detectStack(native, options);
  if (stack !== CLASSIC_STACK)
    return {
      stack,
      cluster: await requireUserCluster(native, stack, { operation: "tune-volume", signal }),
      flags: 0,
    };
  // detectStack refuses the classic stack without configfs.
  const { name, mode } = await runningCluster(native, configfs ?? "", signal);
  return { stack, cluster: name, flags: mode === "global" ? GLOBAL_HEARTBEAT : 0 };
}

/** The stamp the volume is to get for `running`; `same` where it has a fitting one. */
export function stampFor(
  facts: VolumeFacts,
  running: ClusterStamp,
): { stamp: ClusterStamp | null } | { same: true } {
  const { featureIncompat } = facts;
  const isStamped = (featureIncompat & (INCOMPAT.userspaceStack | INCOMPAT.clusterInfo)) !== 0;
  const needsNone = running.stack === CLASSIC_STACK && (running.flags & GLOBAL_HEARTBEAT) === 0;
  const wasCluster = (featureIncompat & INCOMPAT.localMount) === 0;
  if (!isStamped && needsNone && wasCluster) return { same: true };
  if (isStamped && sameStamp(facts, running)) return { same: true };
  const canBeStamped = (featureIncompat & INCOMPAT.extendedSlotMap) !== 0;
  // Whether it has to be stamped, the core tells where it cannot be.
  return { stamp: canBeStamped || !needsNone ? running : null };
}

function sameStamp({ stackLabel, stackFlags, clusterName }: VolumeFacts, running: ClusterStamp): boolean {
  return stackLabel === running.stack && clusterName === running.cluster && stackFlags === running.flags;
}

/** `cluster 'lab' of o2cb, local heartbeat`; no full stop. */
export function stampText(stamp: ClusterStamp | null): string {
  if (stamp === null) return "any o2cb cluster with local heartbeat";
  const mode = (stamp.flags & GLOBAL_HEARTBEAT) === 0 ? "local" : "global";
  const heartbeat = stamp.stack === CLASSIC_STACK ? `, ${mode} heartbeat` : "";
  return `cluster '${stamp.cluster}' of ${stamp.stack}${heartbeat}`;
}

/** Where a volume is at home, in words. */
export function homeText(facts: VolumeFacts): string {
  if ((facts.featureIncompat & INCOMPAT.localMount) !== 0) return "one node";
  const { stackLabel, stackFlags: flags, clusterName } = facts;
  if (stackLabel === null) return stampText(null);
  return stampText({ stack: stackLabel, flags, cluster: clusterName ?? "" });
}
