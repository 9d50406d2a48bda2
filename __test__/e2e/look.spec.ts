// mounted.ocfs2 and o2cb inspect on volumes that are mounted: beside the C tool, and through mounts, unmounts and a crash.
//
// Facts relied on: disk-format 3, 4: a mount takes a slot and makes its journal dirty; a clean unmount gives both back; of a node that died
// both stay until another node has recovered it, which counts.
import type { ExecutionContext } from "ava";
import type { VolumeInspection } from "../../ts/look/inspect.ts";
import type { VolumeHolder } from "../../ts/look/holders.ts";
import { format, PEER_MOUNTED } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";
import type { Node } from "./vm/node.ts";

const OURS = "/sbin/mounted.ocfs2";
const shared = sharedLab({ nodes: 2, disks: [{ mib: 256 }, { mib: 128 }, { mib: 128 }], limitSeconds: 900 });

type Inspected = VolumeInspection & { holders: VolumeHolder[] | null };

async function inspected(node: Node, ...options: string[]): Promise<Inspected> {
  const { stdout } = await node.run(["o2cb", "inspect", "--json", ...options, "/dev/vda"], {
    limitSeconds: 60,
  });
  return (JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { result: Inspected }).result;
}

/** `slot node name dirty recovered` of each slot that is not as it was made. */
function slots({ slots: all }: Inspected): string[] {
  return all
    .filter(
      ({ node, journal }) => node !== null || journal?.dirty === true || journal?.recoveryGeneration !== 0,
    )
    .map(({ slot, node, name, journal }) =>
      [slot, node, name, journal?.dirty, journal?.recoveryGeneration].join(" "),
    );
}

/** Both tools on one node, for all devices: one text. */
async function assertSame(t: ExecutionContext, node: Node): Promise<string> {
  let full = "";
  for (const option of ["-d", "-f"]) {
    const [ours, theirs] = [await node.run([OURS, option]), await node.run([PEER_MOUNTED, option])];
    t.is(ours.stdout, theirs.stdout, option);
    full = ours.stdout;
  }
  return full;
}

scenario("what the C tool says of volumes, mounted and not, with names and numbers of nodes", async (t) => {
  t.timeout(600_000);
  const [a, b] = shared.get().nodes;
  if (a === undefined || b === undefined) return t.fail("two nodes are needed");
  await format(a, "/dev/vda", { more: "--fs-features=metaecc" });
  await format(a, "/dev/vdb", { slots: 8 });
  await Promise.all([a, b].map((node) => node.run("mkdir -p /vol")));
  t.false((await assertSame(t, a)).includes("n1"));

  // Numbers that no mount here would take: 9 and 200 have no name, 255 and above are no node's.
  const stat = await a.run("debugfs.ocfs2 -R 'stat //slot_map' /dev/vdb");
  const block = Number(stat.stdout.trim().split("\n").at(-1)?.trim().split(/\s+/)[3]);
  const entry = (node: number): string => `\\x01\\0\\0\\0\\x${node.toString(16)}\\0\\0\\0`;
  await a.run(
    `printf '${[2, 1, 9, 200, 254, 255].map(entry).join("")}' | dd of=/dev/vdb bs=4096 seek=${block} conv=notrunc,fsync`,
  );
  t.true((await assertSame(t, a)).includes("n2, n1, 9, 200, 254, Unknown"));

  await a.run(["mount", "-t", "ocfs2", "/dev/vda", "/vol"]);
  await b.run(["mount", "-t", "ocfs2", "/dev/vda", "/vol"]);
  t.regex(await assertSame(t, a), /vda .* n1, n2\n/);
  await assertSame(t, b);
  for (const node of [a, b]) {
    const seen = await inspected(node, "--holders");
    t.deepEqual(slots(seen), ["0 1 n1 true 0", "1 2 n2 true 0"]);
    t.deepEqual(
      seen.holders?.map(({ name, slot, state }) => `${name} ${slot} ${state}`),
      ["n1 0 mounted", "n2 1 mounted"],
    );
    t.deepEqual(seen.problems, []);
  }
  await a.run(["umount", "/vol"]);
  t.deepEqual(slots(await inspected(a)), ["1 2 n2 true 0"]);
  // From here nothing but the disk tells that node 2 beats.
  t.deepEqual(
    (await inspected(a, "--holders")).holders?.map(({ name, slot, state }) => `${name} ${slot} ${state}`),
    ["n2 1 mounted"],
  );
  t.regex(await assertSame(t, a), /vda .* n2\n/);
});

scenario("a device that another stands on is told once, by the upper one", async (t) => {
  t.timeout(120_000);
  const [a] = shared.get().nodes;
  if (a === undefined) return t.fail("a node is needed");
  if ((await a.try("modprobe dm_mod && dmsetup version")).status !== 0)
    return void t.pass("this kernel has no device mapper");
  await format(a, "/dev/vdc");
  await a.run("echo 0 $(blockdev --getsz /dev/vdc) linear /dev/vdc 0 | dmsetup create --noudevsync data");
  const names = async (tool: string): Promise<string[]> =>
    (await a.run([tool, "-d"])).stdout
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => line.split(" ")[0] ?? "");
  const others = ["/dev/vda", "/dev/vdb"];
  try {
    // No udev here: without a node of its name it is told by the kernel's, as the C tool does.
    t.deepEqual(await names(OURS), [...others, "/dev/dm-0"]);
    t.deepEqual(await names(PEER_MOUNTED), [...others, "/dev/vdc", "/dev/dm-0"]);
    await a.run("dmsetup mknodes data");
    t.deepEqual(await names(OURS), [...others, "/dev/mapper/data"]);
    t.deepEqual(await names(PEER_MOUNTED), [...others, "/dev/vdc", "/dev/mapper/data"]);
  } finally {
    await a.run("dmsetup remove --noudevsync data");
  }
  t.deepEqual(await names(OURS), [...others, "/dev/vdc"]);
});

scenario(
  "a node that died keeps its slot and its dirty journal until another has recovered it",
  async (t) => {
    t.timeout(600_000);
    const [a, b] = shared.get().nodes;
    if (a === undefined || b === undefined) return t.fail("two nodes are needed");
    await b.powerOff();
    const left = await inspected(a, "--holders");
    t.deepEqual(slots(left), ["1 2 n2 true 0"]);
    t.deepEqual(
      left.holders?.map(({ name, state }) => `${name} ${state}`),
      ["n2 stale"],
    );
    await assertSame(t, a);
    await a.run(["mount", "-t", "ocfs2", "/dev/vda", "/vol"], { limitSeconds: 120 });
    const recovered = slots(await inspected(a));
    t.true(
      recovered.some((line) => line.startsWith("0 1 n1 true")),
      recovered.join(", "),
    );
    t.true(
      recovered.some((line) => line.endsWith("false 1")),
      recovered.join(", "),
    );
    await a.run(["umount", "/vol"]);
    t.deepEqual((await inspected(a, "--holders")).holders, []);
    await assertSame(t, a);
  },
);
