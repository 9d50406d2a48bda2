// o2cb exec as a process, with real programs: streams, statuses, signals, and what is left of it when it is killed. The volume's lock is a
// file lock here, which like a lock of dlmfs belongs to the open file.
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { loadNative } from "../../ts/native.ts";
import { scratch, until } from "./support.ts";

const native = loadNative();
const UUID = "0123456789ABCDEF0123456789ABCDEF";
const source = (path: string): string => JSON.stringify(new URL(`../../ts/${path}`, import.meta.url).href);

/** o2cb exec with a lock that is the file lock on `path`. */
const program = (path: string): string => `
  import { runO2cb } from ${source("cli/o2cb-commands.ts")};
  import { execCommands } from ${source("cli/o2cb-exec-commands.ts")};
  import { runProcess } from ${source("cli/run-cli.ts")};
  import { oneFailure } from ${source("cli/exit-status.ts")};
  const lock = async (native, { device }, work) => {
    const held = await native.lockFile(${JSON.stringify(path)}, 0);
    try {
      return await work({ volume: { device, uuid: "${UUID}", cluster: "lab" }, by: "cluster" });
    } finally {
      held.release();
      process._rawDebug("unlocked");
    }
  };
  runProcess("o2cb", () => oneFailure(1), () => runO2cb(process.argv.slice(1), undefined, undefined, execCommands(lock)));
`;

interface Started {
  process: ChildProcess;
  lockPath: string;
  line(): Promise<string>;
  ended: Promise<{ status: number | null; signal: string | null; stdout: string; stderr: string }>;
}

function exec(t: ExecutionContext, ...command: string[]): Started {
  const lockPath = join(scratch(t), `${UUID}.lock`);
  const args = ["--import=@oxc-node/core/register", "--input-type=module", "--eval", program(lockPath), "--"];
  const child = spawn(process.execPath, [...args, "exec", "/dev/vol", "--", ...command], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.teardown(() => void child.kill("SIGKILL"));
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (part: string) => {
      text[name] += part;
    });
  }
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise<Awaited<Started["ended"]>>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (status, signal) => {
      // What a program left behind keeps the streams open; what the command wrote itself is there.
      setImmediate(() => resolve({ status, signal, ...text }));
    });
  });
  return { process: child, lockPath, line: async () => String((await lines.next()).value), ended };
}

/** Whether a process runs: not gone, and no zombie. */
const runs = (pid: string): boolean =>
  existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));

test("the command has the streams and the environment, and its status is handed on", async (t) => {
  const one = exec(t, "sh", "-c", 'read word; echo "$word $OCFS2_GROUP_DEVICE $1"; exit 7', "sh", "");
  one.process.stdin?.end("hello\n");
  t.is(await one.line(), "hello /dev/vol ");
  const { status, stderr } = await one.ended;
  t.deepEqual([status, stderr], [7, "unlocked\n"]);
});

test("the status of a command that a signal ends, and of one that is not there", async (t) => {
  const [killed, missing, refused] = await Promise.all([
    exec(t, "sh", "-c", "kill -KILL $$").ended,
    exec(t, "no-such-command").ended,
    exec(t, "/proc/self/status").ended,
  ]);
  t.deepEqual([killed.status, killed.stderr], [137, "unlocked\n"]);
  t.is(missing.status, 127);
  t.regex(missing.stderr, /^unlocked\no2cb exec: start program 'no-such-command': .*ENOENT/);
  t.is(refused.status, 126);
  t.regex(refused.stderr, /EACCES/);
});

test("signals of the command are the program's", async (t) => {
  const script = `trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.05; done`;
  const one = exec(t, "sh", "-c", script);
  t.is(await one.line(), "ready");
  one.process.kill("SIGUSR1");
  t.is(await one.line(), "usr1");
  one.process.kill("SIGTERM");
  t.is(await one.line(), "term");
  const { status, stderr } = await one.ended;
  t.deepEqual([status, stderr], [5, "unlocked\n"]);
});

test("a command that is killed takes the program along, and the lock is free", async (t) => {
  const one = exec(t, "sh", "-c", "echo $$; exec sleep 1000");
  const pid = await one.line();
  await t.throwsAsync(native.lockFile(one.lockPath, 0), { code: "O2CB_TIMEOUT" });
  one.process.kill("SIGKILL");
  t.is((await one.ended).signal, "SIGKILL");
  await until("the program is gone", () => !runs(pid));
  (await native.lockFile(one.lockPath, 20_000)).release();
});

test("what the program left behind keeps the lock until it has ended", async (t) => {
  const one = exec(t, "sh", "-c", "sleep 1000 & echo $!; wait");
  const left = await one.line();
  t.teardown(() => {
    if (runs(left)) process.kill(Number(left), "SIGKILL");
  });
  one.process.kill("SIGKILL");
  await one.ended;
  t.true(runs(left));
  await t.throwsAsync(native.lockFile(one.lockPath, 50), { code: "O2CB_TIMEOUT" });
  process.kill(Number(left), "SIGKILL");
  (await native.lockFile(one.lockPath, 20_000)).release();
});
