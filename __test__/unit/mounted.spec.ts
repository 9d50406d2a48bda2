// mounted.ocfs2 over fake machines: which devices are looked at, its lines, its answers to what cannot be read, and its JSON.
import { readFile } from "node:fs/promises";
import test from "ava";
import { Ajv2020 } from "ajv/dist/2020.js";
import { array, assert, constantFrom, nat, property, record } from "fast-check";
import { checkMounted, mountedJob } from "../../ts/cli/mounted-job.ts";
import { runCli } from "../../ts/cli/run-cli.ts";
import { candidates } from "../../ts/look/candidates.ts";
import type { BlockDeviceFacts } from "../../ts/native-types.ts";
import { classicLocal, volume, type FakeKernel, type VolumeSettings } from "../helpers/fake-native.ts";

process.setMaxListeners(0);

async function run(kernel: FakeKernel, ...argv: string[]) {
  const out: Buffer[] = [];
  const err: string[] = [];
  const terminal = {
    out: (line: string) => void out.push(Buffer.from(`${line}\n`)),
    write: (bytes: Uint8Array) => void out.push(Buffer.from(bytes)),
    err: (line: string) => void err.push(line),
    isWatched: () => false,
  };
  const program = { job: mountedJob(), check: checkMounted, help: () => "help" };
  const status = await runCli(program, argv, terminal, async () => kernel.process());
  const bytes = Buffer.concat(out);
  return { status, lines: String(bytes).split("\n").slice(0, -1), bytes, err };
}

/** A machine whose only disks are these. */
function machine(...settings: VolumeSettings[]): FakeKernel {
  const { kernel, disk } = classicLocal();
  disk.volume = null;
  for (const [index, one] of settings.entries()) {
    const name = `sd${String.fromCharCode(99 + index)}`;
    kernel.addDisk({ name, number: { major: 8, minor: 32 + index * 16 }, volume: volume(one) });
  }
  return kernel;
}

const A = "A".repeat(32);

test("-d: columns as wide as they have to be, in bytes; stack, cluster and flag by the stamp", async (t) => {
  const kernel = machine(
    { uuid: A, label: "data" },
    { uuid: A, label: "Größe", cluster: "größe", global: true },
    { uuid: A, stack: null },
    { uuid: A, stack: "pcmk", cluster: "hacluster", global: true },
    { uuid: A, local: true, label: "one node" },
  );
  const { status, lines, err } = await run(kernel, "-d");
  t.deepEqual([status, err], [0, []]);
  t.deepEqual(lines, [
    "Device    Stack  Cluster    F  UUID                              Label",
    `/dev/sdc  o2cb   lab           ${A}  data`,
    `/dev/sdd  o2cb   größe    G  ${A}  Größe`,
    `/dev/sde  o2cb                 ${A}  `,
    `/dev/sdf  pcmk   hacluster     ${A}  p`.slice(0, -1),
    `/dev/sdg  None                 ${A}  one node`,
  ]);
});

test("nothing found is the header alone", async (t) => {
  t.deepEqual((await run(machine(), "-d")).lines, [
    "Device   Stack  Cluster  F  UUID                              Label",
  ]);
  t.deepEqual((await run(machine(), "-f")).lines, ["Device   Stack  Cluster  F  Nodes"]);
});

test("-f: names of the registered cluster, numbers, numbers that no node has, nobody, a heartbeat device", async (t) => {
  const kernel = machine({}, {}, { heartbeatDevice: true });
  const [, mounted] = [...kernel.disks];
  for (const [slot, node] of [0, 1, 200, 254, 255, 70_000].entries())
    mounted?.slotState.owners.set(slot, node);
  const { lines } = await run(kernel, "-f");
  t.deepEqual(lines, [
    "Device    Stack  Cluster  F  Nodes",
    "/dev/sdc  o2cb   lab         alpha, beta, 200, 254, Unknown, Unknown",
    "/dev/sdd  o2cb   lab         Not mounted",
    "/dev/sde  o2cb   lab         Heartbeat device",
  ]);
});

test("of -d and -f the last one counts, and -d is the default", async (t) => {
  const kernel = machine({});
  for (const [argv, title] of [
    ["-fd", "Label"],
    ["-df", "Nodes"],
    ["-v", "Label"],
    ["/dev/sdc", "Label"],
  ] as const)
    t.true((await run(kernel, argv)).lines[0]?.endsWith(title), argv);
  const nothing = await run(kernel);
  t.deepEqual([nothing.status, nothing.lines], [1, []]);
  t.regex(nothing.err.join(), /one of -d and -f/);
});

