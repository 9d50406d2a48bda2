// What the doctor says of devices, of the heartbeat areas on them, and of the regions of this host.
import test from "ava";
import { doctor, type FindingState } from "../../ts/cluster/doctor.ts";
import { local } from "../helpers/apply.ts";
import { findings, HEALTHY, says } from "../helpers/doctor.ts";
import {
  classicGlobal,
  classicLocal,
  DISK,
  startByHand,
  UUID,
  volume,
  walkFaults,
  type BlockDevice,
  type FakeKernel,
  type Machine,
} from "../helpers/fake-native.ts";
import { mount } from "../helpers/region-work.ts";
import { seeing, type Sight } from "../helpers/seeing.ts";

const AREA = { startBlock: 2184n, blockBytes: 512 };
const LISTED: Record<string, Sight> = { "/sys/class/block/sdb/size": "2048\n" };

/** Node `slot` of a disk has written its block; more than once where it `beats`. */
function writes(
  disk: BlockDevice,
  slot: number,
  block: { sequence?: bigint; generation?: bigint; deadMs?: number } = {},
): void {
  disk.writeSlot(AREA, {
    slot,
    valid: true,
    node: slot,
    sequence: 1000n,
    generation: 77n,
    deadMs: 62_000,
    ...block,
  });
}

const at = (device: string, sights: Record<string, Sight> = {}, pause = () => Promise.resolve()) =>
  [
    { ...LISTED, ...sights },
    { device: [device], pause },
  ] as const;

type Row = [
  title: string,
  check: string,
  state: FindingState,
  evidence: RegExp,
  remedy: RegExp | null,
  machine: () => Machine,
  sights?: Record<string, Sight>,
];

const other = (cluster: string) => () => classicLocal({ volume: { cluster } });

const rows: Row[] = [
  [
    "a volume",
    "volume",
    "good",
    /holds the volume 77D95EF5.* formatted for 8 nodes/,
    null,
    () => classicLocal(),
  ],
  [
    "a volume for one node",
    "volume",
    "good",
    /formatted for one node/,
    null,
    () => classicLocal({ volume: { local: true } }),
  ],
  [
    "a heartbeat device",
    "volume",
    "good",
    /a heartbeat device/,
    null,
    () => classicLocal({ volume: { heartbeatDevice: true } }),
  ],
  [
    "no volume",
    "volume",
    "failure",
    /sdb/,
    /./,
    () => {
      const machine = classicLocal();
      machine.disk.volume = null;
      return machine;
    },
  ],
  [
    "the stamp of this cluster",
    "volume-stamp",
    "good",
    /and cluster 'lab' with heartbeat local runs/,
    null,
    () => classicLocal(),
  ],
  [
    "no stamp",
    "volume-stamp",
    "good",
    /carries no cluster's stamp/,
    null,
    () => classicLocal({ volume: { stack: null } }),
  ],
  [
    "the stamp of another cluster",
    "volume-stamp",
    "failure",
    /cluster 'there', .*cluster 'lab' with heartbeat local runs here.*two clusters/,
    /register the cluster 'there'.*--update-cluster-stack, only while no node/,
    other("there"),
  ],
  [
    "the stamp of another mode",
    "volume-stamp",
    "failure",
    /heartbeat global, and cluster 'lab' with heartbeat local/,
    /heartbeat-mode, with downtime/,
    () => classicLocal({ volume: { global: true } }),
  ],
  [
    "the stamp of another stack",
    "volume-stamp",
    "failure",
    /for stack 'pcmk'.*stack 'o2cb' runs here/,
    /switch this host to 'pcmk'/,
    () => classicLocal({ volume: { stack: "pcmk" } }),
  ],
  [
    "no cluster to compare with",
    "volume-stamp",
    "warning",
    /no cluster is registered/,
    /o2cb online/,
    () => classicLocal({ unregistered: true }),
  ],
  [
    "an area",
    "heartbeat-area",
    "good",
    /255 blocks of 512 bytes from block 2184/,
    null,
    () => classicLocal(),
  ],
  [
    "no usable area",
    "heartbeat-area",
    "failure",
    /it has two extents/,
    /fsck/,
    () => classicLocal({ volume: { heartbeatProblem: "it has two extents" } }),
  ],
  [
    "blocks below the sector",
    "heartbeat-area",
    "failure",
    /block of 512 bytes is smaller than the sector of 4096/,
    /mkfs\.ocfs2 -b/,
    () => classicLocal({ sectorBytes: 4096, volume: { blockBytes: 512, clusterBytes: 4096 } }),
  ],
  ["nothing is built on it", "device-holders", "good", /nothing is built/, null, () => classicLocal()],
  [
    "a part of a multipath device",
    "device-holders",
    "failure",
    /is a part of dm-0/,
    /use \/dev\/dm-0/,
    () => classicLocal(),
    { "/sys/class/block/sdb/holders/dm-0": { directory: true } },
  ],
  ["the only one", "device-copies", "good", /only \/dev\/sdb carries/, null, () => classicLocal()],
  [
    "a copy",
    "device-copies",
    "failure",
    /several devices carry .*\/dev\/sdb, \/dev\/sdc/,
    /tunefs\.ocfs2 -U/,
    () => {
      const machine = classicLocal();
      machine.kernel.addDisk({
        name: "sdc",
        number: { major: 8, minor: 32 },
        volume: volume({ uuid: UUID }),
      });
      return machine;
    },
  ],
  [
    "sysfs counts it as a part",
    "device-copies",
    "warning",
    /no block device .* but '\/dev\/sdb'/,
    /part of/,
    () => classicLocal(),
    { "/sys/class/block/sdb/holders/dm-0": { directory: true } },
  ],
  ["nobody beats", "heartbeat-slots", "good", /no node beats/, null, () => classicLocal()],
];

