// Where the lab keeps things on the host: OCFS2_GROUP_LAB_DIR, else ocfs2-group/lab under the user's cache directory.
//   <suite>/       one kernel: image, modules, initrds      runs/<pid>-<n>/   one lab's disks, serial logs, exchange directory
//   lock           held by the lab that has machines up
import { mkdirSync, readdirSync, rmSync, existsSync } from "node:fs";
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

let runs = 0;

/** A fresh directory for one lab. Removes those of processes that are gone, except kept ones. */
export function newRunDirectory(): string {
  const base = join(labDirectory(), "runs");
  mkdirSync(base, { recursive: true });
  for (const name of readdirSync(base)) {
    const pid = Number.parseInt(name, 10);
    if (Number.isNaN(pid) || existsSync(`/proc/${pid}`) || existsSync(join(base, name, "kept"))) continue;
    rmSync(join(base, name), { recursive: true, force: true });
  }
  runs += 1;
  const path = join(base, `${process.pid}-${runs}`);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path);
  return path;
}
