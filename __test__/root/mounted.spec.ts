// mounted.ocfs2 of this package against that of ocfs2-tools, on the same machine with 64 loop devices of many shapes: every byte of what
// -d and -f write. And inspectVolume against debugfs.ocfs2 on the same devices.
//
// Facts relied on: mkfs.ocfs2 makes what other hosts have made, of every age (max-compat: the old slot map). Slot maps are written by hand, as
// the kernel writes them (disk-format 3). What differs on purpose is in docs/differences.md, and is looked at apart.
import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { checkMounted, mountedJob } from "../../ts/cli/mounted-job.ts";
import { runCli } from "../../ts/cli/run-cli.ts";
import { loadNative } from "../../ts/native.ts";

process.setMaxListeners(0);

const found = (name: string): string | undefined =>
  ["/usr/sbin", "/sbin"].map((place) => join(place, name)).find((path) => existsSync(path));
const [cTool, mkfs, debugfs] = ["mounted.ocfs2", "mkfs.ocfs2", "debugfs.ocfs2"].map(found);
const missing = [
  process.geteuid?.() !== 0 && "needs root",
  (cTool ?? mkfs ?? debugfs) === undefined && "needs ocfs2-tools",
  spawnSync("losetup", ["-f"]).status !== 0 && "needs loop devices",
].filter(Boolean);
const rooted = missing.length === 0 ? test.serial : test.skip;
const why = missing.length === 0 ? "" : ` (${missing.join(", ")})`;

const native = loadNative();
const devices: string[] = [];
let directory = "";

/** Options of mkfs.ocfs2 for each shape; the labels come with the copies. */
const SHAPES: Record<string, string> = {
  "512": "-b 512 -C 4096 -N 2 --cluster-stack=o2cb --cluster-name=lab",
  "1024": "-b 1024 -C 4096 -N 2",
  "2048-global":
    "-b 2048 -C 8192 -N 3 --cluster-stack=o2cb --cluster-name=0123456789abcdef --global-heartbeat",
  "4096": "-b 4096 -C 4096 -N 4 --cluster-stack=o2cb --cluster-name=lab",
  "512-many": "-b 512 -C 4096 -N 64 --fs-features=noinline-data --cluster-stack=o2cb --cluster-name=lab",
  "4096-ecc": "-b 4096 -C 4096 -N 2 --fs-features=metaecc",
  "1024-ecc-blocks": "-b 1024 -C 4096 -N 2 --fs-features=metaecc,noinline-data",
  "4096-old": "-b 4096 -C 4096 -N 4 --fs-feature-level=max-compat",
  "512-old": "-b 512 -C 4096 -N 2 --fs-feature-level=max-compat",
  "4096-pcmk": "-b 4096 -C 65536 -N 2 --cluster-stack=pcmk --cluster-name=hacluster",
  "4096-local": "-b 4096 -C 4096 -N 1 -M local",
  "1024-local": "-b 1024 -C 4096 -N 1 -M local",
  "512-heartbeat": "-H -b 512",
  "512-heartbeat-global": "-H -b 512 --cluster-stack=o2cb --cluster-name=lab --global-heartbeat",
};
/** of all lengths that mkfs.ocfs2 takes, and of bytes that are no UTF-8 */
const LABELS = ["", "a", "label with spaces", "Größe", "日本", "x".repeat(63), "%s%n", "'\"\\"].map((text) =>
  Buffer.from(text),
);
LABELS.push(Buffer.from([0x61, 0xff, 0xe9, 0x62]));

const sizeOf = (shape: string): number =>
  (shape.includes("many") ? 400 : shape.includes("heartbeat") ? 8 : 48) << 20;

function emptyImage(path: string, bytes: number): void {
  const file = openSync(path, "w");
  ftruncateSync(file, bytes);
  closeSync(file);
}

