// The ways in which a mount disappears without umount.ocfs2 (commands 2.4), each as a scenario makes it: it mounts, checks that
// what is not the end changes nothing, and ends with the last user of the superblock gone or on its way out.
import type { ExecutionContext } from "ava";
import type { Monitor } from "../monitor.ts";
import {
  kernelCall,
  openFile,
  openNamespace,
  PEER_MOUNT,
  root,
  volumeState,
  type VolumeName,
} from "../ours.ts";
import type { Node } from "../vm/node.ts";

export interface Place extends VolumeName {
  node: Node;
  kernelLeaves: boolean;
  /** as a test's message begins */
  name: string;
  monitor: Monitor | null;
}

export const mount = (place: Place, directory = "/one") =>
  place.node.run(["mount", "-t", "ocfs2", place.device, directory]);

/** Something was unmounted, but not the last: the volume is counted once and beats. */
export async function stillHeld(t: ExecutionContext, place: Place, why: string): Promise<void> {
  const state = await volumeState(place.node, place);
  t.like(
    state,
    { region: true, dev: place.device.slice(5), references: 1, superblock: true },
    `${place.name}: ${why}`,
  );
}

export interface Way {
  title: string;
  /** mounts, and ends with the last user of the superblock on its way out */
  vanish: (t: ExecutionContext, place: Place) => Promise<void>;
  /** references that a C tool made and nobody can explain: only force drops them */
  unexplained?: (place: Place) => number;
  /** no superblock ever died, so the kernel calls nobody */
  neverMounted?: true;
  /** the next command, where no monitor runs; a reap if omitted */
  next?: "mount";
}

const SIGNAL_AT = (step: string) => [
  "env",
  `SIGNAL_AT_STEP=${step}`,
  "SIGNAL_AT_SIGNAL=SIGKILL",
  "node",
  "-r",
  `${root}__test__/e2e/guest-scripts/signal-at-step.cjs`,
];
const killedMount = (place: Place, step: string) =>
  place.node.try([
    ...SIGNAL_AT(step),
    "/usr/lib/ocfs2-group/mount.ocfs2.cjs",
    place.device,
    "/one",
    "-o",
    "rw",
    "--json",
  ]);

