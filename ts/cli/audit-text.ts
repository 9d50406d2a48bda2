// An audit and a reap as lines for people. Programs read --json.
import type { Audit, Holder, ReapAction, ReapPlan, ReapResult, RegionAudit } from "../region/audit-types.ts";

export function auditLines(audit: Audit, isVerbose: boolean): string[] {
  const lines = audit.regions.flatMap((region) => [...block(region, isVerbose), ""]);
  if (audit.regions.length === 0) lines.push("no heartbeat region on this node", "");
  lines.push(...audit.damagedRecords.map(({ source, says }) => `damaged record ${source}: ${says}`));
  lines.push(...audit.notes.map((note) => `note: ${note}`));
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}

function block(region: RegionAudit, isVerbose: boolean): string[] {
  const lines = [`${region.region}: ${region.verdict}`, `  ${region.reason}`];
  lines.push(
    `  ${referencesLine(region)}`,
    ...region.holders.map((holder) => `  held by ${holderText(holder)}`),
  );
  if (region.disk !== null)
    lines.push(`  beats on ${region.disk}${region.mode === "global" ? ", for every volume" : ""}`);
  if (!isVerbose) return lines;
  for (const { directory, namespace } of region.superblock.mounts) {
    lines.push(
      `  mounted on '${directory}'${namespace === null ? "" : ` in the mount namespace ${namespace}`}`,
    );
  }
  if (region.domains.length > 0) lines.push(`  DLM domains: ${region.domains.join(", ")}`);
  if (region.lastUser !== null) {
    const { pid, name, holdsMutex } = region.lastUser;
    lines.push(`  process ${pid} '${name}' ${holdsMutex ? "holds" : "last held"} its mutex`);
  }
  lines.push(`  superblock: ${region.superblock.state}`);
  lines.push(...region.superblock.evidence.map(({ source, says }) => `    ${source}: ${says}`));
  lines.push(...region.staleRecords.map((record) => `  stale record ${record}`));
  return lines;
}

function referencesLine({ references, stale, unexplained }: RegionAudit): string {
  if (references === null) return "references: cannot be read";
  const parts = [stale > 0 ? `${stale} stale` : "", unexplained > 0 ? `${unexplained} unexplained` : ""];
  const said = parts.filter((part) => part !== "").join(", ");
  return `references: ${references}${said === "" ? "" : ` (${said})`}`;
}

function holderText({ service, kind, references, pid, directory, since, recorded }: Holder): string {
  const what = {
    mount: "a mount",
    process: `the program '${service}'`,
    kept: `the service '${service}', until it is stopped`,
  }[kind];
  const details = [
    directory === null ? "" : `on '${directory}'`,
    pid === null ? "" : `process ${pid}`,
    references === 1 ? "" : `${references} references`,
    since === null ? "" : `since ${since}`,
    recorded ? "" : "concluded from the kernel's state",
  ].filter((detail) => detail !== "");
  return details.length === 0 ? what : `${what} (${details.join(", ")})`;
}

export function planLines({ actions, kept }: ReapPlan, isVerbose: boolean): string[] {
  return withKept(
    actions.map((action) => `${action.region}: would ${actionText(action, "would")}`),
    kept,
    isVerbose,
  );
}

export function reapLines({ done, skipped, kept }: ReapResult, isVerbose: boolean): string[] {
  const what = done.map((action) => `${action.region}: ${actionText(action, "done")}`);
  return withKept(what, kept, isVerbose, skipped.length > 0);
}

/** What was planned and not done. */
export function skippedLines({ skipped }: ReapResult): string[] {
  return skipped.map(({ region, reason }) => `${region}: left as it is: ${reason}`);
}

/** A region in use is what everybody expects to be kept; the others are told. */
function withKept(done: string[], kept: ReapPlan["kept"], isVerbose: boolean, isSkipped = false): string[] {
  const told = kept
    .filter(({ verdict }) => isVerbose || verdict !== "in-use")
    .map(({ region, verdict, reason }) => `${region}: kept, ${verdict}: ${reason}`);
  const all = [...done, ...told];
  return all.length === 0 && !isSkipped ? ["nothing to clear away"] : all;
}

function actionText(action: ReapAction, tense: "would" | "done"): string {
  const [drop, leave, stop, remove, forget] =
    tense === "would"
      ? ["drop", "leave its DLM domain", "stop the heartbeat", "remove the semaphore set", "forget"]
      : ["dropped", "left its DLM domain", "stopped the heartbeat", "removed the semaphore set", "forgot"];
  const forced = action.forced > 0 ? `, ${action.forced} of them by force` : "";
  const parts = [
    action.drop > 0
      ? `${drop} ${action.drop === 1 ? "1 reference" : `${action.drop} references`}${forced}`
      : "",
    action.domains.length > 0 ? leave : "",
    action.stop ? stop : "",
    action.removeSet && !action.stop ? remove : "",
    action.records.length > 0
      ? `${forget} ${action.records.length === 1 ? "1 record" : `${action.records.length} records`}`
      : "",
  ].filter((part) => part !== "");
  const text =
    parts.length === 0 ? (tense === "would" ? "look again" : "nothing was left to do") : parts.join(", ");
  return `${text} (${action.reason})`;
}