function patch(path: string, offset: number, bytes: Uint8Array): void {
  const file = openSync(path, "r+");
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

function attach(image: string): string {
  const device = execFileSync("losetup", ["-f", "--show", image], { encoding: "utf8" }).trim();
  devices.push(device);
  return device;
}

const superblockOf = (shape: string): number => 2 * Number(shape.split("-")[0]);

test.before(() => {
  if (missing.length > 0 || mkfs === undefined) return;
  directory = mkdtempSync(join(process.env["OCFS2_GROUP_SCRATCH"] ?? tmpdir(), "ocfs2-group-"));
  for (const [shape, options] of Object.entries(SHAPES)) {
    const image = join(directory, shape);
    emptyImage(image, sizeOf(shape));
    const journal = shape.includes("heartbeat") ? [] : ["-J", "size=4M"];
    execFileSync(mkfs, ["-q", "-F", "-x", ...journal, ...options.split(" "), image], { stdio: "ignore" });
  }
  const shapes = Object.keys(SHAPES);
  for (let index = 0; index < 56; index++) {
    const shape = shapes[index % shapes.length] ?? "";
    const image = join(directory, `${index}-${shape}`);
    copyFileSync(join(directory, shape), image);
    // Where there are checksums the label is under them: mkfs.ocfs2 has made it.
    const label = LABELS[index % LABELS.length];
    if (label !== undefined && !shape.includes("ecc"))
      patch(image, superblockOf(shape) + 0x110, Buffer.concat([label, Buffer.alloc(64 - label.length)]));
    attach(image);
  }
  for (let index = 0; index < 8; index++) {
    const image = join(directory, `other-${index}`);
    emptyImage(image, [4 << 20, 1 << 20, 512, 12_288, (1 << 20) + 4096, 8 << 20, 1024, 3 << 20][index] ?? 0);
    if (index === 5) patch(image, 0, Buffer.alloc(8 << 20, 0x02));
    attach(image);
  }
});

test.after.always(() => {
  for (const device of devices) spawnSync("losetup", ["-d", device]);
  if (directory !== "") rmSync(directory, { recursive: true, force: true });
});

/** What our command writes. */
async function ours(...argv: string[]): Promise<{ status: number; out: string; err: string[] }> {
  const out: Uint8Array[] = [];
  const err: string[] = [];
  const terminal = {
    out: (line: string) => void out.push(Buffer.from(`${line}\n`)),
    write: (bytes: Uint8Array) => void out.push(bytes),
    err: (line: string) => void err.push(line),
    isWatched: () => false,
  };
  const program = { job: mountedJob(), check: checkMounted, help: () => "" };
  const status = await runCli(program, argv, terminal, async () => native);
  return { status, out: Buffer.concat(out).toString("latin1"), err };
}

/** What the C tool writes. */
function theirs(...argv: string[]): { status: number | null; out: string } {
  const { status, stdout } = spawnSync(cTool ?? "", argv, { encoding: "latin1" });
  return { status, out: stdout };
}

/** Block of the slot map's only extent, as debugfs.ocfs2 tells. */
function slotMapBlock(device: string): number {
  const stat = execFileSync(debugfs ?? "", ["-R", "stat //slot_map", device], { encoding: "utf8" });
  return Number(stat.trim().split("\n").at(-1)?.trim().split(/\s+/)[3]);
}

/** The first device of this shape. */
const deviceOf = (shape: string): string => devices[Object.keys(SHAPES).indexOf(shape)] ?? "";

rooted(`-d and -f write what the C tool writes, byte for byte, over 64 devices${why}`, async (t) => {
  t.is(devices.length, 64);
  for (const option of ["-d", "-f"]) {
    const expected = theirs(option);
    t.true(expected.out.split("\n").length > 50, "the C tool sees the volumes");
    const { status, out, err } = await ours(option);
    t.is(out, expected.out);
    t.deepEqual([status, err], [expected.status, []]);
  }
});

rooted(`one device, an image, and what is no volume are told alike${why}`, async (t) => {
  const named = [
    ...devices.slice(0, 16),
    ...devices.slice(-8),
    join(directory, "4096"),
    "/dev/none",
    "/dev/null",
  ];
  for (const one of named)
    for (const option of ["-d", "-f"]) t.is((await ours(option, one)).out, theirs(option, one).out, one);
});

rooted(`slots that are taken, in both formats, with numbers of every size${why}`, async (t) => {
  const entries = (nodes: (number | null)[]): Buffer => {
    const bytes = Buffer.alloc(nodes.length * 8);
    for (const [slot, node] of nodes.entries()) {
      // A free slot keeps the number of its last node.
      bytes.writeUInt8(node === null ? 0 : 1, slot * 8);
      bytes.writeUInt32LE(node ?? 7, slot * 8 + 4);
    }
    return bytes;
  };
  const old = (nodes: number[]): Buffer => Buffer.from(Uint16Array.from(nodes).buffer);
  const maps: [shape: string, bytes: Buffer, slots: { slot: number; node: number }[]][] = [
    [
      "4096",
      entries([1, null, 254, 255]),
      [
        [0, 1],
        [2, 254],
        [3, 255],
      ].map(([slot = 0, node = 0]) => ({ slot, node })),
    ],
    ["512", entries([null, 0, 9]), [{ slot: 1, node: 0 }]],
    [
      "512-many",
      entries(Array.from({ length: 64 }, (_, slot) => slot)),
      Array.from({ length: 64 }, (_, slot) => ({ slot, node: slot })),
    ],
    [
      "4096-pcmk",
      entries([70_000, 1_084_752_129]),
      [
        { slot: 0, node: 70_000 },
        { slot: 1, node: 1_084_752_129 },
      ],
    ],
    [
      "4096-old",
      old([3, 0xffff, 300, 0]),
      [
        { slot: 0, node: 3 },
        { slot: 2, node: 300 },
        { slot: 3, node: 0 },
      ],
    ],
    ["512-old", old([0xffff, 12, 1]), [{ slot: 1, node: 12 }]],
    ["4096-ecc", entries([2]), [{ slot: 0, node: 2 }]],
    ["4096-local", entries([0]), [{ slot: 0, node: 0 }]],
  ];
  for (const [shape, bytes, slots] of maps) {
    const device = deviceOf(shape);
    patch(device, slotMapBlock(device) * Number(shape.split("-")[0]), bytes);
    execFileSync("blockdev", ["--flushbufs", device]);
    const { slotMap } = await native.inspectVolume(device);
    t.deepEqual(slotMap, slots, shape);
    t.is((await ours("-f", device)).out, theirs("-f", device).out, shape);
  }
  t.is((await ours("-f")).out, theirs("-f").out);
});

rooted(`journals, system files and superblock are what debugfs.ocfs2 tells${why}`, async (t) => {
  const tell = (request: string, device: string): string =>
    execFileSync(debugfs ?? "", ["-R", request, device], { encoding: "utf8" });
  for (const shape of Object.keys(SHAPES)) {
    const device = deviceOf(shape);
    const details = await native.inspectVolume(device);
    const stats = tell("stats", device);
    const number = (label: string): number => Number(new RegExp(`${label}: (\\d+)`).exec(stats)?.[1]);
    const { superblock } = details;
    t.is(Number(superblock.rootBlock), number("Root Blknum"), shape);
    t.is(Number(superblock.firstClusterGroup), number("First Cluster Group Blknum"), shape);
    t.is(superblock.fsGeneration, number("FS Generation"), shape);
    t.is(superblock.inlineXattrBytes, number("Extended Attributes Inline Size") || 0, shape);
    if (superblock.uuidHash !== 0) t.is(superblock.uuidHash, number("Hash"), shape);
    const listed = tell("ls //", device)
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns.length === 5 && !/^\.\.?$/.test(columns[4] ?? ""));
    t.deepEqual(
      details.systemFiles.map(({ name, block }) => [name, String(block)]),
      listed.map(([block, , , , name]) => [name, block]),
      shape,
    );
    t.deepEqual(
      details.systemFiles.filter(({ problem }) => problem !== null),
      [],
      shape,
    );
    t.is(details.journals.length, details.maxSlots, shape);
    for (const { slot, block, generation, dirty } of details.journals.slice(0, 3)) {
      const stat = tell(`stat //journal:${String(slot).padStart(4, "0")}`, device);
      t.regex(stat, new RegExp(`Inode: ${block} .*Generation: ${generation} `), shape);
      t.is(dirty, stat.includes("Journal Flags: Dirty"), shape);
    }
  }
});

