// What a command costs before it does anything: `--version` and a wrong command line against `node -e 0`, on this machine.
// Wanted: at most 1.5 times. `node bench/startup.mjs [rounds]` after `npm run build`.
//
// One round runs every variant once, in an order that turns with each round, so that a busy minute meets all alike. The ratio
// is the median of the rounds' own ratios. NODE_EXTRA_CA_CERTS alone costs node 20 some 50 ms, so NODE_* is not handed on; the
// launcher does the same.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const inRoot = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const wanted = 1.5;

const variants = [
  { title: "node -e 0", args: ["-e", "0"], status: 0 },
  ...["mount.ocfs2", "umount.ocfs2"].flatMap((name) => [
    { title: `${name} --version`, args: [inRoot(`dist/cli/${name}.cjs`), "--version"], status: 0 },
    { title: `${name}, wrong usage`, args: [inRoot(`dist/cli/${name}.cjs`), "--no-such-option"], status: 1 },
  ]),
  // As npx runs it: a module that imports the bundle. mount(8) never takes this way, and no bound is set for it.
  {
    title: "bin/mount.ocfs2.js --version",
    args: [inRoot("bin/mount.ocfs2.js"), "--version"],
    status: 0,
    isFree: true,
  },
];

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

function time({ title, args, status }, env) {
  const began = process.hrtime.bigint();
  const ended = spawnSync(process.execPath, args, { stdio: "ignore", env });
  const milliseconds = Number(process.hrtime.bigint() - began) / 1e6;
  if (ended.status !== status)
    throw new Error(`${title} ended with ${ended.status ?? ended.signal}, not ${status}`);
  return milliseconds;
}

/** Rows of `{ title, milliseconds, ratio, wanted }`, medians of `rounds`; the first row is `node -e 0`, `wanted` null where free. */
export function measureStartup(rounds = 31) {
  for (const name of ["mount.ocfs2", "umount.ocfs2"]) {
    const bundle = inRoot(`dist/cli/${name}.cjs`);
    if (!existsSync(bundle)) throw new Error(`${bundle} is missing: run npm run build first`);
  }
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("NODE_")));
  const times = variants.map(() => []);
  for (let round = -2; round < rounds; round++) {
    const row = [];
    for (let turn = 0; turn < variants.length; turn++) {
      const index = (turn + round + variants.length) % variants.length;
      row[index] = time(variants[index], env);
    }
    // The first rounds warm the caches.
    if (round >= 0) row.forEach((milliseconds, index) => times[index].push(milliseconds));
  }
  return variants.map(({ title, isFree }, index) => ({
    title,
    milliseconds: median(times[index]),
    ratio: median(times[index].map((milliseconds, round) => milliseconds / times[0][round])),
    wanted: index === 0 || isFree ? null : wanted,
  }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = measureStartup(Number(process.argv[2] ?? 31));
  for (const { title, milliseconds, ratio, wanted: bound } of rows) {
    const verdict = bound === null ? "" : `  (wanted: at most ${bound})${ratio <= bound ? "" : "  TOO SLOW"}`;
    console.log(
      `${title.padEnd(30)} ${milliseconds.toFixed(1).padStart(7)} ms  ${ratio.toFixed(2)}${verdict}`,
    );
  }
  process.exitCode = rows.every((row) => row.wanted === null || row.ratio <= row.wanted) ? 0 : 1;
}
