// Hundreds of mounts and unmounts at random, with hb_ctl_path at nobody on node 1 and at our ocfs2_hb_ctl on node 3: ours, the C
// tools', bare, bound, lazy, in namespaces, by umount2, killed at any moment, with a monitor that comes and goes. Meanwhile node 2
// stays mounted on a volume of each and keeps writing.
//
// Each node has several volumes that go through their cycles side by side, since a cycle waits for the kernel most of its time.
// OCFS2_GROUP_SEED replays the choices of a run (the moments still differ), OCFS2_GROUP_CYCLES is how many cycles each node makes,
// OCFS2_GROUP_VOLUMES on how many volumes.
import { randomInt } from "node:crypto";
import type { ExecutionContext } from "ava";
import { Cycle, type Course } from "./cycles/drive.ts";
import { MonitorKeeper } from "./cycles/keeper.ts";
import { drawCycle, numbersOf, startedByUs } from "./cycles/plan.ts";
import { Writer } from "./cycles/writer.ts";
import { assertCleanVolume, format, KERNEL_LEAVES, NOBODY_LEAVES } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";
import type { Node } from "./vm/node.ts";

const numberFrom = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
/** of each node */
const CYCLES = numberFrom("OCFS2_GROUP_CYCLES", 300);
const VOLUMES = numberFrom("OCFS2_GROUP_VOLUMES", 8);
/** so that a run says how far it is, and ends early when something is wrong */
const PARTS = Math.min(5, CYCLES);
const SEED = numberFrom("OCFS2_GROUP_SEED", randomInt(2 ** 31));

const modes = [
  { node: 0, path: NOBODY_LEAVES },
  { node: 2, path: KERNEL_LEAVES },
];
const shared = sharedLab({
  nodes: 3,
  disks: Array.from({ length: VOLUMES * modes.length }, () => ({ mib: 128 })),
  limitSeconds: 3600,
});

interface Run {
  courses: Course[];
  keepers: MonitorKeeper[];
  writers: Writer[];
  /** cycles that were begun, of each course */
  begun: number[];
  failed: boolean;
}

let prepared: Promise<Run> | undefined;

async function prepare(): Promise<Run> {
  const { nodes } = shared.get();
  const [, writing] = nodes;
  if (writing === undefined) throw new Error("three nodes are needed");
  const run: Run = { courses: [], keepers: [], writers: [], begun: [], failed: false };
  await Promise.all(
    modes.map(async ({ node: at, path }, mode) => {
      const node = nodes[at] as Node;
      await node.setHbCtlPath(path);
      const keeper = new MonitorKeeper(node);
      run.keepers.push(keeper);
      for (let volume = 0; volume < VOLUMES; volume += 1) {
        const letter = String.fromCharCode("a".charCodeAt(0) + mode * VOLUMES + volume);
        const device = `/dev/vd${letter}`;
        const base = `/m/${letter}`;
        await node.run(`mkdir -p ${base}/1 ${base}/2 ${base}/3`);
        run.courses.push({ node, keeper, device, base, uuid: await format(node, device) });
      }
      await keeper.change({ at: "begin", signal: "SIGTERM", again: true });
    }),
  );
  run.begun = run.courses.map(() => 0);
  // The first volume of each node is the one that node 2 shares.
  const first = run.courses.filter(
    ({ node }, index, all) => all.findIndex((one) => one.node === node) === index,
  );
  for (const course of first) course.stays = writing;
  run.writers = await Promise.all(first.map((course) => Writer.start(writing, course)));
  return run;
}

/** The next cycles of each volume, `count` on each node; all errors, once every volume is at rest. */
async function go(run: Run, upTo: number): Promise<string[]> {
  const errors: string[] = [];
  await Promise.all(
    run.courses.map(async (course, index) => {
      const volume = index % VOLUMES;
      // So many of the node's cycles are this volume's: every VOLUMES-th one.
      const mine = Math.floor((upTo + VOLUMES - 1 - volume) / VOLUMES);
      while ((run.begun[index] ?? 0) < mine && !run.failed) {
        const cycle = run.begun[index] ?? 0;
        run.begun[index] = cycle + 1;
        const drawn = drawCycle(numbersOf(SEED, course.device, cycle));
        const plan = course.stays === undefined ? drawn : startedByUs(drawn);
        try {
          await new Cycle(course, plan).run();
        } catch (error) {
          run.failed = true;
          errors.push(`seed ${SEED}, cycle ${cycle} of ${(error as Error).message}`);
        }
      }
    }),
  );
  return errors;
}

function ready(t: ExecutionContext): Promise<Run> {
  t.timeout(1_800_000);
  prepared ??= prepare();
  return prepared;
}

for (let part = 1; part <= PARTS; part += 1) {
  const upTo = Math.round((CYCLES * part) / PARTS);
  scenario(`cycles up to ${upTo} of ${CYCLES}, on each of two nodes (seed ${SEED})`, async (t) => {
    const run = await ready(t);
    if (run.failed) return t.fail("an earlier part failed");
    const errors = await go(run, upTo);
    for (const error of errors) t.log(error);
    t.is(errors.length, 0, `OCFS2_GROUP_SEED=${SEED} replays the choices`);
  });
}

scenario(
  "after all cycles: nothing is held, node 2 has written throughout, and the volumes are clean",
  async (t) => {
    const run = await ready(t);
    const { nodes } = shared.get();
    for (const keeper of run.keepers) {
      await keeper.stop("SIGTERM");
      t.log(`a monitor was started ${keeper.starts} times`);
      t.deepEqual(keeper.failures, [], "no monitor said that it failed");
    }
    for (const { node } of modes) await nodes[node]?.assertNothingLeft();
    for (const writer of run.writers) {
      const { lines, pauseSeconds } = await writer.end();
      t.log(`node 2 wrote ${lines} times, with a pause of ${pauseSeconds} s at most`);
      t.true(lines > 10);
      t.true(pauseSeconds < 20, "it wrote throughout");
    }
    await nodes[1]?.assertNothingLeft();
    for (const { node, device } of run.courses) await assertCleanVolume(node, device);
  },
);
