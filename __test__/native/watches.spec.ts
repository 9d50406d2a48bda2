// Waiting for events with the real kernel: directories, the mount table, superblocks; and what a wait costs, which is nothing.
// Facts relied on: a thread that sleeps in poll(2) counts one voluntary switch until it wakes; an inotify instance is a descriptor that
// links to `anon_inode:inotify`. Mounts are made in a namespace of a child's own.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { O2cbError } from "../../ts/errors.ts";
import { loadNative, type EventWatch } from "../../ts/native.ts";
import { child, scratch, sure, threads, until } from "./support.ts";

const native = loadNative();
const NEXT = "next-events";

async function watch(t: ExecutionContext): Promise<EventWatch> {
  const one = await native.watchEvents();
  t.teardown(() => one.release());
  return one;
}

/** Starts a wait, and returns when its thread sleeps. */
async function waiting<T>(call: Promise<T>): Promise<{ call: Promise<T>; thread: string }> {
  call.catch(() => {});
  const sleeps = (): string | undefined =>
    readdirSync("/proc/self/task").find((task) => {
      const status = statusOf(task);
      return /^Name:\tnext-events$/m.test(status) && /^State:\tS/m.test(status);
    });
  await until("the thread sleeps", () => sleeps() !== undefined);
  return { call, thread: sure(sleeps()) };
}

function statusOf(task: string): string {
  try {
    return readFileSync(`/proc/self/task/${task}/status`, "utf8");
  } catch {
    return "";
  }
}

const switches = (task: string): string[] => statusOf(task).match(/^\w*voluntary_ctxt_switches:.*$/gm) ?? [];

const instances = (): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:inotify";
    } catch {
      return false;
    }
  }).length;

test.serial("a directory's entries are told, those that come between two calls too", async (t) => {
  const root = scratch(t);
  const one = await watch(t);
  const id = await one.addDirectory(root);
  t.is(await one.addDirectory(`${root}/`), id);
  const { call } = await waiting(one.next());
  writeFileSync(join(root, "a"), "");
  t.deepEqual(await call, [{ kind: "changed", id, name: "a" }]);
  writeFileSync(join(root, "a"), "written, not made");
  rmSync(join(root, "a"));
  mkdirSync(join(root, "b"));
  await native.replaceFile(join(root, "c"), "c", 0o600);
  const events = await one.next();
  t.deepEqual(
    events.filter((event) => event.kind === "changed" && !event.name?.endsWith(".tmp")),
    ["a", "b", "c"].map((name) => ({ kind: "changed", id, name })),
  );
  one.remove(id);
  one.remove(id);
  const other = await one.addDirectory(join(root, "b"));
  t.not(other, id);
  rmSync(root, { recursive: true });
  t.deepEqual(await one.next(), [{ kind: "gone", id: other }]);
});

test.serial("a wait without events does not wake up", async (t) => {
  const one = await watch(t);
  await one.addDirectory(scratch(t));
  const caller = new AbortController();
  const { call, thread } = await waiting(one.next({ signal: caller.signal }));
  const before = switches(thread);
  t.is(before.length, 2);
  await pause(1000);
  t.deepEqual(switches(thread), before);
  caller.abort();
  await t.throwsAsync(call, { instanceOf: O2cbError, code: "O2CB_ABORTED" });
});

test.serial("a wait that is given up loses no event", async (t) => {
  const root = scratch(t);
  const one = await watch(t);
  const id = await one.addDirectory(root);
  for (let round = 0; round < 100; round++) {
    const caller = new AbortController();
    const call = one.next({ signal: caller.signal });
    const name = String(round);
    setImmediate(() => writeFileSync(join(root, name), ""));
    setImmediate(() => caller.abort());
    const events = await call.catch((error: O2cbError) => {
      t.is(error.code, "O2CB_ABORTED");
      return one.next();
    });
    t.deepEqual(events, [{ kind: "changed", id, name }]);
  }
});

test.serial("one call waits at a time, and a release gives it up", async (t) => {
  const before = instances();
  const one = await native.watchEvents();
  t.is(instances(), before + 1);
  const call = one.next();
  await t.throwsAsync(one.next(), {
    code: "O2CB_INTERNAL_FAILURE",
    message: "next events: another call of next waits already",
  });
  await waiting(call);
  one.release();
  one.release();
  await t.throwsAsync(call, { code: "O2CB_ABORTED", message: "next events: the watch was released" });
  await until("its descriptors are closed", () => instances() === before && threads(NEXT) === 0);
  await t.throwsAsync(one.next(), { code: "O2CB_ABORTED" });
  await t.throwsAsync(one.addDirectory("/"), { code: "O2CB_ABORTED" });
  one.remove(1);
});

