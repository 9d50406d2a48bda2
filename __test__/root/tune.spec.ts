// Changes of real volumes on loop devices and images, against the C tools: byte for byte the same change, clean for fsck.ocfs2, and back again.
//
// Facts relied on: the C tools change a volume for one node without a cluster; volumes of clusters are changed below the lock here, and judged by
// debugfs.ocfs2 and fsck.ocfs2 -fn, which need none. fsck.ocfs2 writes nothing with -n.
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, copyFileSync, constants, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { loadNative } from "../../ts/native.ts";
import type { SuperblockChange, SuperblockCopy } from "../../ts/native-types.ts";
import { queryFormat, queryVolume } from "../../ts/tune/query.ts";
import { tuneVolume } from "../../ts/tune/tune-volume.ts";
import { undoTune } from "../../ts/tune/undo.ts";
import { scratch } from "../native/support.ts";

const PATH = "/usr/sbin:/sbin:/usr/bin:/bin";
const env = { PATH, LC_ALL: "C" };
const works = (path: string, ...args: string[]): boolean => spawnSync(path, args, { env }).status === 0;
const has = (program: string): boolean => works("sh", "-c", `command -v ${program}`);
const missing = [
  process.geteuid?.() !== 0 && "needs root",
  !works("losetup", "-f") && "needs loop devices",
  !["mkfs.ocfs2", "fsck.ocfs2", "debugfs.ocfs2", "tunefs.ocfs2"].every(has) && "needs ocfs2-tools",
  // Where our own command has taken its place there is nothing to compare with.
  spawnSync("tunefs.ocfs2", ["-V"], { env }).stdout?.includes("ocfs2-group") &&
    "needs the C tool as tunefs.ocfs2",
].filter(Boolean);
const rooted = missing.length === 0 ? test.serial : test.skip;
const why = missing.length === 0 ? "" : ` (${missing.join(", ")})`;

const UUID = "2A4D1C581FAA42A1A41D26EFC90C1315";
const MIB = 2 ** 20;
const LOCAL = "-M local";
const STAMPED = "--cluster-stack=o2cb --cluster-name=lab";

/** An image with a volume on it. */
function make(t: ExecutionContext, options: string, mib = 64): string {
  const image = join(scratch(t), "image");
  const file = openSync(image, "w");
  ftruncateSync(file, mib * MIB);
  closeSync(file);
  const words = `-F -x -q -N 2 -J size=4M -C 4096 -L one ${options} ${image}`.split(" ");
  const made = spawnSync("mkfs.ocfs2", words, { env, encoding: "utf8" });
  if (made.status !== 0) throw new Error(`mkfs.ocfs2 ${options}: ${made.stderr}`);
  return image;
}

function loop(t: ExecutionContext, image: string, ...more: string[]): string {
  const device = execFileSync("losetup", [...more, "-f", "--show", image], { env, encoding: "utf8" }).trim();
  t.teardown(() => execFileSync("losetup", ["-d", device], { env }));
  return device;
}

function copyOf(t: ExecutionContext, image: string): string {
  const copy = join(scratch(t), "copy");
  execFileSync("cp", ["--sparse=always", image, copy], { env });
  return copy;
}

/** Fails unless both files are the same. */
function same(t: ExecutionContext, one: string, other: string): void {
  const compared = spawnSync("cmp", ["-l", one, other], { env, encoding: "utf8" });
  t.is(compared.status, 0, compared.stdout.slice(0, 500) + compared.stderr);
}

function peer(...args: string[]): string {
  const run = spawnSync("tunefs.ocfs2", args, { env, encoding: "utf8", input: "" });
  if (run.stderr !== "" && run.status !== 0) throw new Error(`tunefs.ocfs2 ${args.join(" ")}: ${run.stderr}`);
  return run.stdout;
}

function assertClean(t: ExecutionContext, image: string, title = ""): void {
  const checked = spawnSync("fsck.ocfs2", ["-fn", image], { env, encoding: "utf8" });
  t.is(checked.status, 0, `${title}: ${checked.stdout}${checked.stderr}`);
}

const stats = (image: string): string =>
  execFileSync("debugfs.ocfs2", ["-R", "stats", image], { env, encoding: "utf8" });

/** Our -Q and the C tool's, for every letter that it knows. */
async function sameAnswers(t: ExecutionContext, image: string): Promise<void> {
  const query = await queryVolume(loadNative(), { device: image });
  for (const letter of "TNRYPVUMHO")
    for (const format of [`%${letter}`, `<%40${letter}|%-40${letter}>\\n`])
      t.is(queryFormat(format)(query).toString(), peer("-Q", format, image), format);
}