test("what a damaged or unreadable device says: shown or not, told or only with -v", async (t) => {
  const kernel = machine({ uuid: A }, { uuid: A }, { uuid: A });
  const [, broken, unusable, unmapped] = [...kernel.disks];
  if (broken === undefined || unusable === undefined || unmapped === undefined) return t.fail();
  broken.broken = true;
  unusable.superblockProblem = "its checksum does not hold";
  unmapped.slotState.problems.push({ what: "slot map", why: "block 9: its inode is not in use" });
  const quick = await run(kernel, "-d");
  t.deepEqual(quick.lines.map((line) => line.slice(0, 8)).slice(1), ["/dev/sdd", "/dev/sde"]);
  t.deepEqual(quick.err, ["mounted.ocfs2: /dev/sdd: its checksum does not hold"]);
  const full = await run(kernel, "-f");
  t.deepEqual(full.lines.slice(1), ["/dev/sde  o2cb   lab         Unknown"]);
  t.deepEqual(full.err.length, 2);
  t.true((await run(kernel, "-dv")).lines.some((line) => line.includes("/dev/sdc")));
  const named = await run(kernel, "-d", "/dev/sdc", "/dev/none");
  t.deepEqual([named.status, named.lines.length], [0, 1]);
  t.deepEqual(named.err.length, 2, "what was named is not passed over in silence");
});

test("a label cannot make lines or drive a terminal, and its bytes are told as they are", async (t) => {
  const kernel = machine({ uuid: A, label: "a\nb\u001B[2J\u007Fé" });
  const { bytes } = await run(kernel, "-d");
  t.true(bytes.includes("  a?b?[2J?é"));
});

test("devices named are told in the order in which they are named, and only they are read", async (t) => {
  const kernel = machine({}, {}, {});
  const { lines } = await run(kernel, "-d", "/dev/sde", "/dev/sdc");
  t.deepEqual(
    lines.slice(1).map((line) => line.split(" ")[0]),
    ["/dev/sde", "/dev/sdc"],
  );
});

const facts = (name: string, more: Partial<BlockDeviceFacts> = {}): BlockDeviceFacts => ({
  name,
  number: { major: 8, minor: 0 },
  bytes: 1n << 30n,
  parent: null,
  holders: [],
  mapperName: null,
  ...more,
});

test("a device once: paths below a map, members, disks with partitions and small ones are left out", (t) => {
  const found = candidates([
    facts("sda", { holders: ["dm-0"] }),
    facts("sdb", { holders: ["dm-0"] }),
    facts("sdc"),
    facts("sdc1", { parent: "sdc" }),
    facts("sdc2", { parent: "sdc", bytes: 1n << 20n }),
    facts("cciss!c0d0"),
    facts("sdd", { holders: ["gone"] }),
    facts("fd0", { bytes: (1n << 20n) + 4095n }),
    facts("nvme0n1", { bytes: (1n << 20n) + 4096n }),
    facts("dm-0", { mapperName: "mpatha" }),
  ]);
  t.deepEqual(found.devices, [
    "/dev/sdc1",
    "/dev/cciss/c0d0",
    "/dev/sdd",
    "/dev/nvme0n1",
    "/dev/mapper/mpatha",
  ]);
  t.deepEqual(
    found.skipped.map(({ device }) => device),
    ["/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/sdc2", "/dev/fd0"],
  );
});

test("every device is a candidate or skipped, and of a chain of holders the top is a candidate", (t) => {
  const device = record({ holder: nat(9), small: constantFrom(true, false) });
  const chain = property(array(device, { minLength: 1, maxLength: 9 }), (devices) => {
    // A holder always comes later in the list, as the top of a stack does.
    const all = devices.map(({ holder, small }, index) =>
      facts(`d${index}`, {
        holders: holder > index && holder < devices.length ? [`d${holder}`] : [],
        bytes: small ? 4096n : 1n << 30n,
      }),
    );
    const { devices: found, skipped } = candidates(all);
    const last = all.at(-1);
    return (
      found.length + skipped.length === all.length &&
      (last === undefined || found.includes(`/dev/${last.name}`) === last.bytes > 1n << 20n)
    );
  });
  t.notThrows(() => assert(chain));
});

test("--json fits its schema, with slots and without", async (t) => {
  const schema = await readFile(new URL("../../docs/schemas/mounted.json", import.meta.url), "utf8");
  const validate = new Ajv2020({ strict: true, strictTypes: false }).compile(JSON.parse(schema));
  const kernel = machine({ label: "x" }, { local: true }, {});
  const [first, mounted, , broken] = [...kernel.disks];
  mounted?.slotState.owners.set(3, 1);
  if (broken !== undefined) broken.broken = true;
  if (first !== undefined) first.above.holders.push("sdc");
  for (const option of ["-d", "-f"]) {
    const { lines } = await run(kernel, option, "--json");
    const data: unknown = JSON.parse(lines.at(-1) ?? "");
    t.true(validate(data), JSON.stringify(validate.errors));
    const { volumes, failures, skipped } = (data as { result: Record<string, { slots?: unknown }[]> }).result;
    t.deepEqual([volumes?.length, failures?.length, skipped?.length], [2, 1, 1]);
    const slots = option === "-f" ? [{ slot: 3, node: 1, name: "beta" }] : null;
    t.deepEqual(volumes?.[0]?.slots, slots);
  }
});
