// The lab itself, proven with the peer's C tools and with machines that misbehave. One boot serves the whole file; the
// last tests destroy its machines.
import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { LabError } from "./vm/errors.ts";
import { Lab } from "./vm/lab.ts";
import type { Node } from "./vm/node.ts";
import { missingForMachines } from "./vm/requirements.ts";

const missing = missingForMachines();
const CLUSTER = "lab";
let lab: Lab;

function machines(title: string, body: (t: ExecutionContext, a: Node, b: Node) => Promise<void>): void {
  if (missing !== null) return void test.skip(`${title} (${missing})`, () => {});
  test.serial(title, async (t) => {
    t.timeout(300_000);
    const [a, b] = lab.nodes;
    if (a === undefined || b === undefined) return t.fail("two nodes are needed");
    await body(t, a, b);
  });
}

if (missing === null) {
  test.before("two machines boot", async (t) => {
    t.timeout(900_000);
    lab = await Lab.boot({
      nodes: 2,
      disks: [{ mib: 256 }, { mib: 64, blockBytes: 4096 }],
      limitSeconds: 900,
      log: (line) => t.log(line),
    });
  });
  test.afterEach.always((t) => {
    if (!t.passed) lab?.keep();
  });
  test.after.always("the machines end", () => lab?.close());
}

/** Runs a promise that must fail with a LabError of that kind and returns its message. */
async function fails(
  t: ExecutionContext,
  kind: LabError["kind"],
  promise: Promise<unknown>,
): Promise<string> {
  const error = await t.throwsAsync(promise, { instanceOf: LabError });
  t.is(error?.kind, kind);
  return error?.message ?? "";
}

machines("a command's outputs, status, signal and duration arrive", async (t, a) => {
  const both = await a.try("echo out; echo err >&2; exit 3");
  t.like(both, { status: 3, signal: null, stdout: "out\n", stderr: "err\n" });
  t.like(await a.try(["printf", "%s|", "a b", "", "it's", "$HOME"]), {
    status: 0,
    stdout: "a b||it's|$HOME|",
  });
  t.like(await a.try("cat", { input: "one\ntwo" }), { stdout: "one\ntwo" });
  t.like(await a.try("kill -SEGV $BASHPID"), { status: 139, signal: "SIGSEGV" });
  const slept = await a.run(["sleep", "0.5"]);
  t.true(slept.ms >= 490 && slept.ms < 5000, `${slept.ms} ms`);
  const message = await fails(t, "command", a.run(["sh", "-c", "echo because >&2; exit 4"]));
  t.regex(message, /^n1: sh -c 'echo because >&2; exit 4': ended with status 4\./);
  t.regex(message, /stderr:\n {2}because/);
});

machines("the environment in a machine is a clean one", async (t, a) => {
  const { stdout } = await a.run(["env"]);
  const names = stdout
    .trim()
    .split("\n")
    .map((line) => line.split("=")[0]);
  t.deepEqual(
    names.filter((name) => /^NODE|^npm_|^AVA|^lab/.test(name ?? "")),
    [],
  );
  t.regex(stdout, /^HOME=\/root$/m);
  t.is((await a.run("hostname; umask")).stdout, "n1\n0022\n");
  t.is((await a.run(["ls", "-A", "/tmp"])).stdout, "");
});

machines("output is followed as it is written, and signals reach a whole command", async (t, a) => {
  const lines: string[] = [];
  const command = a.start("echo begun; sleep 600 | cat; echo never", {
    onLine: (line, stream) => lines.push(`${stream} ${line}`),
  });
  await command.waitForOutput(/begun/);
  t.deepEqual(lines, ["stdout begun"]);
  t.true(await command.kill("SIGINT"));
  const result = await command.done;
  t.like(result, { status: 130, signal: "SIGINT", stdout: "begun\n" });
  t.false(await command.kill("SIGINT"), "nothing is left to receive it");
  t.is((await a.try(["pgrep", "-x", "sleep"])).status, 1, "its children are gone, too");
  await fails(t, "command", command.waitForOutput(/never/));
});

machines("commands run side by side", async (t, a) => {
  const first = a.start("until [ -e /tmp/second ]; do sleep 0.1; done; echo seen", { limitSeconds: 60 });
  await a.run("echo >/tmp/second");
  t.is((await first.done).stdout, "seen\n");
});

machines(
  "a command that hangs is ended at its limit, with the place where the kernel had it",
  async (t, a) => {
    const command = a.start("echo here; exec sleep 600", { limitSeconds: 3 });
    const message = await fails(t, "hung", command.done);
    t.regex(message, /did not end within 3 s/);
    t.regex(message, /stdout:\n {2}here/);
    t.regex(message, /nanosleep/);
    t.is((await a.try(["pgrep", "-x", "sleep"])).status, 1);
  },
);

