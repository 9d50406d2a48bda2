// Locks through the real module. A plain directory stands for a domain as far as system calls go, a FIFO for a lock that another node holds; what
// dlmfs makes of them is shown in machines.
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { O2cbError } from "../../ts/errors.ts";
import { loadNative } from "../../ts/native.ts";
import { fifo, scratch, sure, threads, until } from "./support.ts";

const native = loadNative();
const alone = { exclusive: true, wait: false };

test("a lock is opened, its value written and read as a whole, closed once", async (t) => {
  const path = join(scratch(t), "lock");
  const lock = sure(await native.openDlmLock(path, "EX", true));
  t.deepEqual(await lock.readValue(), new Uint8Array(0));
  const value = Uint8Array.from({ length: 64 }, (_, index) => index);
  await lock.writeValue(value);
  t.deepEqual(await lock.readValue(), value);
  t.deepEqual(new Uint8Array(readFileSync(path)), value);
  await t.throwsAsync(lock.writeValue(value.subarray(1)), { instanceOf: O2cbError });
  const reader = sure(await native.openDlmLock(path, "PR", false));
  t.is((await t.throwsAsync<O2cbError>(reader.writeValue(value)))?.errno, -9, "EBADF under PR");
  reader.close();
  lock.close();
  lock.close();
  const closed = await t.throwsAsync<O2cbError>(lock.readValue());
  t.is(closed?.code, "O2CB_DLM_FAILED");
  t.true(await native.unlinkDlmLock(path));
  t.true(await native.unlinkDlmLock(path), "gone is given up");
  t.false(existsSync(path));
});

test("what open says comes back with its errno", async (t) => {
  const error = await t.throwsAsync<O2cbError>(native.openDlmLock(join(scratch(t), "no/lock"), "EX", true));
  t.like(error, { operation: "open-dlm-lock", syscall: "open", errno: -2 });
  await t.throwsAsync(native.openDlmLock("/x", "CW" as never, true), { instanceOf: TypeError });
});

test("several waits at a time end when they are given up, and the lock is closed after them", async (t) => {
  const path = fifo(t);
  const lock = sure(await native.openDlmLock(path, "EX", true));
  t.false(lock.isBlocked());
  const controller = new AbortController();
  const waits = [1, 2, 3].map(() => lock.waitBlocked({ signal: controller.signal }));
  await until("three threads wait", () => threads("wait-dlm-blocked") === 3);
  controller.abort();
  for (const wait of waits) t.is((await t.throwsAsync<O2cbError>(wait))?.code, "O2CB_ABORTED");
  const waiting = lock.waitBlocked();
  const writer = openSync(path, "r+");
  writeSync(writer, "x");
  await waiting;
  t.true(lock.isBlocked());
  lock.close();
  closeSync(writer);
});

test("an open that may wait for ever is another process's", async (t) => {
  const path = fifo(t);
  const range = join(scratch(t), "run/dlm/locks");
  const place = sure(await native.lockRange(range, 5n, alone));
  const opening = native.openDlmLockApart(path, "PR", place);
  await until("it waits", () => threads("open-dlm-lock-a") === 1);
  place.release();
  // The process apart has it for as long as it waits.
  await until("the child has it alone", async () => (await native.lockRange(range, 5n, alone)) === null);
  const writer = openSync(path, "w");
  const lock = await opening;
  await until("the place is free", async () => {
    const again = await native.lockRange(range, 5n, alone);
    again?.release();
    return again !== null;
  });
  t.false(lock.isBlocked());
  writeSync(writer, "x");
  t.true(lock.isBlocked(), "the same open file");
  lock.close();
  closeSync(writer);
});

test("a killed process leaves no open behind that waits: granted, it is closed and unlinked", async (t) => {
  const directory = scratch(t);
  const path = join(directory, "fifo");
  execFileSync("mkfifo", [path]);
  const script = join(directory, "child.mjs");
  const module = new URL("../../ts/native.ts", import.meta.url).href;
  writeFileSync(
    script,
    `import { loadNative } from ${JSON.stringify(module)};
     void loadNative().openDlmLockApart(${JSON.stringify(path)}, "PR", null);
     setTimeout(() => process.kill(process.pid, "SIGKILL"), 500);`,
  );
  t.throws(() =>
    execFileSync(process.execPath, ["--import=@oxc-node/core/register", script], { stdio: "ignore" }),
  );
  closeSync(openSync(path, "w"));
  await until("the lock's file is gone", () => !existsSync(path));
  t.pass();
});

test("places: shared, alone, awaited, in their turn, given up", async (t) => {
  const path = join(scratch(t), "run/dlm/locks");
  const readers = await Promise.all(
    [1, 2].map(() => native.lockRange(path, 1n, { exclusive: false, wait: false })),
  );
  t.is(await native.lockRange(path, 1n, alone), null);
  for (const reader of readers) reader?.release();
  const holder = sure(await native.lockRange(path, 1n, alone));
  t.false(holder.isAwaited());
  const next = native.lockRange(path, 1n, { exclusive: true, wait: true });
  await until("somebody waits", () => holder.isAwaited());
  const controller = new AbortController();
  const last = native.lockRange(path, 1n, { exclusive: true, wait: true }, { signal: controller.signal });
  controller.abort();
  t.is((await t.throwsAsync<O2cbError>(last))?.code, "O2CB_ABORTED");
  holder.release();
  holder.release();
  sure(await next).release();
  await t.throwsAsync(native.lockRange(path, 1n << 62n, alone), { instanceOf: O2cbError });
});