test.serial("what was forgotten is closed by the collector", async (t) => {
  const script = `
    import { readdirSync, readlinkSync } from "node:fs";
    const instances = () => readdirSync("/proc/self/fd").filter((fd) => {
      try { return readlinkSync("/proc/self/fd/" + fd) === "anon_inode:inotify"; } catch { return false; }
    }).length;
    const before = instances();
    await (async () => { for (let n = 0; n < 5; n++) await (await native.watchEvents()).addDirectory("/tmp"); })();
    print(instances() - before);
    const end = Date.now() + 20_000;
    while (instances() > before && Date.now() < end) {
      gc();
      await new Promise((done) => setTimeout(done, 5));
    }
    print(instances() - before);`;
  const one = child(t, script, ["--expose-gc"]);
  t.is(await one.line(), "5");
  t.is(await one.line(), "0");
});

test("what cannot be watched has its errno, wrong numbers are RangeError", async (t) => {
  const root = scratch(t);
  const one = await watch(t);
  writeFileSync(join(root, "file"), "");
  const missing = (await t.throwsAsync(one.addDirectory(join(root, "none")))) as O2cbError;
  t.like(missing, { errno: -2, syscall: "open", operation: "watch-directory", path: join(root, "none") });
  const file = (await t.throwsAsync(one.addMount(join(root, "file"), { major: 0, minor: 0 }))) as O2cbError;
  t.is(file.errno, -20);
  t.is(await one.addMount(root, { major: 0, minor: 0xffffff }), null);
  await t.throwsAsync(one.addMount(root, { major: -1, minor: 0 }), { instanceOf: RangeError });
  await t.throwsAsync(native.replaceFile(join(root, "file"), "", 0o10000), { instanceOf: RangeError });
});

test("mount namespaces: this process's first", async (t) => {
  const [own, ...others] = await native.mountNamespaces();
  t.deepEqual(own, { inode: /\d+/.exec(readlinkSync("/proc/self/ns/mnt"))?.[0] ?? "", pid: process.pid });
  t.true(others.every(({ inode }) => /^\d+$/.test(inode) && inode !== own?.inode));
});

const missing = [
  process.geteuid?.() !== 0 && "needs root",
  spawnSync("unshare", ["-m", "true"]).status !== 0 && "needs mount namespaces",
].filter(Boolean);
const rooted = missing.length === 0 ? test.serial : test.skip;
const why = missing.length === 0 ? "" : ` (${missing.join(", ")})`;

rooted(`a mount in another namespace is watched through /proc/PID/root until it dies${why}`, async (t) => {
  const target = scratch(t);
  const script = `mount -t tmpfs none ${target} && echo up && read line && umount ${target} && echo down && read line`;
  const other = spawn("unshare", ["-m", "--propagation", "private", "sh", "-c", script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.teardown(() => void other.kill("SIGKILL"));
  const line = (): Promise<string> =>
    new Promise((resolve) => other.stdout.once("data", (text) => resolve(String(text))));
  t.is(await line(), "up\n");
  const inode = sure(/\d+/.exec(readlinkSync(`/proc/${other.pid}/ns/mnt`)))[0];
  t.deepEqual((await native.mountNamespaces()).find((each) => each.inode === inode)?.pid, other.pid);
  const path = `/proc/${other.pid}/root${target}`;
  const number = statSync(path).dev;
  const device = { major: (number >> 8) & 0xfff, minor: (number & 0xff) | ((number >> 12) & 0xfff00) };
  const one = await watch(t);
  t.is(await one.addMount(target, device), null);
  const id = sure(await one.addMount(path, device));
  const { call } = await waiting(one.next());
  // The watch keeps nothing busy, and the other namespace's table is not this one's.
  other.stdin.write("\n");
  t.is(await line(), "down\n");
  t.deepEqual(await call, [{ kind: "unmounted", id }]);
});

rooted(`a change of this namespace's mount table is told once${why}`, async (t) => {
  const target = scratch(t);
  const script = `
    import { execFileSync } from "node:child_process";
    const one = await native.watchEvents();
    const caller = new AbortController();
    const quiet = one.next({ signal: caller.signal }).catch((error) => error.code);
    setTimeout(() => caller.abort(), 100);
    print(JSON.stringify(await quiet));
    execFileSync("mount", ["-t", "tmpfs", "none", ${JSON.stringify(target)}]);
    execFileSync("umount", [${JSON.stringify(target)}]);
    print(JSON.stringify(await one.next()));
    const later = one.next();
    execFileSync("mount", ["-t", "tmpfs", "none", ${JSON.stringify(target)}]);
    print(JSON.stringify(await later));
    one.release();`;
  const one = child(t, script, [], ["unshare", "-m", "--propagation", "private"]);
  t.is(await one.line(), '"O2CB_ABORTED"');
  t.is(await one.line(), '[{"kind":"mounts"}]');
  t.is(await one.line(), '[{"kind":"mounts"}]');
  t.is(await one.ended, 0);
});
