// The verdict on one region, as a word and a sentence: a pure function over what the audit saw.
import type { RegionAudit, Verdict } from "./audit-types.ts";

type Facts = Omit<RegionAudit, "verdict" | "reason">;

export function judgeVerdict(facts: Facts): { verdict: Verdict; reason: string } {
  const { references, superblock, domains, holders, directory, disk } = facts;
  const say = (verdict: Verdict, reason: string) => ({ verdict, reason });
  if (references === null) return say("unknown", "its references may not be read from here");
  if (directory === null) return withoutRegion(facts);
  if (facts.mode === "global")
    return say("in-use", "it beats for the whole cluster (global heartbeat) and is stopped by o2cb only");
  const joining = joiningOf(holders);
  const busy = facts.lastUser?.holdsMutex === true ? facts.lastUser : null;
  if (disk === null) {
    if (busy !== null) return say("in-use", `${nameOf(busy)} is starting or stopping it`);
    if (joining !== null) return say("in-use", joining);
    return say(
      "half-made",
      references === 0
        ? "its heartbeat was never started: whoever made it has ended"
        : `its heartbeat was never started, though ${counted(references)}`,
    );
  }
  const relied = reliance(facts);
  if (relied !== null && references === 0)
    return say("pinned-without-reference", `${relied}, and no reference counts that`);
  if (facts.unexplained > 0)
    return say(
      "unexplained-references",
      `${counted(facts.unexplained, references)} by nothing that is known here: a C tool may hold ${facts.unexplained === 1 ? "it" : "them"}`,
    );
  if (relied !== null) return say("in-use", relied);
  if (superblock.state === "unknown")
    return say("unknown", "whether its volume is mounted cannot be told without opening the device");
  const living = holders.filter((holder) => holder.references > 0);
  if (references > 0 && living.length > 0) {
    const [first] = living;
    const who = living.map(({ service, pid }) => (pid === null ? service : `${service} (process ${pid})`));
    return say("in-use", `${who.join(", ")} ${living.length === 1 && first ? "holds" : "hold"} it`);
  }
  if (busy !== null) return say("in-use", `${nameOf(busy)} is starting or stopping it`);
  if (joining !== null) return say("in-use", joining);
  if (domains.length > 0) return say("in-use", `a DLM domain relies on it (${domains[0]})`);
  return say(
    "orphan",
    references === 0
      ? "it beats though nobody counts on it: whoever did has ended without leaving"
      : `it beats for ${references === 1 ? "a mount that is" : `${references} mounts that are`} gone: nobody has left for ${references === 1 ? "it" : "them"}`,
  );
}

/** What in the kernel relies on the region; null where nothing does, as far as can be told. */
function reliance({ superblock, domains, pinned }: Facts): string | null {
  const [mount] = superblock.mounts;
  if (mount !== undefined) return `its volume is mounted on '${mount.directory}'`;
  if (superblock.state === "alive") return "its volume's superblock is alive, though no mount point shows it";
  if (domains.length > 0) return `a DLM domain relies on it (${domains[0]})`;
  return pinned === true ? "a DLM domain relies on it" : null;
}

function withoutRegion({ holders, references, hasSet, staleRecords, lastUser, superblock }: Facts): {
  verdict: Verdict;
  reason: string;
} {
  const say = (verdict: Verdict, reason: string) => ({ verdict, reason });
  if (lastUser?.holdsMutex === true) return say("in-use", `${nameOf(lastUser)} is starting or stopping it`);
  const joining = joiningOf(holders);
  if (joining !== null) return say("in-use", joining);
  if (superblock.state === "alive")
    return say("in-use", "its volume is mounted, though not with a heartbeat region of its own");
  if ((references ?? 0) > 0)
    return say("unexplained-references", `${counted(references ?? 0)} though there is no region`);
  if (hasSet) return say("orphan", "only its semaphore set is left");
  if (staleRecords.length > 0) return say("orphan", "only the record of a join is left");
  return say("absent", "nothing of it is on this node");
}

/** Somebody who has begun to join and counts nothing yet. */
function joiningOf(holders: Facts["holders"]): string | null {
  const one = holders.find(({ kind, references }) => kind === "process" && references === 0);
  return one === undefined ? null : `${one.service} (process ${one.pid ?? "unknown"}) is joining`;
}

function nameOf({ name, pid }: { name: string; pid: number }): string {
  return `${name} (process ${pid})`;
}

function counted(some: number, all: number = some): string {
  const what =
    some === all
      ? some === 1
        ? "its reference is"
        : `its ${some} references are`
      : `${some} of its ${all} references ${some === 1 ? "is" : "are"}`;
  return `${what} held`;
}
