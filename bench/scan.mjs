// What looking at many disks costs, against the C tool and against the bare read, in one run on this machine. `node bench/scan.mjs [rounds]`
// as root, after `npm run build`; it makes loop devices over files in the working directory's file system.
//
// 1. `mounted.ocfs2 -d` over 64 devices with cold caches, without node's start: the work inside node, from the call to the lines, against
//    the C tool's whole run. Wanted: at most 0.7 times. Before each, every device's cache and the files' are dropped.
// 2. All 255 heartbeat slots of a region, read with O_DIRECT and verified, against open, one direct read of the same bytes and close on
//    the same kind of thread. Wanted: at most 1.15 times. The device's file is read directly, too, so that there is a disk to wait for.
// The C tool looks for kernel modules when the classic stack is not loaded; that is part of what its users wait for, and is told apart.
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  openSync,
  closeSync,
  ftruncateSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { detectLines } from "../ts/cli/mounted-job.ts";
import { detectVolumes } from "../dist/look/volumes.js";
import { loadNative } from "../dist/native.js";

const DEVICES = 64;
const SCAN_FACTOR = 0.7;
const SLOTS_FACTOR = 1.15;
const SHAPES = [512, 1024, 2048, 4096];
const C_TOOL = ["/usr/sbin/mounted.ocfs2", "/sbin/mounted.ocfs2"].find((one) => existsSync(one));

const root = fileURLToPath(new URL("..", import.meta.url));
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const milliseconds = async (work) => {
  const began = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - began) / 1e6;
};

const directory = mkdtempSync(path.join(root, ".cache", "bench-scan-"));
const devices = [];

function makeDevices() {
  const images = SHAPES.map((blockBytes) => {
    const image = path.join(directory, `${blockBytes}.img`);
    writeFileSync(image, "");
    const file = openSync(image, "r+");
    ftruncateSync(file, 48 << 20);
    closeSync(file);
    const options = [
      "-q",
      "-F",
      "-x",
      "-b",
      blockBytes,
      "-C",
      "4096",
      "-N",
      "2",
      "-J",
      "size=4M",
      "-L",
      "bench",
    ];
    execFileSync("/usr/sbin/mkfs.ocfs2", [...options.map(String), image], { stdio: "ignore" });
    return image;
  });
  for (let index = 0; index < DEVICES; index++) {
    const image = path.join(directory, `${index}`);
    execFileSync("cp", ["--sparse=always", images[index % images.length], image]);
    const line = ["--direct-io=on", "--find", "--show", image];
    devices.push(execFileSync("losetup", line, { encoding: "utf8" }).trim());
  }
}

function dropCaches() {
  execFileSync("sync");
  for (const device of devices) execFileSync("blockdev", ["--flushbufs", device]);
  writeFileSync("/proc/sys/vm/drop_caches", "1\n");
  // The program and its libraries are on no cold disk in either case.
  spawnSync(C_TOOL, ["-d", "/dev/null"], { stdio: "ignore" });
}

function report(what, took, allowed, unit, base) {
  const ratio = took / base;
  const verdict = ratio <= allowed ? "" : "  TOO SLOW";
  console.log(
    `${what.padEnd(44)} ${took.toFixed(2).padStart(8)} ${unit}, ${ratio.toFixed(2)} times (wanted: at most ${allowed})${verdict}`,
  );
  return ratio <= allowed;
}

async function scans(native, rounds) {
  const [ours, theirs, idle] = [[], [], []];
  for (let round = -1; round < rounds; round++) {
    dropCaches();
    let output = "";
    const theirTime = await milliseconds(() => {
      output = execFileSync(C_TOOL, ["-d"], { encoding: "latin1" });
    });
    dropCaches();
    let lines = Buffer.alloc(0);
    const ourTime = await milliseconds(async () => {
      lines = detectLines((await detectVolumes(native)).volumes);
    });
    if (lines.toString("latin1") !== output) throw new Error("the two do not tell the same");
    const idleTime = await milliseconds(() => {
      execFileSync(C_TOOL, ["-d", "/dev/null"], { stdio: "ignore" });
    });
    if (round < 0) continue;
    ours.push(ourTime);
    theirs.push(theirTime);
    idle.push(idleTime);
  }
  console.log(
    `C tool, -d over ${DEVICES} cold devices                 ${median(theirs).toFixed(2).padStart(8)} ms`,
  );
  console.log(`   of that, its start without a device to read ${median(idle).toFixed(2).padStart(7)} ms`);
  const whole = report("ours, without node's start", median(ours), SCAN_FACTOR, "ms", median(theirs));
  const net = median(theirs) - median(idle);
  console.log(`   against the C tool without its start: ${(median(ours) / net).toFixed(2)} times`);
  return whole;
}

async function slots(native, bare, rounds) {
  const [device] = devices;
  const { heartbeat, blockBytes } = await native.readVolume(device);
  const geometry = {
    startBlock: (heartbeat.startBlock * BigInt(blockBytes)) / 512n,
    blockBytes: 512,
    blocks: 255,
  };
  fillSlots(device, geometry);
  const [ours, theirs] = [[], []];
  for (let round = -200; round < rounds; round++) {
    const offset = geometry.startBlock * 512n;
    const bareTime = await milliseconds(() => bare(null, device, offset, 255 * 512));
    const ourTime = await milliseconds(() => native.readHeartbeatSlots(device, geometry));
    if (round < 0) continue;
    ours.push(ourTime * 1000);
    theirs.push(bareTime * 1000);
  }
  console.log(`bare direct read of 255 blocks               ${median(theirs).toFixed(0).padStart(8)} us`);
  return report("255 heartbeat slots, read and verified", median(ours), SLOTS_FACTOR, "us", median(theirs));
}

/** Every node has written something. */
function fillSlots(device, { startBlock }) {
  const file = openSync(device, "r+");
  const block = Buffer.alloc(255 * 512);
  for (let slot = 0; slot < 255; slot++) {
    block.writeBigUInt64LE(1_700_000_000n, slot * 512);
    block.writeUInt8(slot, slot * 512 + 8);
    block.writeBigUInt64LE(0x1234_5678_9abc_def0n, slot * 512 + 16);
  }
  writeSync(file, block, 0, block.length, Number(startBlock) * 512);
  closeSync(file);
  execFileSync("sync");
}

if (process.getuid() !== 0) console.log("skipped: loop devices need root");
else if (C_TOOL === undefined)
  console.log("skipped: there is no mounted.ocfs2 of ocfs2-tools to compare with");
else {
  const rounds = Number(process.argv[2] ?? 15);
  try {
    makeDevices();
    const native = loadNative();
    const module = { exports: {} };
    const file = `native/ocfs2-group.${process.platform}-${process.arch}-gnu.node`;
    process.dlopen(module, path.join(root, file));
    const isFast = await scans(native, rounds);
    const isClose = await slots(native, module.exports.onlyForTestsBareRead, rounds * 40);
    process.exitCode = isFast && isClose ? 0 : 1;
  } finally {
    for (const device of devices) spawnSync("losetup", ["--detach", device]);
    rmSync(directory, { recursive: true, force: true });
  }
}
