// Lockspaces of fs/dlm through the real module, over a stand-in for libdlm that is compiled here (crates/sys/tests/stub). What
// the locks do is in their names; crates/sys/tests/fsdlm.rs has the whole of it.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import test from "ava";
import type * as binding from "../../native/index.d.ts";
import { loadNative } from "../../ts/native.ts";
import { sure, threads, until } from "./support.ts";

const native = loadNative();
const raw = createRequire(import.meta.url)("../../native/ocfs2-group.linux-x64-gnu.node") as typeof binding;
const directory = mkdtempSync(join(tmpdir(), "ocfs2-group-"));

test.before(async (t) => {
  const source = fileURLToPath(new URL("../../crates/sys/tests/stub/libdlm.c", import.meta.url));
  const library = join(directory, "libdlm.so");
  execFileSync("cc", ["-shared", "-fPIC", "-D_GNU_SOURCE", "-pthread", "-o", library, source]);
  await t.throwsAsync(raw.onlyForTestsLibrary("libdlm", "/nonexistent"), { code: "O2CB_DLM_UNAVAILABLE" });
  await raw.onlyForTestsLibrary("libdlm", library);
});

test.after.always(() => rmSync(directory, { recursive: true }));

test.serial("a lock, its value, and the end of its lockspace", async (t) => {
  const space = await native.openLockspace("AAAA");
  const lock = sure(await space.lock("free", "EX", true));
  await t.throwsAsync(space.close(), { code: "O2CB_DOMAIN_IN_USE" });
  t.deepEqual(lock.readValue(), new Uint8Array(32));
  t.throws(() => lock.writeValue(new Uint8Array(31)), { instanceOf: TypeError });
  lock.writeValue(new Uint8Array(32).fill(7));
  await lock.release();
  await lock.release();
  t.throws(() => lock.readValue(), { code: "O2CB_DLM_FAILED" });
  const reader = sure(await space.lock("free", "PR", true));
  t.deepEqual(reader.readValue(), new Uint8Array(32).fill(7));
  t.throws(() => reader.writeValue(new Uint8Array(32)), { code: "O2CB_DLM_FAILED" });
  await reader.release();
  const lost = sure(await space.lock("value-lost", "PR", true));
  t.is(lost.readValue(), null);
  await lost.release();
  t.is(await space.lock("busy", "EX", true), null);
  await space.close();
  await space.close();
});

test.serial("waiting for a lock and for others that want it can be given up", async (t) => {
  const space = await native.openLockspace("AAAA");
  const caller = new AbortController();
  const waiting = space.lock("busy", "EX", false, { signal: caller.signal });
  await until("it waits", () => threads("take-lock") === 1);
  const lock = sure(await space.lock("quiet", "EX", false));
  const watching = lock.wanted({ signal: caller.signal });
  caller.abort();
  await t.throwsAsync(waiting, { code: "O2CB_ABORTED" });
  await t.throwsAsync(watching, { code: "O2CB_ABORTED" });
  const wanted = sure(await space.lock("wanted", "EX", false));
  await wanted.wanted();
  await wanted.release();
  await lock.release();
  await space.close();
});

test.serial("what the collector finds is given up", async (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const space = await native.openLockspace("AAAA");
  await (async () => void sure(await space.lock("free", "EX", false)))();
  const closed = async (): Promise<boolean> => {
    collect();
    return space.close().then(
      () => true,
      () => false,
    );
  };
  await until("its lock is given up", closed);
  await (async () => void (await native.openLockspace("AAAA")))();
  await until("its thread has ended", () => (collect(), threads("ocfs2-fsdlm") === 0));
  t.pass();
});
