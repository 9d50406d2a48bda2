// The commands as processes: what a test inside the process cannot see. They run from source here; the bundles have the same
// entry, and are run by the package's tests.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import test from "ava";

const entry = (name: string): string => fileURLToPath(new URL(`../../ts/cli/${name}`, import.meta.url));
const MOUNT = entry("mount.ocfs2.ts");

interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `program` (source text of a module) in its own node, with standard output closed early where wanted. */
function run(program: string, argv: string[], { closeOutput = false } = {}): Promise<Ended> {
  const args = ["--import=@oxc-node/core/register", "--input-type=module", "--eval", program, "--", ...argv];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    const text = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (part: string) => {
        text[name] += part;
      });
    }
    if (closeOutput) child.stdout.destroy();
    child.on("error", reject).on("close", (status) => resolve({ status, ...text }));
  });
}

const command = (name: string): string =>
  `process.argv.splice(1, 0, "x"); (await import(${JSON.stringify(name)})).main();`;

test("called without anything, as mount -o remount may do, it says so with status 1", async (t) => {
  const { status, stdout, stderr } = await run(command(MOUNT), []);
  t.is(status, 1);
  t.is(stdout, "");
  t.is(stderr, "mount.ocfs2: DEVICE and DIRECTORY are missing; see mount.ocfs2 --help\n");
});

test("a reader of the output who is gone does not change the status", async (t) => {
  const { status, stderr } = await run(command(entry("umount.ocfs2.ts")), ["--help"], { closeOutput: true });
  t.is(status, 0, stderr);
});

/** A command whose job is `job`, the text of a function, over no native module. */
const playing = (job: string): string => `
  import { main } from ${JSON.stringify(entry("run-cli.ts"))};
  import { umountSyntax } from ${JSON.stringify(entry("syntax.ts"))};
  import { O2cbError } from ${JSON.stringify(fileURLToPath(new URL("../../ts/errors.ts", import.meta.url)))};
  process.argv.splice(1, process.argv.length, "x", "/vol");
  main({ job: { syntax: umountSyntax, run: ${job} }, check() {}, help: () => "" }, async () => ({}));
`;

test("what nobody catches is an internal error, not wrong usage", async (t) => {
  const { status, stderr } = await run(
    playing(`async () => {
      setImmediate(() => { throw new Error("lost"); });
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    }`),
    [],
  );
  t.is(status, 4, stderr);
  t.regex(stderr, /umount\.ocfs2: unexpected failure: Error: lost/);
});

test("a job that can never end is an internal error, not a success", async (t) => {
  const { status, stderr } = await run(playing("() => new Promise(() => {})"), []);
  t.is(status, 4, stderr);
  t.regex(stderr, /ended without a result/);
});

test("a signal of the system reaches the job, and the status says so", async (t) => {
  const job = `async (args, { signal }) => {
    const alive = setInterval(() => {}, 60_000);
    process.kill(process.pid, "SIGTERM");
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    clearInterval(alive);
    throw new O2cbError("O2CB_ABORTED", "given up", { operation: "unmount", outcome: "rolled-back" });
  }`;
  const { status, stderr } = await run(playing(job), []);
  t.is(status, 8, stderr);
  t.regex(stderr, /SIGTERM: giving up/);
});
