// A machine that boots with systemd, with our commands and units: it mounts the volume of its fstab by itself, and on the way down
// unmounts before it leaves the cluster, so that every other node sees a node that left and not one that died.
//
// Facts relied on: the units in systemd/; what debugfs.ocfs2 prints of heartbeat slots and the slot map (the peer's judgement of the
// disks, from outside); a slot whose generation is 0 belongs to a node that left (kernel-abi 4).
import test, { type ExecutionContext } from "ava";
import { spawnSync } from "node:child_process";
import { fstabLine, mountUnitName } from "../../ts/cluster/mount-lines.ts";
import { heldOf, root, volumeState } from "./ours.ts";
import { clusterConf } from "./vm/group-state.ts";
import { quote } from "./vm/command.ts";
import { HOST_PATH } from "./vm/host.ts";
import { Lab } from "./vm/lab.ts";
import type { Node } from "./vm/node.ts";
import { missingForMachines, missingRequirements } from "./vm/requirements.ts";

const missing = missingForMachines(missingRequirements("systemd"));
const scenario = (title: string, body: (t: ExecutionContext) => Promise<void>): void => {
  if (missing === null) test.serial(title, body);
  else test.skip(`${title} (${missing})`, () => {});
};

const CLUSTER = "lab";
const [FSTAB, BY_HAND] = [
  { uuid: "0C5B5F0E3D1E4E7B9A6F0123456789AB", device: "/dev/vda", directory: "/srv/my-volume" },
  { uuid: "1C5B5F0E3D1E4E7B9A6F0123456789AB", device: "/dev/vdb", directory: "/mnt" },
] as const;
const MOUNT = mountUnitName(FSTAB.directory);
const UNITS = ["o2cb.service", "o2cb-monitor.service", "o2cb-reconcile.timer", MOUNT];

const write = (path: string, text: string): string =>
  `mkdir -p ${path.replace(/\/[^/]*$/, "")} && printf %s ${quote(text)} >${path}`;

/** What an administrator does once, before the first boot that counts. */
const installed = [
  "set -e",
  ...[FSTAB, BY_HAND].map(
    ({ device, uuid }) =>
      `blkid -p ${device} >/dev/null || mkfs.ocfs2 -F -x -q -b 4096 -C 4096 -J size=4M -N 4 -U ${uuid} ` +
      `--cluster-stack=o2cb --cluster-name=${CLUSTER} ${device} </dev/null 2>/dev/null`,
  ),
  write("/etc/ocfs2/cluster.conf", clusterConf(CLUSTER, { nodes: 1 })),
  write("/etc/default/o2cb", `O2CB_ENABLED=true\nO2CB_BOOTCLUSTER=${CLUSTER}\n`),
  write("/etc/fstab", `${fstabLine({ uuid: FSTAB.uuid, directory: FSTAB.directory, options: "noatime" })}\n`),
  `mkdir -p ${FSTAB.directory}`,
  `node ${root}bin/ocfs2-group.js install-helpers --divert --units`,
  "systemctl mask ocfs2.service",
  // No systemctl enable for units that have an init script: that would ask for the host's tools, too.
  "ln -s /usr/lib/systemd/system/o2cb.service /etc/systemd/system/multi-user.target.wants/",
  "systemctl enable o2cb-reconcile.timer",
].join("\n");

let lab: Lab;
let node: Node;

if (missing === null) {
  test.before("the machine boots", async (t) => {
    t.timeout(600_000);
    lab = await Lab.boot({
      nodes: 1,
      disks: [{ mib: 200 }, { mib: 200 }],
      init: "systemd",
      before: installed,
      limitSeconds: 1500,
      log: (line) => t.log(line),
    });
    node = lab.nodes[0] as Node;
  });
  test.afterEach.always((t) => {
    if (!t.passed) lab?.keep();
  });
  test.after.always("the machine ends", () => lab?.close());
}

/** Waits until systemd has nothing to do any more, and fails, with what it has failed at, where that is not as expected. */
async function settled(expected = "running"): Promise<void> {
  const { stdout } = await node.try(["systemctl", "is-system-running", "--wait"], { limitSeconds: 300 });
  const jobs = await node.try(["systemctl", "--no-legend", "list-jobs"]);
  if (stdout.trim() === expected && jobs.stdout.trim() === "") return;
  const failed = await node.try("systemctl --no-legend --plain list-units --state=failed");
  throw new Error(`the machine is ${stdout.trim()}:\n${failed.stdout}${jobs.stdout}`);
}

async function states(...units: string[]): Promise<string[]> {
  const { stdout } = await node.try(["systemctl", "is-active", ...units]);
  return stdout.trim().split("\n");
}

async function isMounted(directory: string): Promise<boolean> {
  return (await node.ocfs2Mounts()).some((mount) => mount.directory === directory);
}

async function property(unit: string, name: string): Promise<string> {
  return (await node.run(["systemctl", "show", "--value", "-p", name, unit])).stdout.trim();
}

