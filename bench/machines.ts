// What mounting costs in the lab, as ratios in one run: ours against the C tool, eight volumes against one, and a mount in a
// group that the node already holds against the kernel's own mount(2). Software emulation: read the ratios, not the seconds.
//
// Run by `npm run bench`; OCFS2_GROUP_BENCH_ROUNDS sets the rounds (default 5).
import { format, PEER_HB_CTL, PEER_MOUNT, prepareNode, root } from "../__test__/e2e/ours.ts";
import { Lab } from "../__test__/e2e/vm/lab.ts";
import type { Node } from "../__test__/e2e/vm/node.ts";

const rounds = Number(process.env["OCFS2_GROUP_BENCH_ROUNDS"] ?? 5);
const letters = ["a", "b", "c", "d", "e", "f", "g", "h"];

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function report(
  name: string,
  value: string,
  bound: string,
  isMet: boolean,
  values: Record<string, number[]>,
): void {
  if (!isMet) process.exitCode = 1;
  const all = Object.entries(values).map(
    ([label, list]) => `${label} ${list.map((ms) => (ms / 1000).toFixed(2)).join(" ")} s`,
  );
  console.log(`${name}: ${value} (wanted: ${bound})\n    ${all.join("\n    ")}`);
}

async function coldMounts(node: Node): Promise<void> {
  await node.run("mv /sbin/mount.ocfs2 /sbin/mount.ocfs2.ours");
  const times: Record<string, number[]> = { ours: [], peer: [] };
  const helpers: [string, string][] = [
    ["peer", PEER_MOUNT],
    ["ours", "/sbin/mount.ocfs2.ours"],
  ];
  for (let round = -1; round < rounds; round += 1) {
    for (const [who, helper] of helpers) {
      // mount(8) runs what is called /sbin/mount.ocfs2; a link changes who that is.
      await node.run(["ln", "-sfn", helper, "/sbin/mount.ocfs2"]);
      const { ms } = await node.run(["mount", "-t", "ocfs2", "/dev/vda", "/ma"]);
      await node.run(["umount", "/ma"]);
      await node.assertNothingLeft();
      // The first round warms the machine's caches for both and is not counted.
      if (round >= 0) times[who]?.push(ms);
    }
  }
  await node.run("ln -sfn /sbin/mount.ocfs2.ours /sbin/mount.ocfs2");
  const ratio = median(times["ours"] ?? []) / median(times["peer"] ?? []);
  report(
    "a cold mount through mount(8), ours / C tool",
    ratio.toFixed(3),
    "at most 1.1",
    ratio <= 1.1,
    times,
  );
}

async function eightAgainstOne(node: Node): Promise<void> {
  const times: Record<string, number[]> = { one: [], eight: [] };
  const script = [`${root}__test__/e2e/guest-scripts/mount-many.mjs`, `${root}dist/index.js`];
  const pairs = letters.map((letter) => `/dev/vd${letter}=/m${letter}`);
  for (let round = 0; round < Math.max(2, rounds - 2); round += 1) {
    for (const [who, list] of [
      ["one", pairs.slice(0, 1)],
      ["eight", pairs],
    ] as const) {
      const { stdout } = await node.run(["node", ...script, ...list], { limitSeconds: 240 });
      times[who]?.push(Number(/in (\d+) ms/.exec(stdout)?.[1]));
      await Promise.all(
        list.map((pair) => node.run(["umount", pair.slice(pair.indexOf("=") + 1)], { limitSeconds: 240 })),
      );
    }
  }
  const ratio = median(times["eight"] ?? []) / median(times["one"] ?? []);
  report(
    "eight volumes from one process / one volume",
    ratio.toFixed(3),
    "at most 1.25",
    ratio <= 1.25,
    times,
  );
}

async function heldGroup(node: Node): Promise<void> {
  const times: Record<string, number[]> = { ours: [], kernel: [], peer: [] };
  await node.run([PEER_HB_CTL, "-S", "-d", "/dev/vda", "bench"]);
  const mounts: [string, string[]][] = [
    ["kernel", ["mount", "-i", "-t", "ocfs2", "-o", "heartbeat=local", "/dev/vda", "/ma"]],
    ["ours", ["mount", "-t", "ocfs2", "/dev/vda", "/ma"]],
    ["peer", [PEER_MOUNT, "/dev/vda", "/ma", "-o", "rw"]],
  ];
  for (let round = 0; round < rounds; round += 1) {
    for (const [who, command] of mounts) {
      times[who]?.push((await node.run(command)).ms);
      // Straight by umount2(2) for the kernel's own mount, so that no leave takes the holder's reference.
      await node.run(who === "kernel" ? ["umount", "-i", "/ma"] : ["umount", "/ma"]);
    }
  }
  await node.run([PEER_HB_CTL, "-K", "-d", "/dev/vda", "bench"]);
  await node.assertNothingLeft();
  const over = median(times["ours"] ?? []) - median(times["kernel"] ?? []);
  report(
    "a mount in a group that is held, over the kernel's own mount(2)",
    `${(over / 1000).toFixed(2)} s`,
    "at most 1.5 s",
    over <= 1500,
    times,
  );
}

const lab = await Lab.boot({
  nodes: 1,
  disks: letters.map(() => ({ mib: 128 })),
  limitSeconds: 3600,
  log: (line) => console.log(`  ${line}`),
});
try {
  const [node] = lab.nodes;
  if (node === undefined) throw new Error("a node is needed");
  console.log(
    `kernel ${lab.kernel}, one emulated processor, ${rounds} rounds, medians of the machine's clock`,
  );
  await prepareNode(node);
  for (const letter of letters) await format(node, `/dev/vd${letter}`);
  await node.run(`mkdir -p ${letters.map((letter) => `/m${letter}`).join(" ")}`);
  await coldMounts(node);
  await heldGroup(node);
  await eightAgainstOne(node);
} finally {
  await lab.close();
}
