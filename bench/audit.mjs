// What an audit costs: `ocfs2_hb_ctl --audit --json` over 32 regions with 64 block devices present, against `node -e 0`, on this
// machine. Wanted: at most 1.2 times node's start plus 50 ms. `node bench/audit.mjs [rounds]` as root, after `npm run build`.
//
// The tree is a fake one, of plain files, put over /sys/kernel, /sys/class/block and /run in a mount namespace of its own: no
// cluster is needed and nothing of the host is touched. One round runs both once; the figure is the median of the rounds'.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const REGIONS = 32;
const DISKS = 64;
const FACTOR = 1.2;
const PLUS_MS = 50;
const self = fileURLToPath(import.meta.url);
const command = fileURLToPath(new URL("../dist/cli/ocfs2_hb_ctl.cjs", import.meta.url));

const file = (path, text) => writeFileSync(path, text);
const directory = (path) => mkdirSync(path, { recursive: true });
const must = (...line) => {
  const { status, stderr } = spawnSync(line[0], line.slice(1), { encoding: "utf8" });
  if (status !== 0) throw new Error(`${line.join(" ")}: ${stderr.trim()}`);
};
const uuidOf = (index) => index.toString(16).toUpperCase().padStart(32, "A");

function buildTree() {
  for (const place of ["/sys/class/block", "/sys/kernel", "/run"])
    must("mount", "-t", "tmpfs", "tmpfs", place);
  for (let index = 0; index < DISKS; index++) {
    directory(`/sys/class/block/vd${index}/holders`);
    file(`/sys/class/block/vd${index}/dev`, `254:${index}\n`);
    file(`/sys/class/block/vd${index}/size`, "2097152\n");
  }
  const heartbeat = "/sys/kernel/config/cluster/lab/heartbeat";
  directory(heartbeat);
  file(`${heartbeat}/mode`, "local\n");
  directory("/sys/kernel/debug/ocfs2");
  for (let index = 0; index < REGIONS; index++) {
    const region = `${heartbeat}/${uuidOf(index)}`;
    const debug = `/sys/kernel/debug/o2hb/${uuidOf(index)}`;
    directory(region);
    directory(debug);
    const attributes = {
      block_bytes: 512,
      start_block: 2184,
      blocks: 255,
      pid: process.pid,
      dev: `vd${index}`,
    };
    for (const [name, value] of Object.entries(attributes)) file(`${region}/${name}`, `${value}\n`);
    file(`${debug}/pinned`, "0\n");
    file(`${debug}/elapsed_time_in_ms`, "412\n");
    file(`${debug}/livenodes`, "0 1\n");
    directory("/run/ocfs2-group/joins");
    file(`/run/ocfs2-group/joins/${uuidOf(index)}.agent.000000000000.json`, recordOf(index));
  }
}

function recordOf(index) {
  return JSON.stringify({
    format: 1,
    id: `${uuidOf(index)}.agent.000000000000`,
    bootId: null,
    region: uuidOf(index),
    thread: null,
    device: `/dev/vd${index}`,
    deviceNumber: `254:${index}`,
    cluster: "lab",
    service: "agent",
    persistent: true,
    pid: process.pid,
    startTime: "1",
    references: 1,
    observed: false,
    handed: false,
    directory: null,
    namespace: null,
    time: "2026-01-01T00:00:00.000Z",
  });
}

function time(args, env) {
  const began = process.hrtime.bigint();
  const ended = spawnSync(process.execPath, args, { encoding: "utf8", env });
  const milliseconds = Number(process.hrtime.bigint() - began) / 1e6;
  if (ended.status !== 0) throw new Error(`${args.join(" ")} ended with ${ended.status}: ${ended.stderr}`);
  return { milliseconds, output: ended.stdout };
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Runs in the namespace. */
function measure(rounds) {
  buildTree();
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("NODE_")));
  const node = [];
  const audit = [];
  for (let round = -2; round < rounds; round++) {
    const plain = time(["-e", "0"], env);
    const full = time([command, "--audit", "--json"], env);
    const { result } = JSON.parse(full.output.trim().split("\n").at(-1));
    if (result.regions.length !== REGIONS) throw new Error(`${result.regions.length} regions were seen`);
    if (round < 0) continue;
    node.push(plain.milliseconds);
    audit.push(full.milliseconds);
  }
  const allowed = median(node.map((milliseconds) => milliseconds * FACTOR + PLUS_MS));
  const took = median(audit);
  const verdict = took <= allowed ? "" : "  TOO SLOW";
  console.log(`node -e 0                      ${median(node).toFixed(1).padStart(7)} ms`);
  console.log(
    `audit of ${REGIONS} regions            ${took.toFixed(1).padStart(7)} ms  (wanted: at most ${allowed.toFixed(1)} ms)${verdict}`,
  );
  return took <= allowed;
}

const [first = "21", inside] = process.argv.slice(2);
if (inside === "inside") process.exitCode = measure(Number(first)) ? 0 : 1;
else if (process.getuid() !== 0)
  console.log("skipped: an audit over a fake tree needs root, for a mount namespace");
else {
  const { status } = spawnSync("unshare", ["--mount", process.execPath, self, first, "inside"], {
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
}
