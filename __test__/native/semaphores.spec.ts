// A region's mutex and references, on real semaphore sets: across processes, crashes, removals.
import { spawnSync } from "node:child_process";
import { copyFileSync, chmodSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { O2cbError } from "../../ts/errors.ts";
import { loadNative } from "../../ts/native.ts";
import type { RegionLock } from "../../ts/native-types.ts";
import { child, regionName, scratch, start, sure, threads, until } from "./support.ts";

const native = loadNative();
const { crc32 } = createRequire(import.meta.url)("node:zlib") as { crc32?: (text: string) => number };
const NOBODY = 65534;
const PATIENCE = 20_000;
const names: string[] = [];

/** A region of this test, whose set is removed at its end. */
function region(t: ExecutionContext): string {
  const name = regionName();
  names.push(name);
  t.teardown(async () => {
    const lock = await native.lockRegion(name, false, PATIENCE);
    lock?.destroy();
  });
  return name;
}

async function locked(name: string): Promise<RegionLock> {
  return sure(await native.lockRegion(name, true, PATIENCE));
}

/** The kernel's own table: one line per set. */
function row(name: string): string[] | undefined {
  const key = String(sure(crc32)(name) | 0);
  const lines = readFileSync("/proc/sysvipc/sem", "utf8").split("\n");
  return lines.map((line) => line.trim().split(/\s+/)).find((fields) => fields[0] === key);
}

test("a set is made by the lock, two semaphores under zlib's CRC of the name, for root alone", async (t) => {
  const name = region(t);
  t.is(await native.regionSemaphores(name), null);
  t.is(await native.lockRegion(name, false, 0), null);
  const lock = await locked(name);
  t.is(lock.region, name);
  t.deepEqual(await native.regionSemaphores(name), { references: 0, mutexHeld: true, lastPid: process.pid });
  if (crc32 !== undefined) {
    const [, , permissions, semaphores] = sure(row(name));
    t.deepEqual([permissions, semaphores], ["600", "2"]);
  }
  lock.release();
  lock.release();
  t.is((await native.regionSemaphores(name))?.mutexHeld, false);
});

test("references are counted, and dropping at zero says so instead of waiting", async (t) => {
  const lock = await locked(region(t));
  t.is(lock.take(true), 1);
  t.is(lock.take(false), 2);
  t.is(lock.references(), 2);
  t.deepEqual(lock.drop(false), { dropped: true, references: 1 });
  t.deepEqual(lock.drop(true), { dropped: true, references: 0 });
  t.deepEqual(lock.drop(true), { dropped: false, references: 0 });
  lock.release();
});

test("after release or destroy every method but release is refused", async (t) => {
  const name = region(t);
  const first = await locked(name);
  first.release();
  const second = await locked(name);
  second.destroy();
  t.is(await native.regionSemaphores(name), null);
  for (const lock of [first, second]) {
    for (const use of [
      () => lock.references(),
      () => lock.take(true),
      () => lock.drop(true),
      () => lock.handOver(),
      () => lock.destroy(),
    ]) {
      t.throws(use, { instanceOf: O2cbError, code: "O2CB_NO_SEM" });
    }
    lock.release();
  }
});

test("a process that is killed leaves neither mutex nor reference", async (t) => {
  const name = region(t);
  const one = child(
    t,
    `const lock = await native.lockRegion("${name}", true, ${PATIENCE}); lock.take(true); print("held"); forever();`,
  );
  t.is(await one.line(), "held");
  t.like(await native.regionSemaphores(name), { references: 1, mutexHeld: true, lastPid: one.process.pid });
  one.process.kill("SIGKILL");
  t.is(await one.ended, "SIGKILL");
  t.like(await native.regionSemaphores(name), { references: 0, mutexHeld: false });
});

test("a reference without undo stays, one with undo goes with its process", async (t) => {
  const name = region(t);
  const script = `const lock = await native.lockRegion("${name}", true, ${PATIENCE}); lock.take(false); lock.take(true); lock.release(); print("done");`;
  t.is(await child(t, script).ended, 0);
  t.like(await native.regionSemaphores(name), { references: 1, mutexHeld: false });
  const lock = await locked(name);
  t.deepEqual(lock.drop(false), { dropped: true, references: 0 });
  lock.release();
});

test("a reference handed over outlives its process; killed before, it does not", async (t) => {
  const name = region(t);
  const take = `const lock = await native.lockRegion("${name}", true, ${PATIENCE}); lock.take(true);`;
  const killed = child(t, `${take} print("taken"); forever();`);
  await killed.line();
  killed.process.kill("SIGKILL");
  await killed.ended;
  t.like(await native.regionSemaphores(name), { references: 0 });
  const ended = child(t, `${take} lock.handOver(); print(lock.references()); lock.release();`);
  t.is(await ended.line(), "1");
  t.is(await ended.ended, 0);
  t.like(await native.regionSemaphores(name), { references: 1, mutexHeld: false });
});

test("a lock that nobody remembers is released by the collector", async (t) => {
  const name = region(t);
  const script = `await (async () => { await native.lockRegion("${name}", true, ${PATIENCE}); })();
    const timer = setInterval(() => gc(), 20); process.on("SIGTERM", () => clearInterval(timer)); print("forgotten");`;
  const one = child(t, script, ["--expose-gc"]);
  await one.line();
  await until("the mutex is free", async () => (await native.regionSemaphores(name))?.mutexHeld === false);
  one.process.kill("SIGTERM");
  t.is(await one.ended, 0);
});

test("a wait that lasts too long names the holder", async (t) => {
  const name = region(t);
  const one = child(
    t,
    `const lock = await native.lockRegion("${name}", true, ${PATIENCE}); print("held"); forever();`,
  );
  await one.line();
  for (const ms of [0, 300]) {
    const begin = performance.now();
    const error = await t.throwsAsync(native.lockRegion(name, true, ms), {
      instanceOf: O2cbError,
      code: "O2CB_TIMEOUT",
    });
    t.is((error as O2cbError).holder, one.process.pid);
    t.regex(sure(error).message, new RegExp(`held by process ${one.process.pid}, after ${ms} ms`));
    t.true(performance.now() - begin >= ms);
  }
});

test("a wait is given up, and the next one gets the mutex", async (t) => {
  const name = region(t);
  const lock = await locked(name);
  const caller = new AbortController();
  const waiting = native.lockRegion(name, true, PATIENCE, { signal: caller.signal });
  await until("it waits", () => threads("lock-region") > 0);
  caller.abort();
  await t.throwsAsync(waiting, { instanceOf: O2cbError, code: "O2CB_ABORTED" });
  const next = native.lockRegion(name, true, PATIENCE);
  lock.release();
  const got = sure(await next);
  t.is(got.references(), 0);
  got.release();
});

test("a wait ends in a new set when the old one is destroyed", async (t) => {
  const name = region(t);
  const lock = await locked(name);
  const waiting = native.lockRegion(name, true, PATIENCE);
  const absent = native.lockRegion(name, false, PATIENCE);
  await until("both wait", () => threads("lock-region") >= 2);
  lock.take(false);
  lock.destroy();
  const got = sure(await waiting);
  t.is(got.references(), 0);
  got.destroy();
  const other = await absent;
  t.true(other === null || other.references() === 0);
  other?.destroy();
});

test("loops that lock and destroy at once never fail, and never hold it together", async (t) => {
  const name = region(t);
  const turns = 60;
  const script = `for (let turn = 0; turn < ${turns * 2}; turn++) {
      const lock = await native.lockRegion("${name}", true, ${PATIENCE});
      lock.take(true); const { references } = lock.drop(true);
      if (references === 0) lock.destroy(); else lock.release();
    } print("fine");`;
  const others = [child(t, script), child(t, script)];
  let holders = 0;
  const loop = async (): Promise<void> => {
    for (let turn = 0; turn < turns; turn++) {
      const lock = await locked(name);
      t.is(++holders, 1);
      t.is(lock.take(true), 1);
      t.deepEqual(lock.drop(true), { dropped: true, references: 0 });
      holders--;
      lock.destroy();
    }
  };
  await Promise.all(Array.from({ length: 6 }, loop));
  for (const other of others) {
    t.is(await other.line(), "fine");
    t.is(await other.ended, 0);
  }
});

test("a name that cannot be a region's is refused", async (t) => {
  for (const name of ["", "A".repeat(33)]) {
    await t.throwsAsync(native.lockRegion(name, true, 0), {
      instanceOf: O2cbError,
      code: "O2CB_INVALID_REGION_NAME",
    });
    await t.throwsAsync(native.regionSemaphores(name), {
      instanceOf: O2cbError,
      code: "O2CB_INVALID_REGION_NAME",
    });
  }
});

const asNobody =
  process.getuid?.() === 0 &&
  spawnSync(process.execPath, ["-e", "0"], { uid: NOBODY, cwd: "/" }).status === 0;
const unprivileged = asNobody ? test : test.skip;
unprivileged(
  `another user may not touch root's set${asNobody ? "" : " (needs root, and a node that others can run)"}`,
  async (t) => {
    const name = region(t);
    (await locked(name)).release();
    const directory = scratch(t);
    const module = join(directory, "module.node");
    copyFileSync(new URL("../../native/ocfs2-group.linux-x64-gnu.node", import.meta.url), module);
    chmodSync(directory, 0o755);
    chmodSync(module, 0o755);
    const script = `const m = { exports: {} }; process.dlopen(m, ${JSON.stringify(module)});
    const codes = [m.exports.lockRegion(null, "${name}", true, 0), m.exports.regionSemaphores("${name}")].map((p) => p.catch((e) => e.code));
    Promise.all(codes).then((all) => console.log(all.join(" ")));`;
    const one = start(t, process.execPath, ["-e", script], { uid: NOBODY, gid: NOBODY, cwd: "/" });
    t.is(await one.line(), "O2CB_PERMISSION_DENIED O2CB_PERMISSION_DENIED");
  },
);

test.after.always("no set of these tests is left", async (t) => {
  for (const name of names) {
    t.is(await native.regionSemaphores(name), null);
  }
});