scenario("after the boot the volume is mounted, and the cluster and its monitor are active", async (t) => {
  await settled();
  t.deepEqual(
    await states(...UNITS),
    UNITS.map(() => "active"),
  );
  t.true(await isMounted(FSTAB.directory));
  await node.mountControl();
  const state = await volumeState(node, FSTAB);
  t.is(state.references, 1);
  t.is(state.records.length, 1, "mounted by our helper");
});

scenario(
  "as a unit the monitor sees the host's mounts, and leaves for those that end without a command of ours",
  async (t) => {
    const pid = await property("o2cb-monitor.service", "MainPID");
    for (const kind of ["mnt", "ipc", "pid"]) {
      const links = await node.run(["readlink", `/proc/1/ns/${kind}`, `/proc/${pid}/ns/${kind}`]);
      const [init, monitor] = links.stdout.trim().split("\n");
      t.is(monitor, init, kind);
    }
    await node.run(["mount", "-t", "ocfs2", BY_HAND.device, BY_HAND.directory]);
    t.is((await volumeState(node, BY_HAND)).references, 1);
    const gone = node.start(["ocfs2_hb_ctl", "-I", "-u", BY_HAND.uuid, "--wait=gone", "--timeout=60"]);
    await node.run(["umount", "-i", BY_HAND.directory]);
    await gone.done;
    t.deepEqual(heldOf(await volumeState(node, BY_HAND)), []);
  },
);

scenario("the clean-up finds nothing to do", async (t) => {
  await node.run(["systemctl", "start", "o2cb-reconcile.service"]);
  t.is(await property("o2cb-reconcile.service", "Result"), "success");
  t.is(await property("o2cb-reconcile.service", "ConditionResult"), "yes");
  t.is((await volumeState(node, FSTAB)).references, 1);
});

scenario(
  "a stop unmounts what needs the service, is refused by what does not, and leaves that its monitor",
  async (t) => {
    await node.run(["mount", "-t", "ocfs2", BY_HAND.device, BY_HAND.directory]);
    await node.try(["systemctl", "stop", "o2cb.service"]);
    t.is(await property("o2cb.service", "Result"), "exit-code");
    t.deepEqual(heldOf(await volumeState(node, FSTAB)), []);
    t.is((await volumeState(node, BY_HAND)).references, 1, "nothing was taken from it");
    await settled("degraded");
    t.deepEqual(await states("o2cb.service", "o2cb-monitor.service"), ["failed", "active"]);

    await node.run(["umount", BY_HAND.directory]);
    await node.run(["systemctl", "start", MOUNT]);
    t.deepEqual(
      await states(...UNITS),
      UNITS.map(() => "active"),
    );
  },
);

scenario(
  "a power-off unmounts, leaves the cluster and then goes down: no slot stays, no journal is dirty",
  async (t) => {
    await node.run(["mount", "-t", "ocfs2", BY_HAND.device, BY_HAND.directory]);
    await node.run(`echo text | tee ${FSTAB.directory}/file ${BY_HAND.directory}/file`);
    await node.shutDown(300);
    const log = node.machine.console;
    // Last words of each, in the order in which they were said.
    const order = [FSTAB, BY_HAND].map(({ directory }) =>
      log.lastIndexOf(`Unmounted ${mountUnitName(directory)}`),
    );
    const monitor = log.lastIndexOf("Stopped o2cb-monitor.service");
    const cluster = log.lastIndexOf("Stopped o2cb.service");
    t.true(
      order.every((at) => at > 0) && monitor > Math.max(...order),
      `unmounted, then the monitor: ${order.join()}, ${monitor}`,
    );
    t.true(cluster > monitor, "the monitor, then the cluster");
    t.notRegex(log.slice(Math.min(...order)), /o2cb\.service: Failed|timed out|BUG:|Oops/);
    for (const { path } of lab.disks) left(t, path);
  },
);

/** What the peer's tools say of a disk that nobody uses: everybody has left it, and it is clean. */
function left(t: ExecutionContext, image: string): void {
  const run = (tool: string, ...args: string[]) =>
    spawnSync(tool, args, { encoding: "utf8", env: { ...process.env, PATH: HOST_PATH, LC_ALL: "C" } });
  const fsck = run("fsck.ocfs2", "-fn", image);
  t.is(fsck.status, 0, fsck.stdout + fsck.stderr);
  const lines = (request: string) =>
    run("debugfs.ocfs2", "-R", request, image)
      .stdout.trim()
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/));
  const beaten = lines("hb");
  t.is(beaten.length, 1, "one node has beaten here");
  for (const [slot, , sequence, generation] of beaten) {
    t.notRegex(sequence ?? "", /^0+$/, slot);
    t.regex(generation ?? "", /^0+$/, `slot ${slot} says that its node is there`);
  }
  t.deepEqual(lines("slotmap"), []);
  t.regex(run("debugfs.ocfs2", "-R", "stat //journal:0000", image).stdout, /Journal Flags: *\n/);
}

scenario("the next boot finds nothing to recover", async (t) => {
  node = await lab.bootAgain(node);
  await settled();
  t.is((await node.run(["cat", `${FSTAB.directory}/file`])).stdout, "text\n");
  const said = await node.dmesg();
  t.regex(said, /ocfs2: Mounting device/);
  t.notRegex(said, /not unmounted cleanly|recover(ing|y)/i);
});
