// Steps as lines: for people, who want to know what is being waited for, and for programs, one JSON object on each line.
//
// The published form of --json, on standard output:
//   {"step": "start-heartbeat", …}          one line per step, the fields of ts/steps.ts
//   {"result": {…}, "status": 0}            the last line of a success: what mountVolume or unmountVolume returned
//                                           (ocfs2_hb_ctl writes this line and no steps; o2cb monitor events instead)
//   {"error": {"code": "O2CB_…", "message": …, "remedy": …, "errno": -22, "errnoName": "EINVAL", "kernelMessages": […], …},
//    "status": 32}                          the last line of a failure; absent fields are not written
// New steps and fields may be added. A wrong command line is told on standard error only.
import type { OnStep, Step } from "../steps.ts";
import { failureData } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

export type Importance = "waiting" | "warning" | "detail";
export interface Line {
  importance: Importance;
  text: string;
}

type Lines = { [Name in Step["step"]]: (step: Extract<Step, { step: Name }>) => Line | null };

const detail = (text: string): Line => ({ importance: "detail", text });
const waiting = (text: string): Line => ({ importance: "waiting", text });
const seconds = (milliseconds: number): string => {
  return milliseconds < 10_000
    ? `${(milliseconds / 1000).toFixed(1)} s`
    : `${Math.round(milliseconds / 1000)} s`;
};
const references = (count: number): string => (count === 1 ? "1 reference" : `${count} references`);

/** How often a wait of unknown length is told again. */
const REPEAT_MS = 10_000;