rooted(`a dirty journal, and what is damaged where the C tool ends its line${why}`, async (t) => {
  const device = deviceOf("1024");
  const { journals, systemFiles } = await native.inspectVolume(device);
  const [, second] = journals;
  if (second === undefined) return t.fail();
  patch(device, Number(second.block) * 1024 + 0xb8, Buffer.from([1, 0, 0, 0, 5, 0, 0, 0]));
  execFileSync("blockdev", ["--flushbufs", device]);
  t.deepEqual((await native.inspectVolume(device)).journals[1], {
    ...second,
    dirty: true,
    recoveryGeneration: 5,
  });
  const map = systemFiles.find(({ name }) => name === "slot_map");
  patch(device, Number(map?.block) * 1024, Buffer.from("broken"));
  execFileSync("blockdev", ["--flushbufs", device]);
  const { status, out, err } = await ours("-f", device);
  t.deepEqual([status, err.length], [0, 1]);
  t.regex(out, /\n\S+ {2}o2cb {15}Unknown\n$/);
  await t.throwsAsync(native.inspectVolume(device), { code: "O2CB_BAD_DIRECTORY", message: /slot map/ });
  const { problems } = await native.inspectVolume(device, { partial: true });
  t.deepEqual(
    problems.map(({ what }) => what),
    ["slot map"],
  );
});