export const ways: Way[] = [
  {
    title: "umount2(2) by a program",
    async vanish(_t, place) {
      await mount(place);
      await place.node.run(["busybox", "umount", "/one"]);
    },
  },
  {
    title: "umount -i",
    next: "mount",
    async vanish(_t, place) {
      await mount(place);
      await place.node.run(["umount", "-i", "/one"]);
    },
  },
  {
    title: "umount -l while a file is open, which is closed later",
    async vanish(t, place) {
      await mount(place);
      const file = await openFile(place.node, "/one");
      await place.node.run(["umount", "-l", "/one"]);
      await stillHeld(t, place, "a file is open");
      await file.close();
    },
  },
  {
    title: "MNT_DETACH by a program while a file is open, which is closed later",
    next: "mount",
    async vanish(t, place) {
      await mount(place);
      const file = await openFile(place.node, "/one");
      await place.node.run(kernelCall("umount2", "/one", "2"));
      await stillHeld(t, place, "a file is open");
      await file.close();
    },
  },
  {
    title: "a bind mount outlives its mount point",
    async vanish(t, place) {
      await mount(place);
      await place.node.run("mkdir -p /one/part && mount --bind /one/part /bound");
      await place.node.run(["umount", "/one"]);
      await stillHeld(t, place, "the bind mount is there");
      await place.node.run(["umount", "-i", "/bound"]);
    },
  },
  {
    title: "one of several mount points, then the other",
    next: "mount",
    async vanish(t, place) {
      await mount(place);
      await mount(place, "/two");
      await place.node.run(["umount", "/one"]);
      await stillHeld(t, place, "the other mount point is there");
      await place.node.run(["busybox", "umount", "/two"]);
    },
  },
  {
    title: "a mount by the C tool alone",
    // With a monitor it was seen alive and is explained; the kernel's call needs no explanation.
    unexplained: ({ kernelLeaves, monitor }) => (kernelLeaves || monitor !== null ? 0 : 1),
    async vanish(_t, place) {
      const from = place.monitor?.mark ?? 0;
      await place.node.run([PEER_MOUNT, place.device, "/one", "-o", "rw"]);
      await place.monitor?.event(({ event }) => event === "superblock", from);
      await place.node.run(["umount", "-i", "/one"]);
    },
  },
  {
    title: "a second mount by the C tool, which counts once more",
    // A monitor has seen count and mount come together.
    unexplained: ({ monitor }) => (monitor === null ? 1 : 0),
    async vanish(t, place) {
      await mount(place);
      await place.node.run([PEER_MOUNT, place.device, "/two", "-o", "rw"]);
      t.is((await volumeState(place.node, place)).references, 2, place.name);
      await place.node.run(["umount", "/one"]);
      await place.node.run(["umount", "-i", "/two"]);
    },
  },
  {
    title: "the end of the mount namespace it is in",
    async vanish(t, place) {
      const namespace = await openNamespace(place.node);
      await place.node.run([
        "nsenter",
        "-m",
        "-t",
        namespace.pid,
        "mount",
        "-t",
        "ocfs2",
        place.device,
        "/one",
      ]);
      t.deepEqual(
        (await volumeState(place.node, place)).mounts,
        [],
        "it is not mounted in the first namespace",
      );
      await namespace.end();
    },
  },
  {
    title: "an unmount in a child namespace while it is mounted outside, then outside",
    next: "mount",
    async vanish(t, place) {
      await mount(place);
      const namespace = await openNamespace(place.node);
      await place.node.run(["nsenter", "-m", "-t", namespace.pid, "umount", "/one"]);
      await stillHeld(t, place, "it is mounted outside");
      await place.node.run(["busybox", "umount", "/one"]);
      await namespace.end();
    },
  },
  {
    title: "mount --move, then the new place is unmounted by a program",
    async vanish(t, place) {
      await mount(place);
      await place.node.run(["mount", "--move", "/one", "/two"]);
      await stillHeld(t, place, "it is mounted at the new place");
      await place.node.run(["umount", "-i", "/two"]);
    },
  },
  {
    title: "a detached clone of the mount (open_tree) outlives it",
    async vanish(t, place) {
      await mount(place);
      const clone = place.node.start(kernelCall("clone", "/one"));
      await clone.waitForOutput(/held/);
      await place.node.run(["umount", "/one"]);
      await stillHeld(t, place, "the clone is there");
      await clone.kill("SIGKILL");
      await clone.done;
    },
  },
  {
    title: "a lower layer of overlayfs outlives the mount",
    next: "mount",
    async vanish(t, place) {
      await mount(place);
      await place.node.run(
        "mkdir -p /one/low /run/upper /run/work /bound && mount -t overlay -o lowerdir=/one/low,upperdir=/run/upper,workdir=/run/work overlay /bound",
      );
      await place.node.run(["umount", "-l", "/one"]);
      await stillHeld(t, place, "the overlay is there");
      await place.node.run(["umount", "/bound"]);
    },
  },
  {
    title: "a loop device on a file outlives the mount",
    async vanish(t, place) {
      await mount(place);
      const { stdout } = await place.node.run(
        "modprobe loop && truncate -s 4M /one/image && losetup -f --show /one/image",
      );
      await place.node.run(["umount", "-l", "/one"]);
      await stillHeld(t, place, "the loop device is there");
      await place.node.run(["losetup", "-d", stdout.trim()]);
    },
  },
  {
    title: "umount.ocfs2 killed between umount2(2) and the leave",
    next: "mount",
    async vanish(t, place) {
      await mount(place);
      const result = await place.node.try([
        ...SIGNAL_AT("unmounted"),
        "/usr/lib/ocfs2-group/umount.ocfs2.cjs",
        "/one",
        "--json",
      ]);
      t.is(result.status, 137, `${place.name}: ${result.stdout}${result.stderr}`);
      t.deepEqual((await volumeState(place.node, place)).mounts, [], place.name);
    },
  },
  {
    title: "mount.ocfs2 killed before mount(2)",
    neverMounted: true,
    async vanish(t, place) {
      t.is((await killedMount(place, "mount")).status, 137, place.name);
      const { mounts, references } = await volumeState(place.node, place);
      t.deepEqual(
        { mounts, references },
        { mounts: [], references: 0 },
        `${place.name}: the kernel undid it`,
      );
    },
  },
  {
    title: "mount.ocfs2 killed between mount(2) and the end of its join, then umount -i",
    async vanish(t, place) {
      t.is((await killedMount(place, "complete")).status, 137, place.name);
      t.deepEqual((await volumeState(place.node, place)).mounts, ["/one"], place.name);
      await place.node.run(["umount", "-i", "/one"]);
    },
  },
];
