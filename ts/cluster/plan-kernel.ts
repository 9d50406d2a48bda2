// What differs in the kernel from what is wanted, and what of it can be done while the cluster runs on this host: a pure function.
//
// Facts relied on: what the kernel takes at which time. kernel-abi 1.4: a node's directory is made at any time and its attributes are written
// once, so a change is remove and make anew; that of a live node, or of this host while a heartbeat runs, must not go. 1.5: mode and
// dead threshold stand still while a region exists, in silence. 1.3: idle and keepalive while a peer is connected. 1.7: of three quorum
// regions or fewer none can go while a DLM domain lives. 4: the stack while a mount or a DLM domain uses one.
//
// A node can be added while everything runs, also with local heartbeat (users 1.2, C15 thinks otherwise, since the original's scripts do
// not register again what is online).
import { isThisHost } from "../config/model.ts";
import type { HeartbeatMode } from "../steps.ts";
import { CLASSIC_STACK } from "../volume.ts";
import type { DesiredNode, DesiredState } from "./desired-state.ts";
import type { CurrentState, Difference, PlanStep, Value } from "./plan-types.ts";
import type { ClusterState, RegisteredNode } from "./registered.ts";

/** As many quorum regions the kernel holds while a DLM domain lives. */
const MAX_PINNED = 3;

export interface Work {
  diff: Difference[];
  steps: PlanStep[];
}

export function kernelWork(current: CurrentState, desired: DesiredState): Work {
  const work: Work = { diff: [], steps: [] };
  const { registered, stack } = current;
  const differs = (path: string, from: Value, to: Value): void =>
    void work.diff.push({ where: "kernel", path, from, to });
  if (desired.stack !== undefined && stack !== null && stack !== desired.stack) {
    differs("stack", stack, desired.stack);
    work.steps.push({
      kind: "set-stack",
      description: `set the stack to '${CLASSIC_STACK}'`,
      online: !current.inUse,
      reason: current.inUse ? `a mount or a DLM domain uses '${stack}'` : `nothing uses '${stack}'`,
    });
  }
  if (registered !== null && registered.name !== desired.cluster.name) {
    differs("name", registered.name, desired.cluster.name);
    const isIdle = registered.regions.length === 0 && !current.inUse;
    work.steps.push({
      kind: "change-cluster",
      description: `register cluster '${desired.cluster.name}' in place of '${registered.name}'`,
      online: isIdle,
      reason: isIdle ? "nothing beats on this host" : "the kernel has one cluster at a time",
    });
  } else if (registered !== null) {
    modeWork(work, registered, desired.cluster.mode);
    timeoutWork(work, registered, desired);
    nodeWork(work, registered, desired.cluster.nodes, current.hostname);
    heartbeatWork(work, current, registered, desired);
  }
  if (desired.leave !== undefined && current.leave !== null && current.leave !== desired.leave) {
    differs("leave", current.leave, desired.leave);
    work.steps.push({
      kind: "set-leave",
      description:
        desired.leave === "kernel"
          ? "let the kernel run ocfs2_hb_ctl at the end of each mount"
          : "let umount.ocfs2 and the monitor leave at the end of each mount",
      online: true,
      reason: "the kernel looks it up at the end of each mount",
    });
  }
  return work;
}

function modeWork(work: Work, { mode, regions }: ClusterState, wanted: HeartbeatMode): void {
  if (mode === wanted) return;
  work.diff.push({ where: "kernel", path: "mode", from: mode, to: wanted });
  work.steps.push({
    kind: "set-mode",
    description: `change the heartbeat from ${mode} to ${wanted}`,
    online: regions.length === 0,
    reason:
      regions.length === 0
        ? "no heartbeat region exists on this host"
        : `the kernel ignores it while there are heartbeat regions, and there ${regions.length === 1 ? "is one" : `are ${regions.length}`}`,
  });
}

function timeoutWork(work: Work, registered: ClusterState, { timeouts = {} }: DesiredState): void {
  const { regions, connected } = registered;
  const regionsReason =
    regions.length === 0
      ? { online: true, reason: "no heartbeat region exists on this host" }
      : { online: false, reason: "the kernel ignores it while there are heartbeat regions" };
  const peersReason =
    connected === null && regions.length > 0
      ? { online: false, reason: "debugfs does not tell whether a peer is connected, and a heartbeat runs" }
      : (connected ?? []).length > 0
        ? {
            online: false,
            reason: `node ${(connected ?? []).join(", ")} is connected, and the kernel refuses it then`,
          }
        : { online: true, reason: "no peer is connected" };
  const always = { online: true, reason: "the kernel takes it at any time" };
  const rules = [
    ["deadThreshold", "the dead threshold", regionsReason],
    ["idleMs", "the idle timeout", peersReason],
    ["keepaliveMs", "the keepalive delay", peersReason],
    ["reconnectMs", "the reconnect delay", always],
    ["fenceMethod", "the fence method", always],
  ] as const;
  for (const [name, what, how] of rules) {
    const from = registered.timeouts[name];
    const to = timeouts[name];
    // A driver that has no such setting never will.
    if (to === undefined || from === null || from === to) continue;
    work.diff.push({ where: "kernel", path: `timeouts/${name}`, from, to });
    work.steps.push({ kind: "set-timeout", description: `set ${what} to ${to}`, ...how });
  }
}

