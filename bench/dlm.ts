// What a lock costs through the library, as ratios in one run in one machine: lock and unlock from JavaScript against a bare C loop of open
// and close on the same dlmfs file. Nobody else wants the locks. Software emulation: read the ratios, not the rates.
//
// Run by `npm run bench`; OCFS2_GROUP_BENCH_ROUNDS sets the rounds (default 5).
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { format, prepareNode, root } from "../__test__/e2e/ours.ts";
import { Lab } from "../__test__/e2e/vm/lab.ts";

const rounds = Number(process.env["OCFS2_GROUP_BENCH_ROUNDS"] ?? 5);
const SECONDS = 3;

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const lab = await Lab.boot({
  nodes: 1,
  disks: [{ mib: 128 }],
  limitSeconds: 1800,
  log: (line) => console.log(`  ${line}`),
});
try {
  const [node] = lab.nodes;
  if (node === undefined) throw new Error("a node is needed");
  execFileSync("gcc", ["-O2", "-o", join(lab.exchange, "dlm-loop"), `${root}bench/dlm-loop.c`]);
  await prepareNode(node);
  await format(node, "/dev/vda");
  await node.run("mkdir -p /dlm && mount -t ocfs2_dlmfs ocfs2_dlmfs /dlm");
  await node.run(["/sbin/ocfs2_hb_ctl", "-S", "-d", "/dev/vda", "bench"]);
  await node.run("mkdir /dlm/BENCH");
  const rates: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round += 1) {
    const c = await node.run(["/lab/dlm-loop", "/dlm/BENCH/lock", String(SECONDS)]);
    (rates["c"] ??= []).push(Number(c.stdout));
    const script = `${root}__test__/e2e/guest-scripts/dlm-loop.mjs`;
    const ours = await node.run(["node", script, `${root}dist/index.js`, "BENCH", "lock", String(SECONDS)]);
    for (const [, name, rate] of ours.stdout.matchAll(/^(\w+) (\d+)$/gm))
      (rates[name as string] ??= []).push(Number(rate));
    // The library leaves the domain with its last lock; the C loop needs it again.
    await node.run("mkdir -p /dlm/BENCH");
  }
  const c = median(rates["c"] ?? []);
  const report = (title: string, name: string, wanted: number | null): void => {
    const ratio = median(rates[name] ?? []) / c;
    if (wanted !== null && !(ratio >= wanted)) process.exitCode = 1;
    const bound = wanted === null ? "" : ` (wanted: at least ${wanted})`;
    console.log(
      `${title} / C loop: ${ratio.toFixed(3)}${bound}: ${(rates[name] ?? []).join(" ")} / ${(rates["c"] ?? []).join(" ")} a second`,
    );
  };
  report("lock and unlock({ keep: true }), one at a time", "one", 0.5);
  report("the same, 64 in flight on 64 locks", "names64", 1);
  report("the same, 64 in flight on one lock", "same64", 1);
  report("lock and unlock(), which gives it up", "drop", null);
} finally {
  await lab.close();
}
