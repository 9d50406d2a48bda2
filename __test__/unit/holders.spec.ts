// Who holds a volume: the slot map against who beats, on disks that other nodes have written.
import test from "ava";
import { assert, boolean, nat, property, uniqueArray } from "fast-check";
import { holderSentence, holdersOf, volumeHolders, type VolumeHolder } from "../../ts/look/holders.ts";
import { openVolume } from "../../ts/volume.ts";
import { classicGlobal, classicLocal, DISK, DIRECTORY, type Machine } from "../helpers/fake-native.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";
import { command, mount, start } from "../helpers/region-work.ts";
import { refused } from "../helpers/refused.ts";

const AREA = { startBlock: 2184n, blockBytes: 512 };

/** Node `node` has written its block the `turn`th time. */
function beat({ disk }: Machine, node: number, turn = 0n, generation = 77n): void {
  disk.writeSlot(AREA, { slot: node, valid: true, node, sequence: 1000n + turn, generation, deadMs: 62_000 });
}

interface Look {
  holders: VolumeHolder[];
  sentence: string;
  pauses: number[];
}

/** What is seen; `between` happens in each pause. */
async function look(machine: Machine, between: (turn: number) => void = () => undefined): Promise<Look> {
  const native = machine.kernel.process();
  const pauses: number[] = [];
  const pause = (milliseconds: number): Promise<void> => {
    pauses.push(milliseconds);
    between(pauses.length);
    return Promise.resolve();
  };
  const seen = await volumeHolders(native, await openVolume(native, DISK), { pause });
  native.exit();
  return { ...seen, pauses };
}

const short = ({ holders }: Look): string[] =>
  holders.map(({ node, slot, name, state }) => `${node} ${name} ${slot} ${state}`);

test("nobody: no slot, no beat, and no pause to be sure of it", async (t) => {
  const machine = classicLocal();
  beat(machine, 1, 0n, 0n);
  const seen = await look(machine);
  t.deepEqual(seen.holders, []);
  t.is(seen.sentence, "'/dev/sdb' is held by no node");
  t.deepEqual(seen.pauses, [], "a node that left cleanly is no question");
});

test("slots of a node that beats, of one that died, and a beat without a slot", async (t) => {
  const machine = classicLocal();
  const { owners } = machine.disk.slotState;
  for (const node of [1, 3, 9]) beat(machine, node);
  owners.set(0, 1).set(2, 9);
  const seen = await look(machine, (turn) => {
    beat(machine, 1, BigInt(turn));
    // It was about to write when the first look was over.
    if (turn === 2) beat(machine, 3, 1n);
  });
  t.deepEqual(short(seen), ["1 beta 0 mounted", "9 null 2 stale", "3 null null heartbeating"]);
  t.deepEqual(seen.pauses, [2000, 2000], "node 9 is watched as long as a node can take to write");
  t.is(
    seen.sentence,
    "'/dev/sdb' is mounted on 'beta' (node 1); it has slots of node 9, which does not beat and has not been recovered; " +
      "it is used without a mount by node 3",
  );
});

test("one look more is enough where all questions are answered", async (t) => {
  const machine = classicLocal();
  beat(machine, 1);
  machine.disk.slotState.owners.set(0, 1);
  const seen = await look(machine, () => beat(machine, 1, 5n));
  t.deepEqual(short(seen), ["1 beta 0 mounted"]);
  t.deepEqual(seen.pauses, [2000]);
});

test("a block that does not check, and one that was never written, do not beat", async (t) => {
  const machine = classicLocal();
  machine.disk.slotState.owners.set(0, 4).set(1, 5);
  machine.disk.writeSlot(AREA, { slot: 4, valid: false, node: 4, sequence: 9n, generation: 1n, deadMs: 0 });
  const seen = await look(machine);
  t.deepEqual(short(seen), ["4 null 0 stale", "5 null 1 stale"]);
  t.deepEqual(seen.pauses, []);
});