const sizes = [512, 1024, 2048, 4096].flatMap((bytes) => [
  `-b ${bytes} ${LOCAL}`,
  `-b ${bytes} ${LOCAL} --fs-features=metaecc`,
]);

for (const options of [...sizes, `-b 4096 ${LOCAL} --fs-feature-level=max-compat`])
  rooted(`mkfs.ocfs2 ${options}: the C tool's bytes, a clean volume, and back${why}`, async (t) => {
    t.timeout(120_000);
    const image = make(t, options);
    const before = copyOf(t, image);
    const theirs = copyOf(t, image);
    const device = loop(t, image);
    const native = loadNative();
    const undoFile = join(scratch(t), "undo");

    const changed = await tuneVolume(native, {
      device,
      label: "another",
      uuid: UUID,
      undoFile,
      confirm: true,
    });
    t.is(changed.outcome, "changed");
    peer("-y", "-L", "another", `--uuid-reset=${UUID}`, theirs);
    same(t, image, theirs);
    assertClean(t, image);
    t.regex(stats(image), new RegExp(`Label: another\\n\\s*UUID: ${UUID}`));
    await sameAnswers(t, image);
    t.is((await tuneVolume(native, { device, label: "another" })).outcome, "unchanged");

    t.is((await undoTune(native, { device, file: undoFile })).outcome, "undone");
    same(t, image, before);
    t.is((await undoTune(native, { device, file: undoFile })).outcome, "unchanged");

    // An empty label, and the longest.
    await tuneVolume(native, { device, label: "", undoFile: null });
    await tuneVolume(native, { device, label: "é".repeat(32), undoFile: null });
    peer("-L", "é".repeat(32), before);
    same(t, image, before);
  });

rooted(`an image file of one node's volume is changed without a device${why}`, async (t) => {
  const image = make(t, `-b 1024 ${LOCAL}`);
  const theirs = copyOf(t, image);
  await tuneVolume(loadNative(), { device: image, label: "image", undoFile: null });
  peer("-L", "image", theirs);
  same(t, image, theirs);
});

/** What debugfs.ocfs2 says after each change of a cluster's volume. */
const clustered: [options: string, change: SuperblockChange, said: RegExp][] = [
  [`-b 4096 ${STAMPED} --fs-features=metaecc`, { label: "two" }, /Label: two/],
  [`-b 1024 ${STAMPED}`, { uuid: UUID }, new RegExp(`UUID: ${UUID}`)],
  [`-b 4096 ${STAMPED}`, { local: true }, /Feature Incompat: \d+ local .*clusterinfo/],
  [
    `-b 4096 ${LOCAL}`,
    { local: false, stamp: { stack: "o2cb", flags: 1, cluster: "lab" } },
    /clusterinfo[^]*Cluster stack: o2cb\s+Cluster name: lab\s+Cluster flags: 1/,
  ],
  [`-b 4096 ${STAMPED}`, { stamp: null }, /Cluster stack: classic o2cb/],
  [
    "-b 4096",
    { stamp: { stack: "pcmk", flags: 0, cluster: "other" } },
    /userspace-stack[^]*Cluster stack: pcmk\s+Cluster name: other/,
  ],
  [
    `-b 2048 --cluster-stack=pcmk --cluster-name=x --fs-features=metaecc`,
    { stamp: { stack: "o2cb", flags: 0, cluster: "sixteen_bytes_16".replaceAll("_", "0") } },
    /clusterinfo[^]*Cluster stack: o2cb\s+Cluster name: sixteen0bytes016/,
  ],
];

for (const [options, change, said] of clustered)
  rooted(`mkfs.ocfs2 ${options}, then ${JSON.stringify(change)}: as asked, and clean${why}`, async (t) => {
    const image = make(t, options);
    const before = copyOf(t, image);
    const device = loop(t, image);
    const native = loadNative();
    const [copy] = (await native.readSuperblocks(device, change)).copies;
    if (copy === undefined) return t.fail("no superblock");
    t.true(await native.writeSuperblock(device, copy));
    t.false(await native.writeSuperblock(device, copy));
    t.regex(stats(image), said);
    assertClean(t, image);
    await sameAnswers(t, image);
    await native.writeSuperblock(device, { block: copy.block, old: copy.new, new: copy.old });
    same(t, image, before);
  });

