// The monitor with each native call failing in turn, and killed at each: never a reference too many, in the end nothing left.
import test, { type ExecutionContext } from "ava";
import {
  classicLocal,
  DIRECTORY,
  DISK,
  startByHand,
  UUID,
  volume,
  walkFaults,
  walkKills,
  type FakeKernel,
  type FakeNative,
  type Machine,
} from "../helpers/fake-native.ts";
import { RunningMonitor } from "../helpers/monitor.ts";
import { heartbeatThread, newRecord, writeRecord } from "../../ts/region/record.ts";

const AGENTS = "0123456789ABCDEF0123456789ABCDEF";

/** One volume that the C tool has mounted, and a region that an agent holds, which is there before and after. */
async function setup(): Promise<Machine> {
  const machine = classicLocal();
  const { kernel } = machine;
  const disk = kernel.addDisk({
    name: "sdc",
    number: { major: 8, minor: 32 },
    volume: volume({ uuid: AGENTS }),
  });
  startByHand(kernel, disk);
  const agent = kernel.process({ name: "agent" });
  const thread = await heartbeatThread(agent, String(kernel.region(AGENTS)?.pid ?? ""));
  const record = await newRecord(agent, { region: AGENTS, thread, service: "agent", persistent: true });
  await writeRecord(agent, record);
  agent.exit();
  kernel.markClean();
  await kernel.cTool.mount(DISK, DIRECTORY);
  return machine;
}

function references(kernel: FakeKernel, uuid: string): number {
  return kernel.semaphoreSets().find(([, { label }]) => label === uuid)?.[1].values[1] ?? 0;
}

/** A monitor from its start until the superblock that it found has died and all is decided. */
async function live(native: FakeNative, kernel: FakeKernel): Promise<void> {
  const running = new RunningMonitor(kernel, { native });
  await running.until(() => running.of("superblock").length > 0, "the superblock is watched");
  await running.rest();
  if (references(kernel, UUID) !== 1) throw new Error("a live superblock has lost its reference");
  await kernel.cTool.umount(DIRECTORY);
  await running.until(() => kernel.region(UUID) === undefined, "the region is gone");
  await running.rest();
  await running.end();
}

async function isClean(t: ExecutionContext, kernel: FakeKernel, title: string): Promise<void> {
  t.is(references(kernel, AGENTS), 1, title);
  t.deepEqual(kernel.leftovers(), [], title);
}

/** A monitor that is started later, with or without a mount before its eyes. */
async function another(kernel: FakeKernel): Promise<void> {
  const running = await RunningMonitor.start(kernel);
  await running.rest();
  if (kernel.isMounted(UUID)) await kernel.cTool.umount(DIRECTORY);
  await running.until(() => kernel.region(UUID) === undefined, "the region is gone");
  await running.rest();
  await running.stop();
}

test("whatever call fails, it goes on, and in the end nothing is left", async (t) => {
  const runs = await walkFaults((native, kernel) => live(native, kernel), {
    setup,
    errnos: ({ name }) => (name.startsWith("RegionLock.") ? ["ENOMEM"] : ["EIO", "EACCES"]),
    check: async ({ kernel, native, outcome, title, call }) => {
      native.exit();
      // What it cannot begin without, it ends with.
      if (outcome.status === "failed" && call.name === "lockFile") await another(kernel);
      else t.is(outcome.status, "ok", `${title}: ${String((outcome as { error?: unknown }).error)}`);
      await isClean(t, kernel, title);
    },
  });
  t.true(runs > 200, `${runs}`);
});

test("killed at any call, the next one finds what it left", async (t) => {
  const runs = await walkKills((native, kernel) => live(native, kernel), {
    setup,
    halfway: true,
    check: async ({ kernel, title }) => {
      if (kernel.isMounted(UUID)) {
        t.is(references(kernel, UUID), 1, title);
        t.truthy(kernel.region(UUID), title);
      }
      await another(kernel);
      await isClean(t, kernel, title);
    },
  });
  t.true(runs > 100, `${runs}`);
});