function nodeWork(
  work: Work,
  registered: ClusterState,
  wanted: readonly DesiredNode[],
  hostname: string | null,
): void {
  const { nodes } = registered;
  work.diff.push(...nodeDifferences("kernel", nodes, wanted));
  const own = wanted.find(({ name }) => hostname !== null && isThisHost(name, hostname));
  for (const node of nodes.filter(({ name }) => !wanted.some((one) => one.name === name)))
    work.steps.push({
      kind: "remove-node",
      description: `remove node '${node.name}'`,
      ...removal(registered, node),
    });
  for (const node of wanted) {
    const before = nodes.find(({ name }) => name === node.name);
    if (before === undefined)
      work.steps.push({
        kind: "add-node",
        description: `add node '${node.name}', number ${node.number}`,
        online: true,
        reason: "the kernel takes a node at any time; every node needs it before the new one mounts",
      });
    else if (before.number !== node.number || before.address !== node.address || before.port !== node.port)
      work.steps.push({
        kind: "change-node",
        description: `register node '${node.name}' anew, as number ${node.number} at ${node.address}:${node.port}`,
        ...removal(registered, before),
      });
    else if (before.local !== (node === own)) {
      // A registration that was killed leaves the nodes without the local one; a host may have got another name.
      work.diff.push({
        where: "kernel",
        path: `nodes/${node.name}/local`,
        from: before.local,
        to: node === own,
      });
      work.steps.push({
        kind: "change-node",
        description: `register node '${node.name}' anew, as ${node === own ? "this host" : "another host"}`,
        ...removal(registered, before),
      });
    }
  }
}

function removal(
  { regions, live, connected }: ClusterState,
  node: RegisteredNode,
): Pick<PlanStep, "online" | "reason"> {
  if (regions.length === 0) return { online: true, reason: "nothing beats on this host" };
  if (node.local) return { online: false, reason: "it is this host, whose heartbeat relies on it" };
  if (live === null)
    return { online: false, reason: "debugfs does not tell whether it is live, and a live node must stay" };
  const isLive = node.number !== null && (live.includes(node.number) || connected?.includes(node.number));
  return isLive
    ? { online: false, reason: "it is live: some kernels hang when a live node is removed" }
    : { online: true, reason: "it is not live" };
}

function heartbeatWork(
  work: Work,
  { file, inUse }: CurrentState,
  { mode, regions }: ClusterState,
  { cluster }: DesiredState,
): void {
  if (cluster.mode !== "global" || (mode === "local" && regions.length > 0)) return;
  const wanted = cluster.heartbeats ?? file?.heartbeats.map(({ region }) => region) ?? [];
  const running = regions.filter(({ disk }) => disk !== null).map(({ name }) => name);
  for (const region of wanted.filter((one) => !running.includes(one))) {
    work.diff.push({ where: "kernel", path: `heartbeats/${region}`, from: null, to: region });
    work.steps.push({
      kind: "start-heartbeat",
      description: `start the heartbeat on region ${region}`,
      online: true,
      reason: "a region can be added at any time; every node needs it before the next one joins",
    });
  }
  const isFree = (left: number): boolean => !inUse || left > MAX_PINNED;
  regions
    .map(({ name }) => name)
    .filter((one) => !wanted.includes(one))
    .forEach((region, index) => {
      // The new ones are started first.
      const left = new Set([...running, ...wanted]).size - index;
      work.diff.push({ where: "kernel", path: `heartbeats/${region}`, from: region, to: null });
      work.steps.push({
        kind: "stop-heartbeat",
        description: `stop the heartbeat on region ${region}`,
        online: isFree(left),
        reason: !inUse
          ? "nothing uses the cluster on this host"
          : left > MAX_PINNED
            ? "with more than three regions the kernel lets one go"
            : "a volume or a DLM domain is in use, and of three regions or fewer the kernel lets none go",
      });
    });
}

/** Names that go, and each value of the others that differs. */
export function nodeDifferences(
  where: Difference["where"],
  from: readonly (DesiredNode | RegisteredNode)[],
  to: readonly DesiredNode[],
): Difference[] {
  const gone = from.filter(({ name }) => !to.some((node) => node.name === name));
  return [
    ...gone.map(({ name }): Difference => ({ where, path: `nodes/${name}`, from: name, to: null })),
    ...to.flatMap((node) => {
      const before = from.find(({ name }) => name === node.name);
      return (["number", "address", "port"] as const)
        .filter((key) => before?.[key] !== node[key])
        .map((key): Difference => {
          return { where, path: `nodes/${node.name}/${key}`, from: before?.[key] ?? null, to: node[key] };
        });
    }),
  ];
}
