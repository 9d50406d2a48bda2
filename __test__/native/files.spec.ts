// Attributes, directories, paths and the mount table, compared with what Node and the kernel's own files say.
import {
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import test from "ava";
import { O2cbError } from "../../ts/errors.ts";
import { loadNative } from "../../ts/native.ts";
import { scratch, sure } from "./support.ts";

const native = loadNative();

test("an attribute is read whole, what is not UTF-8 replaced", async (t) => {
  const path = join(scratch(t), "attribute");
  writeFileSync(path, Buffer.concat([Buffer.alloc(60_000, "a"), Buffer.from([0xff, 0x0a])]));
  t.is(await native.readAttribute(path), `${"a".repeat(60_000)}\ufffd\n`);
  writeFileSync(path, Buffer.alloc(65_537));
  await t.throwsAsync(native.readAttribute(path), { code: "O2CB_INTERNAL_FAILURE", message: /65536/ });
});

test("an attribute is written in place, never created, never split", async (t) => {
  const path = join(scratch(t), "attribute");
  await t.throwsAsync(native.writeAttribute(path, "1"), { code: "O2CB_SERVICE_UNAVAILABLE" });
  writeFileSync(path, "abc");
  await native.writeAttribute(path, "xy");
  t.is(readFileSync(path, "utf8"), "xyc");
  await native.writeAttribute(path, "é".repeat(2000));
  t.is(readFileSync(path, "utf8"), "é".repeat(2000));
  for (const value of ["", "é".repeat(2048)]) {
    await t.throwsAsync(native.writeAttribute(path, value), {
      code: "O2CB_INTERNAL_FAILURE",
      message: /1 to 4095/,
    });
  }
  const full = await t.throwsAsync(native.writeAttribute("/dev/full", "x"), { instanceOf: O2cbError });
  t.like(full, { path: "/dev/full", syscall: "write", errno: -28 });
});

test("directories are made, listed without what is no directory, and removed", async (t) => {
  const root = scratch(t);
  await native.makeDirectory(join(root, "one"));
  t.is(statSync(join(root, "one")).mode & 0o777, 0o755 & ~process.umask());
  mkdirSync(join(root, "two"));
  writeFileSync(join(root, "file"), "");
  symlinkSync("one", join(root, "link"));
  t.deepEqual((await native.listDirectories(root)).toSorted(), ["one", "two"]);
  t.is(await native.readLink(join(root, "link")), "one");
  await native.removeDirectory(join(root, "two"));
  t.deepEqual(await native.listDirectories(root), ["one"]);
});

test("what cannot be done to a directory has its errno", async (t) => {
  const root = scratch(t);
  const missing = join(root, "missing");
  const failures = [
    [native.makeDirectory(root), -17, "mkdir"],
    [native.makeDirectory(join(missing, "x")), -2, "mkdir"],
    [native.removeDirectory(missing), -2, "rmdir"],
    [native.removeDirectory("/"), -16, "rmdir"],
    [native.listDirectories(missing), -2, "open"],
    [native.readLink(root), -22, "readlink"],
  ] as const;
  for (const [call, errno, syscall] of failures) {
    const error = (await t.throwsAsync(call as Promise<unknown>, { instanceOf: O2cbError })) as O2cbError;
    t.deepEqual([error.errno, error.syscall], [errno, syscall]);
  }
});

test("a path's facts are those of stat, statfs and realpath", async (t) => {
  const root = scratch(t);
  writeFileSync(join(root, "file"), "");
  symlinkSync("file", join(root, "link"));
  for (const path of [root, join(root, "link"), "/", "/proc", "/dev/null", process.execPath]) {
    const facts = await native.inspectPath(path, null);
    const stat = statSync(path);
    t.is(facts.realPath, realpathSync(path));
    t.is(facts.kind, stat.isDirectory() ? "directory" : stat.isFile() ? "file" : "character");
    t.is(facts.filesystemMagic, statfsSync(path).type >>> 0);
    t.deepEqual(facts.device, numbers(stat.dev));
    t.deepEqual(facts.represents, stat.isCharacterDevice() ? numbers(stat.rdev) : null);
  }
  const missing = (await t.throwsAsync(native.inspectPath(join(root, "none"), null))) as O2cbError;
  t.is(missing.errno, -2);
});

/** Linux's encoding of dev_t. */
function numbers(device: number): { major: number; minor: number } {
  const low = BigInt(device);
  const major = ((low >> 8n) & 0xfffn) | ((low >> 32n) & 0xfffff000n);
  const minor = (low & 0xffn) | ((low >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}

test("the mount table has the kernel's lines, and a mount's root is on its own mount", async (t) => {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").trimEnd().split("\n");
  const entries = await native.mounts(null);
  t.deepEqual(
    entries.map(({ id, parent, device }) => `${id} ${parent} ${device.major}:${device.minor}`),
    lines.map((line) => line.split(" ").slice(0, 3).join(" ")),
  );
  const proc = sure(entries.find((entry) => entry.target === "/proc" && entry.type === "proc"));
  t.like(await native.inspectPath("/proc", null), { mountId: proc.id, isMountRoot: true });
  t.like(await native.inspectPath("/proc/self/stat", null), { mountId: proc.id, isMountRoot: false });
});

test("a relative path is this process's", async (t) => {
  t.is((await native.inspectPath(".", null)).realPath, process.cwd());
  t.is(basename((await native.inspectPath("./package.json", null)).realPath), "package.json");
});
