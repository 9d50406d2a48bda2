// The real o2cb of ocfs2-tools, where this machine has it.
import { execFile, execFileSync } from "node:child_process";

/** What a command came to. A signal that ended it counts as a status, as in a shell: 139 is a crash. */
export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

const SIGNAL_BASE = 128;
const SIGSEGV = 11;

/** Where it is: ours may have taken its place, and dpkg-divert then keeps it as .distrib (CONTRIBUTING). Null: nowhere. */
export function findCTool(): string | null {
  return ["/sbin/o2cb.distrib", "/sbin/o2cb"].find(isCTool) ?? null;
}

/** It writes its version to standard error, and ours to standard output. */
function isCTool(path: string): boolean {
  try {
    execFileSync(path, ["-V"], { stdio: "pipe" });
    return false;
  } catch (error) {
    return /^o2cb \d/.test(String((error as { stderr?: Buffer }).stderr ?? ""));
  }
}

export function runCTool(path: string, argv: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
    execFile(path, argv, { env, encoding: "utf8" }, (error, stdout, stderr) => {
      const { code, signal } = (error ?? {}) as { code?: number | string; signal?: string | null };
      if (typeof code === "string") return reject(error);
      if (signal != null && signal !== "SIGSEGV") return reject(error);
      const status = signal == null ? (code ?? 0) : SIGNAL_BASE + SIGSEGV;
      resolve({ status, stdout, stderr });
    });
  });
}
