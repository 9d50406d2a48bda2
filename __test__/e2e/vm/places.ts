// Where the lab keeps things on the host: OCFS2_GROUP_LAB_DIR, else ocfs2-group/lab under the user's cache directory.
//   <suite>/       one kernel: image, modules, initrds      runs/<process>/   one lab's disks, serial logs, exchange directory
//   lock, lock.2 … held by the labs that have machines up: one, or as many as OCFS2_GROUP_LABS says
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { LabError } from "./errors.ts";

/** The lab's directory, created if missing. Machines see the host's files except /tmp, /run, /dev, /proc, /sys. */
export function labDirectory(): string {
  const chosen =
    process.env["OCFS2_GROUP_LAB_DIR"] ??
    join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "ocfs2-group", "lab");
  const path = resolve(chosen);
  if (/^\/(tmp|run|dev|proc|sys)\//.test(`${path}/`) || /[\s,:'"\\]/.test(path)) {
    throw new LabError(
      "usage",
      `The lab cannot live in ${path}: machines have their own /tmp, /run, /dev, /proc and /sys, and the path may not ` +
        "hold blanks, quotes, commas, colons or backslashes. Set OCFS2_GROUP_LAB_DIR to another directory.",
    );
  }
  mkdirSync(path, { recursive: true });
  return path;
}

/** What a lab with machines up holds one of. */
export function labLocks(): [string, ...string[]] {
  const asked = process.env["OCFS2_GROUP_LABS"] ?? "1";
  if (!/^[1-9]$/.test(asked))
    throw new LabError("usage", `OCFS2_GROUP_LABS is '${asked}', and has to be 1 to 9.`);
  const base = join(labDirectory(), "lock");
  return [base, ...Array.from({ length: Number(asked) - 1 }, (_, index) => `${base}.${index + 2}`)];
}

/** How many kept run directories stay; older ones go. */
const KEPT = 5;
let runs = 0;

/** A fresh directory for one lab. Removes those of processes that are gone, except the last few kept ones. */
export function newRunDirectory(): string {
  const base = join(labDirectory(), "runs");
  mkdirSync(base, { recursive: true });
  const kept: { path: string; time: number }[] = [];
  for (const name of readdirSync(base)) {
    const path = join(base, name);
    const mark = join(path, "kept");
    const [pid = "", start] = name.split("-");
    if (existsSync(mark)) kept.push({ path, time: statSync(mark).mtimeMs });
    else if (startOf(pid) !== start) rmSync(path, { recursive: true, force: true });
  }
  kept.sort((a, b) => b.time - a.time);
  for (const { path } of kept.slice(KEPT)) rmSync(path, { recursive: true, force: true });
  runs += 1;
  const path = join(base, `${process.pid}-${startOf("self")}-${runs}`);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path);
  return path;
}

/** When a process started, in ticks since boot (field 22 of proc(5) stat): with its number it names the process. */
function startOf(pid: string): string | null {
  try {
    return (
      readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ")[19] ?? null
    );
  } catch {
    return null;
  }
}
