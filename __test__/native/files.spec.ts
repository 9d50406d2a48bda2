// Attributes, directories, paths and the mount table, compared with what Node and the kernel's own files say.
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
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

test("files are listed without the directories, and removed", async (t) => {
  const root = scratch(t);
  mkdirSync(join(root, "directory"));
  writeFileSync(join(root, "file"), "");
  symlinkSync("directory", join(root, "link"));
  t.deepEqual((await native.listFiles(root)).toSorted(), ["file", "link"]);
  await native.removeFile(join(root, "link"));
  t.deepEqual(await native.listFiles(root), ["file"]);
  const again = (await t.throwsAsync(native.removeFile(join(root, "link")))) as O2cbError;
  t.like(again, { errno: -2, syscall: "unlink", operation: "remove-file", path: join(root, "link") });
  const directory = (await t.throwsAsync(native.removeFile(join(root, "directory")))) as O2cbError;
  t.is(directory.errno, -21);
});

test("a file is replaced whole, with its mode, and by another inode", async (t) => {
  const root = scratch(t);
  const path = join(root, "a", "b", "file");
  await native.replaceFile(path, "one\n", 0o666);
  t.deepEqual([readFileSync(path, "utf8"), statSync(path).mode & 0o7777], ["one\n", 0o666]);
  t.is(statSync(join(root, "a")).mode & 0o7777, 0o755);
  // Whoever has the old file open keeps the old content: a second name shows it.
  linkSync(path, join(root, "old"));
  chmodSync(path, 0o444);
  await native.replaceFile(path, "zwei \u00e9\n", 0o600);
  t.deepEqual([readFileSync(path, "utf8"), statSync(path).mode & 0o7777], ["zwei \u00e9\n", 0o600]);
  t.is(readFileSync(join(root, "old"), "utf8"), "one\n");
  symlinkSync("a/b/file", join(root, "link"));
  await native.replaceFile(join(root, "link"), "three\n", 0o600);
  t.true(lstatSync(join(root, "link")).isSymbolicLink());
  t.is(readFileSync(path, "utf8"), "three\n");
  t.deepEqual(readdirSync(join(root, "a", "b")), ["file"]);
});

test("a replacement that fails leaves the old content and no other file", async (t) => {
  const root = scratch(t);
  const path = join(root, "file");
  await native.replaceFile(path, "old", 0o600);
  await t.throwsAsync(native.replaceFile(path, "x".repeat(1024 * 1024 + 1), 0o600), {
    code: "O2CB_INTERNAL_FAILURE",
    message: /1048576/,
  });
  const caller = new AbortController();
  const given = native.replaceFile(path, "new", 0o600, { signal: caller.signal });
  caller.abort();
  const outcome = await given.then(
    () => "new",
    () => "old",
  );
  t.is(readFileSync(path, "utf8"), outcome);
  const below = (await t.throwsAsync(native.replaceFile(join(path, "x"), "new", 0o600))) as O2cbError;
  t.is(below.errno, -20);
  for (const wrong of [root, "/dev/null"]) {
    await t.throwsAsync(native.replaceFile(wrong, "new", 0o600), { message: /no regular file/ });
  }
  t.deepEqual(readdirSync(root), ["file"]);
});

test("twenty replacements at once leave one whole content", async (t) => {
  const root = scratch(t);
  const path = join(root, "file");
  const contents = Array.from({ length: 20 }, (_, n) => String.fromCodePoint(97 + n).repeat(100_000 + n));
  const seen = new Set<string>();
  const calls = contents.map((content) =>
    native.replaceFile(path, content, 0o600).then(() => seen.add(readFileSync(path, "utf8"))),
  );
  await Promise.all(calls);
  t.true([...seen].every((content) => contents.includes(content)));
  t.deepEqual(readdirSync(root), ["file"]);
});
