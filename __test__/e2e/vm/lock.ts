// Locks between processes: as many labs at a time as the host is meant for boot machines, one process at a time fetches a kernel.
//
// Node has no flock(2), so flock(1) of util-linux (Essential on Debian) holds it while a `cat` reads a pipe of ours: when
// this process ends in any way the pipe closes, `cat` ends and the lock is free. Nothing has to be cleaned up after a crash.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import { LabError } from "./errors.ts";

export interface Held {
  release(): Promise<void>;
}

/** Waits for the lock on `path` (created if missing). `onWait` is told who has it when it is not free at once. */
export async function takeLock(path: string, onWait: (holder: string) => void = () => {}): Promise<Held> {
  const held = await tryLock(path, [], onWait);
  if (held === null) throw new LabError("usage", `flock(1) could not lock ${path}.`);
  return held;
}

/** Takes the first of these locks that is free, else waits for the first of them. */
export async function takeAnyLock(
  paths: readonly [string, ...string[]],
  onWait?: (holder: string) => void,
): Promise<Held> {
  for (const path of paths) {
    // oxlint-disable-next-line no-await-in-loop -- only one is wanted
    const held = await tryLock(path, ["--nonblock"]);
    if (held !== null) return held;
  }
  return takeLock(paths[0], onWait);
}

/** null where flock(1) ends without the lock */
async function tryLock(
  path: string,
  options: readonly string[],
  onWait: (holder: string) => void = () => {},
): Promise<Held | null> {
  mkdirSync(dirname(path), { recursive: true });
  const command = ["flock", ...options, path, "sh", "-c", "echo held; exec cat"];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", ...command], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
  });
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const waiting = setTimeout(() => onWait(holder(path)), 300);
  let isHeld: boolean;
  try {
    isHeld = await Promise.race([
      once(child.stdout, "data").then(() => true),
      ended.then(() => false),
      once(child, "error").then(([cause]) =>
        Promise.reject(
          new LabError("requirements", "setpriv or flock (Debian: util-linux) is missing.", { cause }),
        ),
      ),
    ]);
  } finally {
    clearTimeout(waiting);
  }
  if (!isHeld) return null;
  // a program that forgets to release it should still end when it has nothing else to do
  const handles = [child, child.stdin as Socket, child.stdout as Socket];
  for (const handle of handles) handle.unref();
  writeFileSync(path, `process ${process.pid} (${process.argv.slice(1, 3).join(" ")})\n`);
  return {
    async release() {
      for (const handle of handles) handle.ref();
      child.stdin.end();
      await ended;
    },
  };
}

function holder(path: string): string {
  try {
    return readFileSync(path, "utf8").trim() || "another process";
  } catch {
    return "another process";
  }
}