rooted(
  `a volume with backups: every subset that is written is clean, and the next change completes it${why}`,
  async (t) => {
    t.timeout(300_000);
    const image = make(t, `-b 4096 ${LOCAL} --fs-features=metaecc`, 4500);
    const theirs = copyOf(t, image);
    const device = loop(t, image);
    const native = loadNative();
    const change = { label: "another", uuid: UUID };
    const { copies } = await native.readSuperblocks(device, change);
    t.deepEqual(
      copies.map(({ offset }) => Number(offset)),
      [8192, 1024 * MIB, 4096 * MIB],
    );
    const back = ({ block, old, new: wanted }: SuperblockCopy) => ({ block, old: wanted, new: old });
    for (let subset = 0; subset < 8; subset += 1) {
      const written = copies.filter((_, index) => (subset >> index) & 1);
      for (const copy of written) await native.writeSuperblock(device, copy);
      assertClean(t, image, `subset ${subset}`);
      for (const copy of written) await native.writeSuperblock(device, back(copy));
    }
    // Cut off after the primary.
    const [primary] = copies;
    if (primary !== undefined) await native.writeSuperblock(device, primary);
    t.deepEqual((await queryVolume(native, { device })).differingBackups, [1024 * MIB, 4096 * MIB]);
    t.is((await tuneVolume(native, { device, label: "another", undoFile: null })).outcome, "changed");
    peer("-y", "-L", "another", `--uuid-reset=${UUID}`, theirs);
    same(t, image, theirs);
    assertClean(t, image);
  },
);

rooted(`a write that tears between any two sectors leaves a clean volume, old or new${why}`, async (t) => {
  t.timeout(120_000);
  const image = make(t, `-b 4096 ${LOCAL} --fs-features=metaecc`);
  const native = loadNative();
  const [copy] = (await native.readSuperblocks(image, { label: "torn", uuid: UUID })).copies;
  if (copy === undefined) return t.fail("no superblock");
  for (let sectors = 0; sectors <= 8; sectors += 1) {
    const torn = Buffer.concat([copy.new.subarray(0, sectors * 512), copy.old.subarray(sectors * 512)]);
    put(image, torn, Number(copy.offset));
    assertClean(t, image, `${sectors} sectors`);
    t.is(peer("-Q", "%V", image), sectors === 0 ? "one" : "torn");
  }
});

rooted(`on sectors of 4096 bytes: the C tool's bytes, and none beside them${why}`, async (t) => {
  const image = make(t, `-b 4096 ${LOCAL}`);
  const theirs = copyOf(t, image);
  const device = loop(t, image, "-b", "4096");
  await tuneVolume(loadNative(), { device, label: "wide", undoFile: null });
  peer("-L", "wide", theirs);
  same(t, image, theirs);
});

rooted(
  `refused: a read-only device, a claimed one, one that holds no volume, a block that changed meanwhile${why}`,
  async (t) => {
    const image = make(t, `-b 4096 ${LOCAL}`);
    const before = copyOf(t, image);
    const native = loadNative();
    const request = { label: "no", undoFile: null };
    const readOnly = loop(t, image, "-r");
    await t.throwsAsync(tuneVolume(native, { ...request, device: readOnly }), {
      code: "O2CB_PERMISSION_DENIED",
    });
    const device = loop(t, image);
    const claim = await native.claimDevice(device);
    await t.throwsAsync(tuneVolume(native, { ...request, device }), { code: "O2CB_VOLUME_IN_USE" });
    claim?.release();
    const [copy] = (await native.readSuperblocks(device, { label: "no" })).copies;
    if (copy === undefined) return t.fail("no superblock");
    await t.throwsAsync(
      native
        .writeSuperblock(device, { ...copy, old: copy.new, new: copy.old })
        .then(() => native.writeSuperblock(device, { ...copy, block: 3n })),
      {
        code: "O2CB_UNSUPPORTED_VOLUME",
      },
    );
    same(t, image, before);
    put(image, Buffer.from("theirs\0"), 8192 + 0x110);
    await t.throwsAsync(native.writeSuperblock(image, copy), { code: "O2CB_VERIFY_FAILED" });
    const empty = join(scratch(t), "empty");
    copyFileSync("/dev/null", empty, constants.COPYFILE_EXCL);
    await t.throwsAsync(tuneVolume(native, { ...request, device: empty }), { code: "O2CB_BAD_SUPERBLOCK" });
  },
);

function put(image: string, bytes: Uint8Array, offset: number): void {
  const file = openSync(image, "r+");
  try {
    writeSync(file, bytes, 0, bytes.length, offset);
    const back = Buffer.alloc(bytes.length);
    readSync(file, back, 0, back.length, offset);
    if (!back.equals(bytes)) throw new Error("it was not written");
  } finally {
    closeSync(file);
  }
}