test("what this host's kernel sees beating needs no pause: a mount, its end, a service", async (t) => {
  const machine = classicLocal();
  await mount(machine.kernel);
  const mounted = await look(machine);
  t.deepEqual([short(mounted), mounted.pauses], [["0 alpha 0 mounted"], []]);
  const details = await machine.kernel.process().inspectVolume(DISK);
  t.deepEqual(details.journals.map(({ dirty }) => dirty).slice(0, 2), [true, false]);
  await command(machine.kernel, (native) => unmountVolume(native, { target: DIRECTORY }));
  t.deepEqual((await look(machine)).holders, []);
  await start(machine.kernel, "fsck");
  t.deepEqual(short(await look(machine)), ["0 alpha null heartbeating"]);
});

test("global heartbeat: nodes beat elsewhere, and those without a slot do not hold this volume", async (t) => {
  const machine = classicGlobal();
  const { kernel, disk } = machine;
  kernel.network.livePeers.add(1);
  disk.slotState.owners.set(0, 1).set(1, 7);
  t.deepEqual(short(await look(machine)), ["1 beta 0 mounted", "7 null 1 stale"]);
});

test("a slot counts as mounted where nobody can see a heartbeat: local volumes, other stacks, no cluster here", async (t) => {
  for (const machine of [
    classicLocal({ volume: { local: true } }),
    classicLocal({ volume: { stack: "pcmk" } }),
    classicGlobal({ unregistered: true, features: { debugfs: false } }),
    classicLocal({ volume: { heartbeatProblem: "two extents" } }),
  ]) {
    machine.disk.slotState.owners.set(0, 0);
    const seen = await look(machine);
    t.deepEqual(
      seen.holders.map(({ state }) => state),
      ["mounted"],
    );
    t.deepEqual(seen.pauses, []);
  }
});

test("names come from cluster.conf where no cluster is registered, of the cluster in the stamp", async (t) => {
  const machine = classicLocal({ unregistered: true });
  machine.kernel.addFile(
    "/etc/ocfs2/cluster.conf",
    "cluster:\n\tname = other\n\tnode_count = 0\n\ncluster:\n\tname = lab\n\tnode_count = 1\n\n" +
      "node:\n\tname = gamma\n\tcluster = lab\n\tnumber = 6\n\tip_address = 10.0.0.6\n\tip_port = 7777\n",
  );
  machine.disk.slotState.owners.set(3, 6);
  t.deepEqual(short(await look(machine)), ["6 gamma 3 stale"]);
});

test("a slot map that cannot be used is an error, a journal that cannot is none", async (t) => {
  const machine = classicLocal();
  const { problems } = machine.disk.slotState;
  problems.push({ what: "journal of slot 1", why: "block 25: its inode is not in use" });
  t.deepEqual((await look(machine)).holders, []);
  problems.push({ what: "slot map", why: "block 9: its inode is not in use" });
  const native = machine.kernel.process();
  const volume = await openVolume(native, DISK);
  const error = await refused(t, volumeHolders(native, volume), null, "O2CB_BAD_DIRECTORY");
  t.regex(error.message, /slot map on '\/dev\/sdb' cannot be used: block 9/);
});

test("every holder is told once, whatever slots and beats say", (t) => {
  const nodes = uniqueArray(nat(20), { maxLength: 6 });
  const everyOne = property(nodes, nodes, nodes, boolean(), (owners, live, onVolume, isComplete) => {
    const slots = owners.map((node, slot) => ({ node, slot }));
    const alive = new Set([...live, ...onVolume]);
    const holders = holdersOf(
      slots,
      { live: alive, onVolume: new Set(onVolume), isComplete },
      new Map([[3, "gamma"]]),
    );
    const expected = new Set([...owners, ...onVolume]);
    const stale = holders.filter(({ state }) => state === "stale").map(({ node }) => node);
    return (
      holders.length === expected.size &&
      holders.every(({ node, slot }) => slot === null || owners[slot] === node) &&
      stale.every((node) => isComplete && !alive.has(node)) &&
      [...expected].every((node) => holderSentence("/dev/x", holders).includes(`node ${node}`))
    );
  });
  t.notThrows(() => assert(everyOne));
});
