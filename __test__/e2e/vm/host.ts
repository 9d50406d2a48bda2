// Runs programs on the host for the lab: no shell, the C locale, a note every ten seconds on what takes long.
import { spawn } from "node:child_process";
import { LabError, tail } from "./errors.ts";

/** PATH with the directories of the administrator's programs, which an ordinary user's may lack. */
export const HOST_PATH = `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin:/usr/bin:/bin`;

/** Receives one line of progress for people. */
export type Log = (line: string) => void;

export interface HostResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `program`; a status other than 0 is a result, a program that cannot be started is status 127. */
export async function hostTry(program: string, args: readonly string[], cwd?: string): Promise<HostResult> {
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PATH: HOST_PATH, LC_ALL: "C.UTF-8", DEBIAN_FRONTEND: "noninteractive" },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const status = await new Promise<number>((resolve) => {
    child.once("error", () => resolve(127));
    child.once("close", (code) => resolve(code ?? 128));
  });
  return { status, stdout, stderr };
}

/** Runs `program`, which must end with 0, and returns its standard output. */
export async function host(program: string, args: readonly string[], cwd?: string): Promise<string> {
  const result = await hostTry(program, args, cwd);
  if (result.status === 0) return result.stdout;
  if (result.status === 127)
    throw new LabError("requirements", `The lab needs ${program}, which is not installed.`);
  const text = `${[program, ...args].join(" ")} ended with status ${result.status}:\n${tail(result.stderr)}`;
  throw new LabError("kernel", text);
}

/** Says `what` and repeats it with the time passed, every ten seconds, until `work` is done. */
export async function patiently<T>(log: Log, what: string, work: () => Promise<T>): Promise<T> {
  log(what);
  const from = Date.now();
  const timer = setInterval(
    () => log(`${what} (${Math.round((Date.now() - from) / 1000)} s so far)`),
    10_000,
  );
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
