// Files on the fake machine: replaced as a whole, listed, removed, and a /run that cannot be written.
import test from "ava";
import { classicLocal, UUID, walkFaults, walkKills } from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";

const JOINS = "/run/ocfs2-group/joins";
const RECORD = `${JOINS}/x.json`;

test("a file is replaced as a whole, its directories are made, and what is listed are the others", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  await native.replaceFile(RECORD, "one", 0o600);
  await native.replaceFile(RECORD, "two", 0o600);
  await native.makeDirectory(`${JOINS}/below`);
  t.is(await native.readAttribute(RECORD), "two");
  t.deepEqual(await native.listFiles(JOINS), ["x.json"]);
  t.deepEqual(await native.listDirectories(JOINS), ["below"]);
  await native.removeFile(RECORD);
  t.deepEqual(await native.listFiles(JOINS), []);
  await refused(t, native.removeFile(RECORD), "ENOENT", "O2CB_SERVICE_UNAVAILABLE");
  await refused(t, native.removeFile(`${JOINS}/below`), "EISDIR");
  await refused(t, native.listFiles(RECORD), "ENOENT");
  await refused(t, native.listFiles("/etc/hostname"), "ENOTDIR");
  await refused(t, native.replaceFile(`${JOINS}/below`, "", 0o600), null, "O2CB_INTERNAL_FAILURE");
  await refused(t, native.replaceFile("/proc/x/y", "", 0o600), "EACCES");
  await refused(t, native.removeFile("/proc/self/stat"), "EPERM");
});

test("a link at the path is followed and stays", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  kernel.root.put("/etc/link", { kind: "link", target: "real/file" });
  await native.replaceFile("/etc/link", "text", 0o644);
  t.is(await native.readLink("/etc/link"), "real/file");
  t.is(await native.readAttribute("/etc/real/file"), "text");
  await native.removeFile("/etc/link");
  t.is(await native.readAttribute("/etc/real/file"), "text");
});

test("a failure leaves the old content; only the last sync fails with the new one there", async (t) => {
  const late = new Set<string>();
  const runs = await walkFaults((native) => native.replaceFile(RECORD, "new", 0o600), {
    setup: () => {
      const { kernel } = classicLocal();
      kernel.addFile(RECORD, "old");
      return kernel;
    },
    late: true,
    check: async ({ kernel, outcome, title }) => {
      t.is(outcome.status, "failed", title);
      const text = await kernel.process().readAttribute(RECORD);
      if (title.includes("late")) late.add(text);
      else t.is(text, "old", title);
      t.deepEqual(await kernel.process().listFiles(JOINS), ["x.json"], title);
    },
  });
  t.true(runs > 4);
  t.deepEqual([...late], ["new"]);
});

test("a death halfway leaves the temporary file and the old content; leftovers name both", async (t) => {
  const seen: Record<string, string[]> = {};
  await walkKills((native) => native.replaceFile(RECORD, "new", 0o600), {
    setup: () => classicLocal().kernel,
    halfway: true,
    check: ({ kernel, title }) => void (seen[title.replace(/.* is /, "")] = kernel.leftovers()),
  });
  t.deepEqual(seen["killed before"], []);
  t.deepEqual(seen["killed after"], ["record x"]);
  t.is(seen["killed halfway"]?.length, 1);
  t.regex(seen["killed halfway"]?.[0] ?? "", /^half-written file \.x\.json\.\d+\.\d+\.tmp$/);
  t.throws(() => classicLocal().kernel.process().failCall("removeFile", { kill: "during" }), {
    instanceOf: TypeError,
  });
});

test("records are leftovers, locks are not", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  await native.replaceFile(`${JOINS}/${UUID}.ocfs2.1.json`, "{}", 0o600);
  (await native.lockFile(`/run/ocfs2-group/${UUID}.lock`, 10)).release();
  t.deepEqual(kernel.leftovers(), [`record ${UUID}.ocfs2.1`]);
});

test("a read-only /run refuses every change, a full one what needs room", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  kernel.addFile("/run/ocfs2-group/old.lock");
  kernel.addFile(RECORD, "old");
  for (const fails of ["EROFS", "ENOSPC"] as const) {
    kernel.runFails = fails;
    await refused(t, native.replaceFile(RECORD, "new", 0o600), fails);
    await refused(t, native.replaceFile("/run/other/file", "new", 0o600), fails);
    await refused(t, native.lockFile("/run/ocfs2-group/new.lock", 10), fails);
    await refused(t, native.makeDirectory("/run/directory"), fails);
    t.is(await native.readAttribute(RECORD), "old");
    await native.replaceFile("/etc/elsewhere", "", 0o600);
  }
  (await native.lockFile("/run/ocfs2-group/old.lock", 10)).release();
  await native.removeFile(RECORD);
  kernel.runFails = "EROFS";
  await refused(t, native.lockFile("/run/ocfs2-group/old.lock", 10), "EROFS", "O2CB_PERMISSION_DENIED");
  await refused(t, native.removeFile("/run/ocfs2-group/old.lock"), "EROFS");
  kernel.runFails = null;
  await native.removeFile("/run/ocfs2-group/old.lock");
});

test("/run is the same in every mount namespace, unless one has its own", async (t) => {
  const { kernel } = classicLocal();
  const host = kernel.process();
  const sharing = kernel.process({ namespace: kernel.unshare() });
  const apart = kernel.process({ namespace: kernel.unshare({ ownRun: true }) });
  await host.replaceFile(RECORD, "host", 0o600);
  t.is(await sharing.readAttribute(RECORD), "host");
  await refused(t, apart.readAttribute(RECORD), "ENOENT");
  const device = async (native: typeof host, path: string): Promise<number> =>
    (await native.inspectPath(path, null)).device.minor;
  t.is(await device(sharing, "/run"), await device(sharing, "/proc/1/root/run"));
  t.not(await device(apart, "/run"), await device(apart, "/proc/1/root/run"));
  // Their locks do not meet.
  const path = "/run/x.lock";
  await host.lockFile(path, 10);
  await refused(t, sharing.lockFile(path, 10), "EAGAIN");
  await apart.lockFile(path, 10);
});