machines(
  "two nodes mount one volume with the C tools, read each other's files, and leave nothing",
  async (t, a, b) => {
    const both = <T>(work: (node: Node) => Promise<T>) => Promise.all([work(a), work(b)]);
    await both(async (node) => {
      await node.loadOcfs2();
      await node.mountControl();
      await node.writeClusterConf(CLUSTER);
      await node.registerCluster(CLUSTER);
      await node.run(["mkdir", "-p", "/vol"]);
    });
    await a.run([
      "mkfs.ocfs2",
      "-x",
      "-q",
      "-N",
      "2",
      "-J",
      "size=4M",
      "--cluster-stack=o2cb",
      `--cluster-name=${CLUSTER}`,
      "/dev/vda",
    ]);
    await both((node) => node.run(["mount", "-t", "ocfs2", "/dev/vda", "/vol"]));
    await both((node) => node.run(`echo from ${node.name} >/vol/${node.name}`));
    t.is((await a.run(["cat", "/vol/n2"])).stdout, "from n2\n");
    t.is((await b.run(["cat", "/vol/n1"])).stdout, "from n1\n");

    const state = await a.groupState();
    t.is(state.regions.length, 1);
    t.is(state.semaphoreSets.length, 1);
    t.deepEqual(state.mounts, [{ source: "/dev/vda", directory: "/vol" }]);
    t.deepEqual(
      state.domains,
      state.regions.map((region) => region.name),
    );
    const message = await fails(t, "left", a.assertNothingLeft());
    t.regex(
      message,
      /n1 should be clean.*mount of \/dev\/vda on \/vol; the domain .*; the region .* of cluster lab; the semaphore set 0x/,
    );

    await both((node) => node.run(["umount", "/vol"]));
    await both((node) => node.assertNothingLeft());
    await a.run(["fsck.ocfs2", "-fn", "/dev/vda"]);
  },
);

machines("reset() undoes what a scenario left", async (t, a) => {
  await a.setHbCtlPath("/bin/true");
  await a.run(["mount", "-t", "ocfs2", "/dev/vda", "/vol"]);
  a.start("cd /vol && exec sleep 600");
  const left = await a.reset();
  t.is(left.length, 4, left.join("; "));
  t.is(await a.hbCtlPath(), "/sbin/ocfs2_hb_ctl");
  t.is((await a.try("ls /sys/kernel/config/cluster")).stdout, "");
});

machines("disks have the size and the block size that was asked for", async (t, a) => {
  const read = async (device: string) =>
    (await a.run(["blockdev", "--getsize64", "--getss", "--getpbsz", device])).stdout
      .trim()
      .split("\n")
      .map(Number);
  t.deepEqual(await read("/dev/vda"), [256 * 1024 * 1024, 512, 512]);
  t.deepEqual(await read("/dev/vdb"), [64 * 1024 * 1024, 4096, 4096]);
});

machines("a node can be cut off from the network and plugged in again", async (t, a, b) => {
  const ping = async (from: Node, to: Node) =>
    (await from.try(["busybox", "ping", "-c", "1", "-W", "3", to.address])).status;
  t.is(await ping(a, b), 0);
  lab.network.cut(b);
  t.is(await ping(a, b), 1);
  t.is(await ping(b, a), 1);
  lab.network.restore(b);
  t.is(await ping(b, a), 0);
});

machines("a node that is powered off is gone, the other goes on", async (t, a, b) => {
  const waiting = b.start(["sleep", "600"]);
  await waiting.pid;
  await b.powerOff();
  t.regex(await fails(t, "machine", waiting.done), /^node 2 was powered off/);
  await fails(t, "machine", b.run("true"));
  t.is((await a.run(["hostname"])).stdout, "n1\n");
});

machines(
  "a panic fails what waits, with the console's end; the logs are kept, and no machine is left",
  async (t, a) => {
    const message = await fails(t, "machine", a.run("echo c >/proc/sysrq-trigger"));
    t.regex(message, /node 1 ended by itself/);
    t.regex(message, /Kernel panic - not syncing: sysrq triggered crash/);
    await lab.close();
    const directory = dirname(lab.exchange);
    t.regex(readFileSync(join(directory, "console.1"), "utf8"), /Kernel panic/);
    rmSync(directory, { recursive: true });
    t.deepEqual(machinesOf(directory), []);
  },
);

/** The numbers of the processes whose command line names `text`. */
function machinesOf(text: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("qemu-system") &&
          readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text)
        );
      } catch {
        return false;
      }
    })
    .map(Number);
}

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  machines(`no machine survives ${signal} of the process that booted it`, async (t) => {
    await lab.close(); // the next lab would wait for it
    const program = fileURLToPath(new URL("vm/boot-one.ts", import.meta.url));
    const child = spawn(process.execPath, ["--import", "@oxc-node/core/register", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.teardown(() => child.kill("SIGKILL"));
    const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
    const directory = line.trim();
    t.is(machinesOf(directory).length, 1, directory);
    child.kill(signal);
    await once(child, "exit");
    // the kernel's signal to QEMU and QEMU's end are not ours to await
    for (let tries = 0; tries < 100 && machinesOf(directory).length > 0; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    t.deepEqual(machinesOf(directory), []);
    t.is(existsSync(directory), signal === "SIGKILL", "a killed process cannot clean up; the next lab does");
  });
}
