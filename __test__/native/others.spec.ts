// File locks, programs, I/O priority.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { O2cbError } from "../../ts/errors.ts";
import { loadNative } from "../../ts/native.ts";
import { child, scratch, threads, until } from "./support.ts";

const native = loadNative();

test("a file lock excludes in one process, and its file and directory are made", async (t) => {
  const path = join(scratch(t), "run", "lock");
  const first = await native.lockFile(path, 0);
  t.is(statSync(path).mode & 0o777, 0o600);
  const error = await t.throwsAsync(native.lockFile(path, 30), {
    instanceOf: O2cbError,
    code: "O2CB_TIMEOUT",
  });
  t.is((error as O2cbError).path, path);
  const second = native.lockFile(path, Infinity);
  first.release();
  first.release();
  (await second).release();
  (await native.lockFile(path, 0)).release();
});

test("a file lock excludes other processes, until its holder is killed", async (t) => {
  const path = join(scratch(t), "lock");
  const script = `globalThis.lock = await native.lockFile(${JSON.stringify(path)}, 0); print("held"); forever();`;
  const one = child(t, script);
  t.is(await one.line(), "held");
  await t.throwsAsync(native.lockFile(path, 0), { code: "O2CB_TIMEOUT" });
  const caller = new AbortController();
  const given = native.lockFile(path, Infinity, { signal: caller.signal });
  caller.abort();
  await t.throwsAsync(given, { code: "O2CB_ABORTED" });
  const waiting = native.lockFile(path, 20_000);
  one.process.kill("SIGKILL");
  (await waiting).release();
});

test("a program's exit status comes back, 128+n for a signal", async (t) => {
  t.is(await native.runProgram("/bin/sh", ["-c", "exit 3"]), 3);
  t.is(await native.runProgram("/bin/sh", ["-c", "kill -KILL $$"]), 137);
  t.is(
    await native.runProgram("/bin/sh", [
      "-c",
      'test "$PATH:$LC_ALL" = "/usr/sbin:/usr/bin:/sbin:/bin:C" && test -z "$HOME"',
    ]),
    0,
  );
  const silent = 'test "$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 | sort -u)" = /dev/null';
  t.is(await native.runProgram("/bin/sh", ["-c", silent]), 0);
  await t.throwsAsync(native.runProgram("sh", []), { code: "O2CB_INTERNAL_FAILURE" });
  const missing = (await t.throwsAsync(native.runProgram("/nonexistent", []))) as O2cbError;
  t.like(missing, { errno: -2, path: "/nonexistent" });
});

test("a program that is given up is killed, and Node's own children are left alone", async (t) => {
  const own = spawn("/bin/sleep", ["1000"]);
  const caller = new AbortController();
  const running = native.runProgram("/bin/sleep", ["1000"], { signal: caller.signal });
  await until("it runs", () => threads("run-program") === 1);
  caller.abort();
  await t.throwsAsync(running, { instanceOf: O2cbError, code: "O2CB_ABORTED" });
  t.is(own.exitCode, null);
  own.kill();
  const [, signal] = (await once(own, "exit")) as [number | null, string];
  t.is(signal, "SIGTERM");
});

test("the I/O priority of a process that is, and of one that is not", async (t) => {
  await native.setIoPriority(process.pid, 2, 4);
  const gone = (await t.throwsAsync(native.setIoPriority(0x7fff_ffff, 2, 4))) as O2cbError;
  t.like(gone, { errno: -3, syscall: "ioprio_set" });
  for (const [pid, ioClass, level] of [
    [0, 2, 4],
    [process.pid, 4, 0],
    [process.pid, 2, 8],
  ] as const) {
    await t.throwsAsync(native.setIoPriority(pid, ioClass, level), { code: "O2CB_INTERNAL_FAILURE" });
  }
});

test("the process's code is given back, and it goes on", (t) => {
  const resident = (): number => process.memoryUsage.rss();
  const before = resident();
  t.true(native.releaseCode() > 10_000_000, "node's code");
  t.true(resident() < before - 4_000_000, `${before} to ${resident()} bytes`);
  t.true(native.releaseCode() > 10_000_000);
});
