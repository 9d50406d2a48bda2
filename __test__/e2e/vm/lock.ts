// A lock between processes: one lab at a time boots machines, one process at a time fetches a kernel.
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
  mkdirSync(dirname(path), { recursive: true });
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "flock", path, "sh", "-c", "echo held; exec cat"], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
  });
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const waiting = setTimeout(() => onWait(holder(path)), 300);
  try {
    await Promise.race([
      once(child.stdout, "data"),
      ended.then(() => Promise.reject(new LabError("usage", `flock(1) could not lock ${path}.`))),
      once(child, "error").then(([cause]) =>
        Promise.reject(
          new LabError("requirements", "setpriv or flock (Debian: util-linux) is missing.", { cause }),
        ),
      ),
    ]);
  } finally {
    clearTimeout(waiting);
  }
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
