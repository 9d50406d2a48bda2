// What an audit says about the heartbeat regions of this node, and what a reap does about it: plain data, as --json prints it.
//
// The published schemas are in docs/schemas; a test holds them to what the commands write.
import type { HeartbeatMode } from "../steps.ts";

/**
 * `in-use`: it beats and everything that counts on it is known. `orphan`: it beats for nobody. `half-made`: its heartbeat never
 * started. `pinned-without-reference`: a mount or a DLM domain relies on it that is not counted. `unexplained-references`: more is
 * counted than can be accounted for; a C tool may hold it. `unknown`: whether its volume is mounted cannot be told from here.
 * `absent`: nothing of it is on this node.
 */
export const verdicts = [
  "in-use",
  "orphan",
  "half-made",
  "pinned-without-reference",
  "unexplained-references",
  "unknown",
  "absent",
] as const;
export type Verdict = (typeof verdicts)[number];

/** One thing that was looked at, and what it said. */
export interface Evidence {
  /** a path, or the name of what was looked at */
  source: string;
  says: string;
}

export type LivenessState = "alive" | "dead" | "unknown";

export interface Liveness {
  state: LivenessState;
  evidence: Evidence[];
}

/** Who counts on a region. */
export interface Holder {
  /** `ocfs2` for a mount, else the program's name */
  service: string;
  /** `mount`: a live superblock; `process`: a program that runs; `kept`: joined for good by ocfs2_hb_ctl -S, until -K */
  kind: "mount" | "process" | "kept";
  /** how many references of the region are theirs; 0 for a mount that is not counted */
  references: number;
  pid: number | null;
  /** mount point as recorded or seen, a hint */
  directory: string | null;
  /** ISO 8601; null where it is not recorded */
  since: string | null;
  /** whether this package's record says so; false where it is concluded from the kernel's state */
  recorded: boolean;
}

export interface RegionAudit {
  /** 32 upper-case hexadecimal digits */
  region: string;
  cluster: string | null;
  mode: HeartbeatMode;
  /** in configfs; null where only a semaphore set or records are left */
  directory: string | null;
  /** the kernel's name of the disk it beats on; null where it does not beat */
  disk: string | null;
  /** `major:minor` of that disk; null where it is gone */
  deviceNumber: string | null;
  blockBytes: number | null;
  startBlock: string | null;
  blocks: number | null;
  /** of the heartbeat thread */
  pid: number | null;
  /** whether something depends on the region in the kernel; null where debugfs does not tell */
  pinned: boolean | null;
  /** milliseconds since its last beat, likewise */
  elapsedMs: number | null;
  /** the nodes it sees, likewise */
  liveNodes: number[] | null;
  /** the count; 0 without a set, null where it may not be read */
  references: number | null;
  /** whether there is a semaphore set */
  hasSet: boolean;
  /** the process that holds or last held the region's mutex, where it still runs */
  lastUser: { pid: number; name: string; holdsMutex: boolean } | null;
  superblock: Liveness & { mounts: { directory: string; namespace: string }[] };
  /** DLM domains of the region's name that are no mount's */
  domains: string[];
  holders: Holder[];
  /** references of mounts that are known to be gone: a reap drops them */
  stale: number;
  /** references that nothing accounts for: a reap drops them only with force */
  unexplained: number;
  /** records of this region that mean nothing any more */
  staleRecords: string[];
  verdict: Verdict;
  /** one sentence */
  reason: string;
}

export interface Audit {
  /** ISO 8601 */
  time: string;
  bootId: string | null;
  /** 4 bytes; null without any OCFS2 module */
  stack: string | null;
  cluster: string | null;
  mode: HeartbeatMode | null;
  /** what the kernel runs at the end of a superblock; null where nothing is */
  hbCtlPath: string | null;
  regions: RegionAudit[];
  /** records that cannot be read, each with the reason */
  damagedRecords: Evidence[];
  /** what could not be looked at, and what follows */
  notes: string[];
}

export interface ReapAction {
  region: string;
  /** how many stale references are dropped */
  drop: number;
  /** how many more, which are not known to be stale, because of force */
  forced: number;
  /** whether the region is stopped */
  stop: boolean;
  /** whether the semaphore set goes */
  removeSet: boolean;
  /** directories of DLM domains that are left first; where somebody holds a lock in one, nothing is done */
  domains: string[];
  records: string[];
  reason: string;
}

export interface ReapPlan {
  time: string;
  actions: ReapAction[];
  /** regions that are left as they are, each with the reason */
  kept: { region: string; verdict: Verdict; reason: string }[];
}

export interface ReapResult {
  done: ReapAction[];
  /** planned, but not done: the state had changed, or the kernel refused */
  skipped: { region: string; reason: string; code: string | null }[];
  kept: ReapPlan["kept"];
}

export type MonitorEvent =
  /** everything is watched; what is there at that moment */
  | { event: "ready"; regions: number; superblocks: number }
  | { event: "region"; region: string }
  | { event: "region-gone"; region: string }
  /** a live superblock is watched from now on */
  | { event: "superblock"; region: string; disk: string | null; directory: string }
  /** it has died, however it did */
  | { event: "superblock-gone"; region: string; disk: string | null }
  /** its reference was dropped */
  | { event: "left"; region: string; references: number; stopped: boolean; reason: string }
  /** something is left that is not to be touched; told once for each change */
  | { event: "kept"; region: string; verdict: Verdict; reason: string }
  | { event: "failed"; region: string | null; code: string; message: string };
