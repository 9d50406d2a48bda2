// What --json prints is what docs/schemas promise: audits, plans and results of reaps, the events of a monitor, of many states.
import { readFile } from "node:fs/promises";
import test, { type ExecutionContext } from "ava";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { verdicts, type MonitorEvent, type ReapPlan } from "../../ts/region/audit-types.ts";
import { planReap, reap } from "../../ts/region/reap.ts";
import { audit } from "../../ts/region/audit.ts";
import {
  classicGlobal,
  classicLocal,
  deaths,
  DIRECTORY,
  DISK,
  nothingLoaded,
  UUID,
} from "../helpers/fake-native.ts";
import { RunningMonitor } from "../helpers/monitor.ts";
import { regionStates } from "../helpers/region-states.ts";
import { command, look, mount, start } from "../helpers/region-work.ts";

type Schema = Record<string, unknown>;

async function schemaOf(name: string): Promise<Schema> {
  return JSON.parse(await readFile(new URL(`../../docs/schemas/${name}.json`, import.meta.url), "utf8"));
}

async function validator(name: string): Promise<ValidateFunction> {
  return new Ajv2020({ strict: true, strictTypes: false, allErrors: true }).compile(await schemaOf(name));
}

/** As the commands print it, read back. */
function fits(t: ExecutionContext, validate: ValidateFunction, data: unknown, title?: string): void {
  const ok = validate(JSON.parse(JSON.stringify(data)));
  t.true(ok, `${title ?? ""} ${JSON.stringify(validate.errors)}`);
}

const printed = (result: unknown): object => ({ result, status: 0 });

test("audits of every state, with probes and without, and reaps of them", async (t) => {
  const isAudit = await validator("audit");
  const isReap = await validator("reap");
  const seen = new Set<string>();
  for (const { title, setup, make } of regionStates) {
    const machine = setup();
    const { kernel } = machine;
    const end = await make(machine);
    for (const options of [{}, { regions: [UUID] }, { regions: [UUID], probe: true }]) {
      const found = await look(kernel, options);
      fits(t, isAudit, printed(found), title);
      for (const { verdict } of found.regions) seen.add(verdict);
      fits(t, isReap, printed({ plan: planReap(found) }), title);
      fits(t, isReap, printed({ plan: planReap(found, { force: true }) }), title);
    }
    const plan = planReap(await look(kernel, { regions: [UUID] }), { force: true });
    const result = await command(kernel, (native) => reap(native, plan, { patienceMs: 0 }));
    fits(t, isReap, printed(result), title);
    if (typeof end === "function") await end();
  }
  t.deepEqual([...seen].toSorted(), [...verdicts].toSorted(), "the states bring about every verdict");
});

test("audits of machines without much, of damaged notes, and of what may not be read", async (t) => {
  const isAudit = await validator("audit");
  const damaged = classicLocal();
  damaged.kernel.addFile(`/run/ocfs2-group/joins/${UUID}.x.0.json`, "{");
  for (const { kernel } of [
    nothingLoaded(),
    classicGlobal(),
    classicLocal({ unregistered: true }),
    classicLocal({ leave: "kernel" }),
    damaged,
  ]) {
    fits(t, isAudit, printed(await look(kernel)));
    await start(kernel, "agent").catch(() => {});
    const native = kernel.process().failCall("regionSemaphores", { errno: "EACCES" });
    fits(t, isAudit, printed(await audit(native)));
  }
});

test("results of reaps that skip, with a code and without", async (t) => {
  const isReap = await validator("reap");
  const { kernel } = classicLocal();
  await mount(kernel);
  const action = {
    region: UUID,
    drop: 1,
    forced: 0,
    stop: true,
    removeSet: true,
    domains: [],
    records: [],
    reason: "",
  };
  const plan: ReapPlan = { time: "", actions: [action], kept: [] };
  const changed = await command(kernel, (native) => reap(native, plan, { patienceMs: 0 }));
  await kernel.cTool.umount(DIRECTORY);
  await kernel.process().lockRegion(UUID, false, 10);
  const stuck = await command(kernel, (native) => reap(native, plan, { patienceMs: 0, lockLimitMs: 1000 }));
  t.deepEqual(
    [changed, stuck].map(({ skipped }) => skipped[0]?.code),
    [null, "O2CB_TIMEOUT"],
  );
  for (const result of [changed, stuck]) fits(t, isReap, printed(result));
});

test("the events of a monitor, each kind once at least", async (t) => {
  const isEvent = await validator("monitor");
  const events: MonitorEvent[] = [];
  for (const { title, die } of deaths) {
    const { kernel } = classicLocal();
    const running = await RunningMonitor.start(kernel);
    await mount(kernel);
    await running.until(() => running.of("superblock").length > 0, `${title}: it is watched`);
    await die(kernel, DIRECTORY);
    await running.until(() => running.of("region-gone").length > 0, `${title}: it is left`);
    await running.stop();
    events.push(...running.events);
  }
  const { kernel } = classicLocal();
  await kernel.cTool.hbCtlStart(UUID);
  const native = kernel.process({ name: "monitor" });
  native.failCall({ name: "mounts", nth: 2 }, { errno: "EIO" });
  const running = await RunningMonitor.start(kernel, { native });
  await running.until(() => running.of("kept").length > 0, "what a C tool holds is told");
  await kernel.cTool.mount(DISK, DIRECTORY);
  native.failCall({ name: "mounts", nth: 1 }, { errno: "EIO" });
  await running.until(() => running.of("failed").length > 0, "a look that fails is told");
  await running.stop();
  events.push(...running.events);
  for (const event of events) fits(t, isEvent, event, event.event);
  const { anyOf } = (await schemaOf("monitor")) as { anyOf: { properties: { event: { const: string } } }[] };
  const promised = anyOf.map(({ properties }) => properties.event.const);
  t.deepEqual([...new Set(events.map(({ event }) => event))].toSorted(), promised.toSorted());
});

/** Every object of a schema, with where it is. */
function objects(schema: unknown, path = ""): [string, Schema][] {
  if (typeof schema !== "object" || schema === null) return [];
  const inner = Object.entries(schema).flatMap(([key, value]) => objects(value, `${path}/${key}`));
  return (schema as Schema).type === "object" ? [[path, schema as Schema], ...inner] : inner;
}

for (const name of ["audit", "controld", "reap", "monitor", "mounted", "o2cb-inspect"]) {
  test(`${name}: the schema allows no property that it does not name, and misses none`, async (t) => {
    const all = objects(await schemaOf(name));
    t.true(all.length > 3);
    for (const [path, schema] of all) {
      t.is(schema.additionalProperties, false, path);
      t.deepEqual(schema.required, Object.keys(schema.properties as Schema), path);
    }
  });
}

test("a schema refuses what is not of its shape", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  const validate = await validator("audit");
  const good = printed(await look(kernel)) as { result: { regions: Schema[] }; status: number };
  t.true(validate(structuredClone(good)));
  for (const change of [{ more: 1 }, { verdict: "fine" }, { references: "1" }, { stale: undefined }]) {
    const regions = [{ ...good.result.regions[0], ...change }];
    t.false(validate(JSON.parse(JSON.stringify({ ...good, result: { ...good.result, regions } }))));
  }
});