const lines: Lines = {
  "read-volume": ({ device }) => detail(`reading the superblock of '${device}'`),
  volume: ({ uuid, label, stack, cluster, mode }) => {
    const whose =
      mode === "none"
        ? "one node's own"
        : `stack ${stack}, ${cluster === null ? "any cluster" : `cluster '${cluster}'`}, ${mode} heartbeat`;
    return detail(`volume ${uuid}${label === "" ? "" : ` '${label}'`}: ${whose}`);
  },
  "load-module": ({ module }) => detail(`loading the kernel module ${module}`),
  "set-stack": ({ stack }) => detail(`making '${stack}' this node's cluster stack`),
  cluster: ({ cluster, mode, node, nodeNumber }) => {
    const whose =
      nodeNumber === null
        ? `this host is in cluster '${cluster}'`
        : `this host is node ${nodeNumber}${node === null ? "" : ` '${node}'`} of cluster '${cluster}'`;
    return detail(mode === "none" ? whose : `${whose}, ${mode} heartbeat`);
  },
  "wait-volume-lock": ({ path }) =>
    waiting(`waiting for another mount or unmount of this volume on this node to end (it holds ${path})`),
  "volume-lock-unavailable": ({ path, reason }) => detail(`going on without the lock ${path} (${reason})`),
  "record-unavailable": ({ path, reason }) =>
    detail(`going on without a note of this join in ${path} (${reason})`),
  "drop-stale": ({ region, references: count, reason }) =>
    detail(`dropping ${references(count)} of region ${region}: ${reason}`),
  reap: ({ region, reason }) => detail(`clearing region ${region}: ${reason}`),
  "wait-region-lock": ({ region, holder, waitedMs }) => {
    if (waitedMs >= REPEAT_MS && waitedMs % REPEAT_MS !== 0) return null;
    if (waitedMs > 1000 && waitedMs < REPEAT_MS) return null;
    const who = holder === null ? "another process" : `process ${holder}`;
    return waiting(
      `waiting for ${who}, which is starting or stopping the heartbeat of region ${region} (${seconds(waitedMs)} so far)`,
    );
  },
  "create-region": ({ region }) => detail(`making the heartbeat region ${region}`),
  "discard-region": ({ region, reason }) => detail(`removing what was left of region ${region}: ${reason}`),
  "adopt-region": ({ region, references: count, reason }) =>
    detail(`using the running region ${region} with ${references(count)}: ${reason}`),
  "start-heartbeat": ({ device, expectedMs, reason }) =>
    waiting(
      `waiting about ${seconds(expectedMs)} for the heartbeat on '${device}' to become steady: ${reason}`,
    ),
  heartbeat: ({ milliseconds }) => detail(`the heartbeat is steady after ${seconds(milliseconds)}`),
  "wait-nodes": ({ region, nodes }) =>
    waiting(
      `waiting until this kernel sees what beats in region ${region}, or has been silent for long: node ${nodes.join(", ")}`,
    ),
  reference: ({ references: count, persistent }) =>
    detail(
      `${references(count)} to the region${persistent ? ", ours to stay once the volume is mounted" : ""}`,
    ),
  "additional-mount": ({ references: count }) =>
    detail(`the volume is mounted on this node already: sharing its ${references(count)}`),
  "repair-reference": ({ region }) =>
    detail(`putting back the reference of region ${region} that an earlier command lost`),
  mount: ({ device, directory, options, readOnly }) =>
    detail(`mounting '${device}' on '${directory}' ${readOnly ? "read-only " : ""}with ${options.join(",")}`),
  mounted: ({ milliseconds }) => detail(`mounted after ${seconds(milliseconds)}`),
  complete: ({ result }) =>
    detail(result === 0 ? "the join is complete" : `the join is given up (${result})`),
  undo: ({ reason }) => detail(`undoing what was begun: ${reason}`),
  unmount: ({ directory, device, lazy }) =>
    detail(`unmounting '${device}' from '${directory}'${lazy ? " lazily" : ""}`),
  unmounted: ({ milliseconds }) => detail(`unmounted after ${seconds(milliseconds)}`),
  "remount-read-only": ({ directory }) => detail(`'${directory}' is in use: making it read-only`),
  "still-in-use": ({ reason }) => detail(`the group is not left yet: ${reason}`),
  "kernel-leaves": ({ program }) => detail(`the kernel leaves the group through ${program}`),
  leave: ({ references: count }) => detail(`left the group; ${references(count)} remain`),
  "stop-heartbeat": ({ milliseconds }) => detail(`the heartbeat is stopped after ${seconds(milliseconds)}`),
  "write-superblock": ({ device, offset, isBackup }) =>
    detail(
      `writing the ${isBackup ? "backup of the superblock" : "superblock"} of '${device}' at byte ${offset}`,
    ),
  "undo-file": ({ path }) => detail(`the old superblocks are kept in '${path}'`),
  "claim-instead-of-lock": ({ device, reason }) =>
    waiting(`looking for up to 4 s whether '${device}' is used anywhere, since no lock can tell: ${reason}`),
  "io-priority": ({ pid }) => detail(`gave the heartbeat's thread ${pid} real-time I/O priority`),
  "join-domain": ({ domain }) => detail(`joining the DLM domain ${domain}`),
  "leave-domain": ({ domain, milliseconds }) =>
    detail(`left the DLM domain ${domain} after ${seconds(milliseconds)}`),
  "wait-lock": ({ lock, holder, isQueued }) =>
    waiting(
      `waiting for the lock ${lock}, which ${holder === "process" ? "another process on this node" : "another node"} has${isQueued ? "; the kernel queues for it" : ""}`,
    ),
  "exclusion-unavailable": ({ path, reason }) =>
    detail(`going on without keeping other processes of this node apart in ${path} (${reason})`),
  "lock-down": ({ journals }) =>
    detail(`the volume is locked: its super block's lock is held, ${journals} journals were free`),
  "release-cluster": () => detail("the volume is unlocked"),
  "claim-volume": ({ device }) => detail(`claimed '${device}', a volume for one node`),
  "wait-daemon": ({ request, waitedMs }) =>
    waiting(
      `waiting for ocfs2_controld ${request === "MOUNT" ? "to join the volume's group" : "to answer"} (${seconds(waitedMs)} so far)`,
    ),
  "wait-quorum": () =>
    waiting(
      "this node's partition has no quorum: joining waits inside the kernel until other nodes come, where no signal reaches it",
    ),
  "wait-fencing": ({ nodes }) =>
    waiting(
      `waiting for the cluster to fence ${nodes.length === 0 ? "a node that died" : `node ${nodes.join(", ")}`} before the volume can be joined`,
    ),
  "wait-members": ({ nodes, reason }) =>
    waiting(
      `waiting for the members of the volume's lock space${nodes.length === 0 ? "" : ` (node ${nodes.join(", ")})`}: ${reason}`,
    ),
  "waiting-for-kernel": ({ operation, reason }) =>
    waiting(`waiting for the kernel to answer the ${operation}, however long that takes: ${reason}`),
  change: ({ action, path, value, isDryRun }) =>
    detail(
      `${isDryRun ? "would " : ""}${action} '${path}'${value === null ? "" : `: ${JSON.stringify(value)}`}`,
    ),
  skip: ({ what, reason }) => detail(`leaving out ${what}: ${reason}`),
  warning: ({ message }) => ({ importance: "warning", text: `warning: ${message}` }),
};

/** A step as a line for people; null for one that needs none, or that this version does not know. */
export function stepLine(step: Step): Line | null {
  if (!Object.hasOwn(lines, step.step)) return null;
  return (lines[step.step] as (step: Step) => Line | null)(step);
}

export interface ReportStyle {
  name: string;
  verbose: boolean;
  json: boolean;
}

/** A listener for steps. Warnings are always told, waits on a terminal or with -v, the rest with -v; with --json everything. */
export function reporter(style: ReportStyle, terminal: Terminal): OnStep {
  if (style.json) return (step) => terminal.out(JSON.stringify(step));
  let isWatched: boolean | undefined;
  return (step) => {
    const line = stepLine(step);
    if (line === null) return;
    const isTold =
      style.verbose ||
      line.importance === "warning" ||
      (line.importance === "waiting" && (isWatched ??= terminal.isWatched()));
    if (isTold) terminal.err(`${style.name}: ${line.text}`);
  };
}

/** The last line of a success with --json. Numbers of 64 bits are text: JSON's readers would round them. */
export function resultLine(data: object, status: number): string {
  const plain = (_key: string, value: unknown): unknown => {
    if (typeof value === "bigint") return value.toString();
    return value instanceof Error ? failureData(value) : value;
  };
  return JSON.stringify({ result: data, status }, plain);
}