for (const [title, check, state, evidence, remedy, machine, sights] of rows) {
  test(`${check}: ${title}`, async (t) => {
    await says(t, check, state, evidence, remedy, findings(machine().kernel, ...at(DISK, sights)));
  });
}

test("volume: a device that is not there, and an image", async (t) => {
  const { kernel } = classicLocal();
  await says(t, "volume", "failure", /nowhere/, /./, findings(kernel, ...at("/dev/nowhere")));
  kernel.addImage("/image", { volume: volume() });
  await says(t, "volume", "failure", /image file/, /block device/, findings(kernel, ...at("/image")));
});

test("volume: a device that refuses writes", async (t) => {
  const { kernel } = classicLocal({ readOnly: true });
  const found = await findings(kernel, ...at(DISK));
  t.deepEqual(
    found.filter(({ check }) => check === "volume").map(({ state }) => state),
    ["good", "warning"],
  );
});

test("volume: one for one node only has no cluster to be compared with", async (t) => {
  const { kernel } = classicLocal({ volume: { local: true, cluster: "elsewhere" } });
  const found = await findings(kernel, ...at(DISK));
  t.deepEqual(
    found.filter(({ subject }) => subject === DISK).map(({ check }) => check),
    ["volume", "device-timeouts"],
  );
});

/** What is written between the two looks. */
async function slots(
  machine: Machine,
  before: (disk: BlockDevice) => void,
  between: (disk: BlockDevice) => void,
): Promise<{ state: string; evidence: string }[]> {
  before(machine.disk);
  const pauses: number[] = [];
  const found = await findings(
    machine.kernel,
    ...at(DISK, {}, async () => {
      pauses.push(1);
      between(machine.disk);
    }),
  );
  return found.filter(({ check }) => check === "heartbeat-slots");
}

test("heartbeat-slots: a peer that beats, and one that has left or crashed", async (t) => {
  const [one, ...more] = await slots(
    classicLocal(),
    (disk) => {
      writes(disk, 1);
      writes(disk, 5, { generation: 0n });
      writes(disk, 6);
    },
    (disk) => {
      writes(disk, 1, { sequence: 1002n });
      writes(disk, 5, { sequence: 1002n, generation: 0n });
    },
  );
  t.deepEqual(more, []);
  t.is(one?.state, "good");
  t.regex(one?.evidence ?? "", /beat the nodes 1, all of this cluster/);
});

