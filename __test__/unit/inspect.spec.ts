// `o2cb inspect` and the library's inspectVolume over fake machines: what is shown, with names, and what damage does.
import { readFile } from "node:fs/promises";
import test from "ava";
import { Ajv2020 } from "ajv/dist/2020.js";
import { runO2cb } from "../../ts/cli/o2cb-commands.ts";
import { O2cbError } from "../../ts/errors.ts";
import { featureNames, unknownIncompat } from "../../ts/look/features.ts";
import { volumeHolders } from "../../ts/look/holders.ts";
import { inspectVolume } from "../../ts/look/inspect.ts";
import { openVolume } from "../../ts/volume.ts";
import {
  classicGlobal,
  classicLocal,
  DISK,
  UUID,
  walkFaults,
  type FakeKernel,
} from "../helpers/fake-native.ts";
import { mount } from "../helpers/region-work.ts";

process.setMaxListeners(0);

async function run(kernel: FakeKernel, ...argv: string[]) {
  const [lines, err]: [string[], string[]] = [[], []];
  const terminal = {
    out: (line: string) => void lines.push(line),
    write: (bytes: Uint8Array) => void lines.push(String(bytes)),
    err: (line: string) => void err.push(line),
    isWatched: () => false,
  };
  const status = await runO2cb(["inspect", ...argv], terminal, async () => kernel.process());
  return { status, lines, err };
}

const AREA = { startBlock: 2184n, blockBytes: 512 };

test("a mounted volume: slots with names and journals, heartbeat blocks, features", async (t) => {
  const { kernel, disk } = classicLocal({ volume: { label: "data" } });
  await mount(kernel);
  disk.writeSlot(AREA, {
    slot: 1,
    valid: true,
    node: 1,
    sequence: 1_700_000_000n,
    generation: 0n,
    deadMs: 62_000,
  });
  disk.writeSlot(AREA, { slot: 7, valid: false, node: 1, sequence: 1n, generation: 1n, deadMs: 0 });
  disk.slotState.recover(3);
  const { status, lines, err } = await run(kernel, DISK);
  t.deepEqual([status, err], [0, []]);
  for (const line of [
    `uuid: ${UUID}`,
    "label: data",
    "cluster: lab, stack o2cb, heartbeat local",
    "size: 262144 clusters of 4096 bytes, 1000 in use; blocks of 4096 bytes",
    "incompatible features: sparse extended-slotmap clusterinfo",
    "slots: 8, 1 in use",
    "  slot 0: node 0 (alpha); journal dirty, block 49",
    "  slot 1: free; journal clean, block 50",
    "  slot 3: free; journal clean, block 52, recovered 1 times",
    "heartbeat: 255 blocks of 512 bytes from 2184, 3 written",
    "  node 1 (beta): written at 2023-11-14T22:13:20Z, left cleanly, dead after 62 s",
    "  node 7: its checksum does not hold",
  ])
    t.true(lines.includes(line), `${line}\n\n${lines.join("\n")}`);
  t.false(lines.some((line) => line.includes("journal:0000")));
  t.true((await run(kernel, "-v", DISK)).lines.some((line) => line.includes("journal:0000")));
});

test("damage is told, does not hide the rest, and is status 1", async (t) => {
  const { kernel, disk } = classicLocal({ volume: { heartbeatProblem: "two extents" } });
  disk.slotState.problems.push(
    { what: "journal of slot 1", why: "block 44: its inode is not in use" },
    { what: "slot map", why: "block 22: it does not carry an inode's signature" },
  );
  const { status, lines } = await run(kernel, DISK);
  t.is(status, 1);
  t.true(lines.includes("  slot 1: free; journal damaged"));
  t.true(lines.some((line) => line.startsWith("damaged: slot map: block 22")));
  t.true(lines.some((line) => line.startsWith("damaged: heartbeat area: ") && line.includes("two extents")));
  t.true(lines.includes("  slot 0: free; journal clean, block 49"));
});

test("a heartbeat device, a local volume, a label that would drive a terminal", async (t) => {
  const quorum = classicGlobal();
  const { lines } = await run(quorum.kernel, "/dev/sdq");
  t.true(lines.includes("slots: 0, 0 in use"));
  t.true(lines.some((line) => line.startsWith("cluster: heartbeat device, lab")));
  const { kernel } = classicLocal({ volume: { local: true, label: "a\u001B[2J\nuuid: x" } });
  const local = await run(kernel, DISK);
  t.true(local.lines.includes("cluster: none, mounted by one node only"));
  t.true(local.lines.includes("label: a?[2J?uuid: x"));
});

test("--holders tells who has it", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  t.is(
    (await run(kernel, "--holders", DISK)).lines.at(-1),
    "holders: '/dev/sdb' is mounted on 'alpha' (node 0)",
  );
});

test("--json fits its schema", async (t) => {
  const schema = await readFile(new URL("../../docs/schemas/o2cb-inspect.json", import.meta.url), "utf8");
  const validate = new Ajv2020({ strict: true, strictTypes: false }).compile(JSON.parse(schema));
  const machines = [
    [classicLocal(), DISK],
    [classicLocal({ volume: { stack: "pcmk", heartbeatProblem: "none" } }), DISK],
    [classicGlobal(), "/dev/sdq"],
  ] as const;
  for (const [machine, device] of machines) {
    machine.disk.slotState.owners.set(2, 1);
    machine.disk.writeSlot(AREA, {
      slot: 1,
      valid: true,
      node: 1,
      sequence: 5n,
      generation: 2n ** 63n,
      deadMs: 0,
    });
    for (const more of [[], ["--holders"]]) {
      const { lines } = await run(machine.kernel, "--json", ...more, device);
      t.true(validate(JSON.parse(lines.at(-1) ?? "")), JSON.stringify(validate.errors));
    }
  }
});

test("bits of features have names, and those that have none are told as numbers", (t) => {
  t.deepEqual(featureNames({ featureCompat: 0x3, featureIncompat: 0x8000_0810, featureRoCompat: 0x17 }), {
    compat: ["backup-super", "strict-journal-super"],
    incompat: ["sparse", "metaecc", "0x80000000"],
    roCompat: ["unwritten", "usrquota", "grpquota", "0x10"],
  });
  t.is(unknownIncompat(0xf750), 0);
  t.is(unknownIncompat(0x8001_0001), 0x8001_0001);
});

test("a failure of any call is a coded error or a fuller answer's absence, and leaves nothing", async (t) => {
  const runs = await walkFaults(
    async (native) => {
      const volume = await openVolume(native, DISK);
      const holders = await volumeHolders(native, volume, { pause: () => Promise.resolve() });
      return { holders, seen: await inspectVolume(native, DISK) };
    },
    {
      setup: () => classicLocal(),
      check: ({ outcome, kernel, title }) => {
        if (outcome.status === "failed") t.true(outcome.error instanceof O2cbError, title);
        else if (outcome.status !== "ok") t.fail(title);
        else t.is(outcome.value.seen.volume.uuid, UUID, title);
        t.deepEqual(kernel.leftovers(), [], title);
      },
    },
  );
  t.true(runs > 20);
});
