// corosync of a fake machine with a node list: what cmap would answer.
import { USER_CLUSTER, type FakeKernel } from "./fake-native.ts";

export interface ListedNode {
  id: number;
  name?: string;
  /** default true */
  isMember?: boolean;
}

export const TWO_NODES: readonly ListedNode[] = [
  { id: 1, name: "n1" },
  { id: 2, name: "n2" },
];

/** `totem.cluster_name`, `nodelist` and the members, as corosync 3 has them. */
export function runCorosync(
  kernel: FakeKernel,
  nodes: readonly ListedNode[] = TWO_NODES,
  { clusterName = USER_CLUSTER, isQuorate = true }: { clusterName?: string | null; isQuorate?: boolean } = {},
): void {
  const map = new Map<string, string>();
  for (const [place, { id, name, isMember = true }] of nodes.entries()) {
    map.set(`nodelist.node.${place}.ring0_addr`, `10.9.0.${place + 1}`);
    map.set(`nodelist.node.${place}.nodeid`, String(id));
    if (name !== undefined) map.set(`nodelist.node.${place}.name`, name);
    map.set(`runtime.members.${id}.status`, isMember ? "joined" : "left");
  }
  kernel.services.corosync = { clusterName, isQuorate, map };
}