test("heartbeat-slots: another host with this host's number", async (t) => {
  const [one] = await slots(
    classicLocal(),
    (disk) => writes(disk, 0),
    (disk) => writes(disk, 0, { sequence: 1002n }),
  );
  t.is(one?.state, "failure");
  t.regex(one?.evidence ?? "", /node 0 beats .* not this host \(node 'alpha'/);
});

test("heartbeat-slots: this host's own heartbeat", async (t) => {
  const machine = classicLocal();
  startByHand(machine.kernel, machine.disk);
  machine.kernel.markClean();
  const [one] = await slots(
    machine,
    (disk) => writes(disk, 0),
    (disk) => writes(disk, 0, { sequence: 1002n }),
  );
  t.is(one?.state, "good");
});

test("heartbeat-slots: another dead time, and a node that is not configured", async (t) => {
  const found = await slots(
    classicLocal(),
    (disk) => {
      writes(disk, 1, { deadMs: 122_000 });
      writes(disk, 9);
    },
    (disk) => {
      writes(disk, 1, { sequence: 2000n, deadMs: 122_000 });
      writes(disk, 9, { sequence: 2000n });
    },
  );
  t.deepEqual(
    found.map(({ state }) => state),
    ["failure", "failure"],
  );
  t.regex(found[0]?.evidence ?? "", /node 1 .* counts to 61 .* this host to 31/);
  t.regex(found[1]?.evidence ?? "", /node 9 .* no such node/);
});

test("heartbeat-slots: a driver of the first years writes no dead time", async (t) => {
  const [one] = await slots(
    classicLocal(),
    (disk) => writes(disk, 1, { deadMs: 0 }),
    (disk) => writes(disk, 1, { sequence: 1002n, deadMs: 0 }),
  );
  t.is(one?.state, "good");
});

// -- the device's own timeouts; the dead time is 60 s

const ISCSI = "/sys/devices/platform/host3/session7/target3:0:0/3:0:0:1";
const timeouts: [string, FindingState, RegExp, Record<string, Sight>][] = [
  ["none", "good", /no timeout of its own; .*60 s/, {}],
  ["a short one", "good", /up to 30 s/, { "/sys/class/block/sdb/device/timeout": "30\n" }],
  ["a long one", "warning", /up to 90 s/, { "/sys/class/block/sdb/device/timeout": "90\n" }],
  ["as long as the dead time", "warning", /up to 60 s/, { "/sys/class/block/sdb/device/timeout": "60\n" }],
  ["in milliseconds", "warning", /up to 120 s/, { "/sys/class/block/sdb/queue/io_timeout": "120000\n" }],
  [
    "of an iSCSI session",
    "warning",
    /up to 120 s \(recovery_tmo of iSCSI session7\)/,
    {
      "/sys/class/block/sdb/device": { leadsTo: ISCSI },
      "/sys/class/iscsi_session/session7/recovery_tmo": "120\n",
    },
  ],
  [
    "of an iSCSI session that fails fast",
    "good",
    /up to 5 s/,
    {
      "/sys/class/block/sdb/device": { leadsTo: ISCSI },
      "/sys/class/iscsi_session/session7/recovery_tmo": "5\n",
    },
  ],
  [
    "of an iSCSI session that never ends",
    "warning",
    /for ever/,
    {
      "/sys/class/block/sdb/device": { leadsTo: ISCSI },
      "/sys/class/iscsi_session/session7/recovery_tmo": "off\n",
    },
  ],
  [
    "of multipath, for ever",
    "warning",
    /for ever \(\/etc\/multipath\.conf queues/,
    {
      "/sys/class/block/sdb/dm/uuid": "mpath-3600\n",
      "/etc/multipath.conf": "defaults {\n\tno_path_retry queue\n}\n",
    },
  ],
  [
    "of multipath, counted",
    "warning",
    /up to 180 s \(no_path_retry/,
    {
      "/sys/class/block/sdb/dm/uuid": "mpath-3600\n",
      "/etc/multipath.conf": "defaults {\n polling_interval 10\n no_path_retry 18\n}\n",
    },
  ],
  [
    "of multipath, in a comment",
    "good",
    /no timeout/,
    {
      "/sys/class/block/sdb/dm/uuid": "mpath-3600\n",
      "/etc/multipath.conf": "defaults {\n# no_path_retry queue\n}\n",
    },
  ],
  [
    "of a part of it",
    "warning",
    /up to 90 s/,
    {
      "/sys/class/block/sdb/slaves/sdx": { directory: true },
      "/sys/class/block/sdx/device/timeout": "90\n",
    },
  ],
  [
    "of the disk of a partition",
    "warning",
    /up to 90 s/,
    {
      "/sys/class/block/sdb": { leadsTo: "/sys/devices/pci/block/sdx/sdb" },
      "/sys/class/block/sdb/partition": "1\n",
      "/sys/class/block/sdx/device/timeout": "90\n",
    },
  ],
];

for (const [title, state, evidence, sights] of timeouts) {
  test(`device-timeouts: ${title}`, async (t) => {
    const { kernel } = classicLocal();
    const remedy = state === "good" ? null : /./;
    await says(t, "device-timeouts", state, evidence, remedy, findings(kernel, ...at(DISK, sights)));
  });
}

test("device-timeouts: of a disk that beats, though nobody names it", async (t) => {
  const { kernel, disk } = classicLocal();
  startByHand(kernel, disk);
  kernel.heartbeat.deadThreshold = 61;
  const sights = { "/sys/class/block/sdb/device/timeout": "90\n" };
  await says(
    t,
    "device-timeouts",
    "good",
    /'\/dev\/sdb' .* 90 s .* after 120 s/,
    null,
    findings(kernel, sights),
  );
});

// -- regions

test("local-regions: more than three", async (t) => {
  const { kernel } = classicLocal();
  const add = (name: string, minor: number): void =>
    void startByHand(kernel, kernel.addDisk({ name, number: { major: 8, minor }, volume: volume() }));
  for (const [index, name] of ["sdc", "sdd", "sde"].entries()) add(name, 32 + index * 16);
  await says(t, "local-regions", "good", /3 volumes beat/, null, findings(kernel));
  add("sdf", 96);
  await says(t, "local-regions", "warning", /4 volumes beat/, /global heartbeat/, findings(kernel));
});

test("local-regions: nothing is said of global heartbeat", async (t) => {
  const found = await findings(classicGlobal().kernel);
  t.false(found.some(({ check }) => check === "local-regions"));
});

test("leftovers: none, of a mounted volume", async (t) => {
  const { kernel } = classicLocal();
  await mount(kernel);
  await says(t, "leftovers", "good", /nothing is left over/, null, findings(kernel));
});

test("leftovers: each verdict that is not in use", async (t) => {
  const orphan = classicLocal();
  const native = orphan.kernel.process();
  await native.makeDirectory(orphan.regionDirectory);
  native.exit();
  await says(t, "leftovers", "warning", /half-made/, /--reap -u/, findings(orphan.kernel));

  const held = classicLocal();
  startByHand(held.kernel, held.disk);
  await says(t, "leftovers", "warning", /unexplained-references/, /--force/, findings(held.kernel));
});

// -- whatever fails

test("no failure of a look fails the doctor, and each is told", async (t) => {
  const good = (kernel: FakeKernel) =>
    doctor(kernel.process(), { device: [DISK], pause: () => Promise.resolve() }).then((all) => all.length);
  const usual = await good(classicLocal().kernel);
  const runs = await walkFaults(
    (native) =>
      doctor(seeing(native, { ...HEALTHY, ...LISTED }), { device: [DISK], pause: () => Promise.resolve() }),
    {
      setup: local,
      errnos: ["EIO", "ENOENT"],
      check: ({ outcome, kernel, title }) => {
        if (outcome.status !== "ok") return t.fail(`${title}: ${JSON.stringify(outcome)}`);
        t.true(outcome.value.length > usual / 2, title);
        for (const one of outcome.value) {
          t.true(one.evidence.length > 10, title);
          t.true(one.state !== "failure" || one.remedy !== null, `${title}: ${one.check} has no remedy`);
        }
        t.deepEqual(kernel.leftovers(), [], title);
      },
    },
  );
  t.true(runs > 50);
});

test("giving up ends it", async (t) => {
  const { kernel, disk } = classicLocal();
  writes(disk, 1);
  const controller = new AbortController();
  const native = seeing(kernel.process(), { ...HEALTHY, ...LISTED });
  const running = doctor(native, {
    device: [DISK],
    signal: controller.signal,
    pause: async () => controller.abort(),
  });
  await t.throwsAsync(running, { code: "O2CB_ABORTED" });
});
