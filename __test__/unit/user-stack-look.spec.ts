// Volumes of a userspace stack looked at: names of their nodes are corosync's, never o2cb's, and who lives is what corosync says.
import test from "ava";
import { checkMounted, mountedJob } from "../../ts/cli/mounted-job.ts";
import { runCli } from "../../ts/cli/run-cli.ts";
import { volumeHolders } from "../../ts/look/holders.ts";
import { inspectVolume } from "../../ts/look/inspect.ts";
import { detectVolumes } from "../../ts/look/volumes.ts";
import { openVolume } from "../../ts/volume.ts";
import { runCorosync } from "../helpers/corosync.ts";
import {
  classicLocal,
  DISK,
  userStack,
  volume,
  type FakeKernel,
  type Machine,
} from "../helpers/fake-native.ts";

const BIG = 3_232_235_777;

/** The user stack's volume with slots of these nodes. */
function withSlots(machine: Machine, ...nodes: number[]): Machine {
  for (const [slot, node] of nodes.entries()) machine.disk.slotState.owners.set(slot, node);
  return machine;
}

async function holders(kernel: FakeKernel): Promise<string[]> {
  const native = kernel.process();
  const seen = await volumeHolders(native, await openVolume(native, DISK), {
    pause: () => Promise.resolve(),
  });
  return seen.holders.map(({ node, name, state }) => `${node} ${name} ${state}`);
}

test("names are those of corosync's node list", async (t) => {
  const { kernel } = withSlots(userStack(), 1, 2, 9);
  runCorosync(kernel);
  t.deepEqual(await holders(kernel), ["1 n1 mounted", "2 n2 mounted", "9 null stale"]);
  const { slots } = await inspectVolume(kernel.process(), DISK);
  t.deepEqual(
    slots.slice(0, 4).map(({ node, name }) => [node, name]),
    [
      [1, "n1"],
      [2, "n2"],
      [9, null],
      [null, null],
    ],
  );
  const { volumes } = await detectVolumes(kernel.process(), { slotMaps: true });
  t.deepEqual(
    volumes[0]?.slots?.map(({ name }) => name),
    ["n1", "n2", null],
  );
});

test("o2cb's names are not corosync's, though both are there, and the other way round", async (t) => {
  const machine = withSlots(classicLocal({ volume: { stack: "pcmk", cluster: "labpc" } }), 0, 1);
  const { kernel } = machine;
  const classic = kernel.addDisk({ name: "sdc", number: { major: 8, minor: 32 }, volume: volume() });
  classic.slotState.owners.set(0, 1);
  t.deepEqual(await holders(kernel), ["0 null mounted", "1 null mounted"]);
  runCorosync(kernel);
  t.deepEqual((await holders(kernel)).at(1), "1 n1 mounted");
  const { volumes } = await detectVolumes(kernel.process(), { slotMaps: true });
  t.deepEqual(
    volumes.map(({ slots }) => slots?.map(({ name }) => name)),
    [[null, "n1"], ["beta"]],
  );
});

test("a cluster of another name has no say, nor has a node list without names", async (t) => {
  const { kernel } = withSlots(userStack(), 1, 2);
  runCorosync(kernel, undefined, { clusterName: "other" });
  t.deepEqual(await holders(kernel), ["1 null mounted", "2 null mounted"]);
  runCorosync(kernel, [{ id: 1 }, { id: 2, isMember: false }]);
  t.deepEqual(await holders(kernel), ["1 null mounted", "2 null stale"]);
});

test("who is no member has died, where this side of the cluster has quorum", async (t) => {
  const { kernel } = withSlots(userStack(), 1, 2);
  const nodes = [
    { id: 1, name: "n1" },
    { id: 2, name: "n2", isMember: false },
  ];
  runCorosync(kernel, nodes);
  t.deepEqual(await holders(kernel), ["1 n1 mounted", "2 n2 stale"]);
  runCorosync(kernel, nodes, { isQuorate: false });
  t.deepEqual(await holders(kernel), ["1 n1 mounted", "2 n2 mounted"]);
});

test("without corosync a look is poorer, and no failure", async (t) => {
  const { kernel } = withSlots(userStack(), 1, BIG);
  kernel.services.corosync = null;
  t.deepEqual(await holders(kernel), ["1 null mounted", `${BIG} null mounted`]);
  t.like((await inspectVolume(kernel.process(), DISK)).slots[1], { node: BIG, name: null });
});

test("mounted.ocfs2 -f: a number above 254 without a name is Unknown, as with the C tool; --json has it", async (t) => {
  const { kernel } = withSlots(userStack(), 1, BIG);
  runCorosync(kernel, [{ id: 1, name: "n1" }]);
  const out: string[] = [];
  const terminal = {
    out: (line: string) => void out.push(line),
    write: (bytes: Uint8Array) => void out.push(Buffer.from(bytes).toString()),
    err: () => undefined,
    isWatched: () => false,
  };
  const program = { job: mountedJob(), check: checkMounted, help: () => "help" };
  await runCli(program, ["-f", DISK], terminal, async () => kernel.process());
  t.deepEqual(out.join("").split("\n").slice(1), [`/dev/sdb  pcmk   labpc       n1, Unknown`, ""]);
});
