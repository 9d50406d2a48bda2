// The states that mounts leave behind (commands 2.4), with what an audit says of each and what a reap does about it.
import { startService } from "../../ts/hb-ctl/start.ts";
import { classicGlobal, classicLocal, deaths, DIRECTORY, DISK, oldDriver12, UUID } from "./fake-native.ts";
import type { RegionState } from "./region-states.ts";
import { command, mount, start } from "./region-work.ts";

const local = () => classicLocal({ dlmfs: "/dlm" });
const stopped = (drop: number) => ({ drop, stop: true, removeSet: true });

export const vanishedStates: readonly RegionState[] = [
  ...deaths.map(({ title, die }): RegionState => ({
    title: `vanished: ${title}`,
    setup: local,
    async make({ kernel }) {
      await mount(kernel);
      await die(kernel, DIRECTORY);
    },
    expected: { verdict: "orphan", references: 1, stale: 1, unexplained: 0 },
    superblock: "dead",
    plan: stopped(1),
  })),
  {
    title: "our unmount was killed between umount(2) and the leave; an agent stays",
    setup: local,
    async make({ kernel }) {
      await mount(kernel);
      await start(kernel, "agent");
      await kernel.cTool.umount(DIRECTORY);
    },
    expected: { verdict: "in-use", references: 2, stale: 1, unexplained: 0 },
    superblock: "dead",
    holders: ["agent kept 1"],
    plan: { drop: 1, stop: false, removeSet: false },
  },
  {
    title: "a lazy unmount with a file that is still open",
    setup: local,
    async make({ kernel }) {
      await mount(kernel);
      const file = kernel.process({ name: "editor" }).openFile(DIRECTORY);
      await kernel.cTool.umount(DIRECTORY, true);
      return () => file.close();
    },
    expected: { verdict: "in-use", references: 1, stale: 0 },
    superblock: "alive",
    holders: ["ocfs2 mount 1"],
    plan: null,
  },
  {
    title: "one of several mounts, and a bind mount, were unmounted",
    setup: local,
    async make({ kernel }) {
      await mount(kernel);
      await mount(kernel, "/vol2");
      kernel.bind(DIRECTORY, "/vol3");
      await kernel.cTool.umount("/vol3");
      await kernel.cTool.umount(DIRECTORY);
    },
    expected: { verdict: "in-use", references: 1, stale: 0, unexplained: 0 },
    superblock: "alive",
    plan: null,
  },
  {
    title: "mounted in another namespace only",
    setup: local,
    async make({ kernel }) {
      await mount(kernel);
      kernel.process({ name: "container", namespace: kernel.unshare() });
      await kernel.cTool.umount(DIRECTORY);
    },
    expected: { verdict: "in-use", references: 1, stale: 0 },
    superblock: "alive",
    plan: null,
  },
  {
    title: "a dismount that is under way",
    setup: local,
    async make({ kernel }) {
      await mount(kernel);
      const hold = kernel.holdDismount();
      const unmounted = kernel.cTool.umount(DIRECTORY);
      await hold.reached;
      return async () => {
        hold.finish();
        await unmounted;
      };
    },
    expected: { verdict: "in-use", references: 1, stale: 0 },
    superblock: "alive",
    plan: null,
  },
  {
    title: "unmounted, and the device is gone",
    setup: local,
    async make({ kernel, disk }) {
      await mount(kernel);
      await kernel.cTool.umount(DIRECTORY);
      kernel.removeDisk(disk);
    },
    expected: { verdict: "orphan", references: 1, stale: 1, disk: "sdb", deviceNumber: null },
    superblock: "dead",
    plan: stopped(1),
  },
  {
    title: "mounted, and the device is gone",
    setup: local,
    async make({ kernel, disk }) {
      await mount(kernel);
      kernel.removeDisk(disk);
    },
    expected: { verdict: "in-use", references: 1, stale: 0, deviceNumber: null },
    superblock: "alive",
    plan: null,
  },
  {
    title: "a note of an earlier start of the host",
    setup: local,
    async make({ kernel }) {
      await mount(kernel);
      await kernel.cTool.umount(DIRECTORY);
      await kernel.cTool.hbCtlStop(UUID);
      kernel.bootId = "another";
    },
    expected: { verdict: "orphan", references: 0, hasSet: false, directory: null, stale: 0 },
    plan: { drop: 0, stop: false, removeSet: false },
  },
  {
    title: "a note whose region the C tool stopped, on a driver that does not tell the thread",
    setup: oldDriver12,
    async make({ kernel }) {
      await start(kernel, "agent");
      await kernel.cTool.hbCtlStop(UUID);
    },
    expected: { verdict: "orphan", references: 0, hasSet: false, directory: null },
    plan: { drop: 0, stop: false, removeSet: false },
  },
  {
    title: "a kept join whose program was killed before its reference was made to stay",
    setup: local,
    async make({ kernel }) {
      const native = kernel.process().failCall("RegionLock.handOver", { kill: "before" });
      void startService(native, { device: DISK, uuid: null, service: "agent" }).catch(() => {});
      await new Promise<void>((resolve) => native.task.atExit("files", resolve));
    },
    expected: { verdict: "orphan", references: 0 },
    superblock: "dead",
    plan: stopped(0),
  },
  {
    title: "an old driver: mounted",
    setup: oldDriver12,
    make: ({ kernel }) => mount(kernel),
    expected: { verdict: "in-use", references: 1, pinned: null, elapsedMs: null, liveNodes: null, pid: null },
    superblock: "alive",
    plan: null,
  },
  {
    title: "an old driver: unmounted, which only a claim tells",
    setup: oldDriver12,
    async make({ kernel }) {
      await mount(kernel);
      await kernel.cTool.umount(DIRECTORY);
    },
    expected: { verdict: "unknown", references: 1, stale: 0, unexplained: 0 },
    superblock: "unknown",
    plan: null,
  },
  {
    title: "references without a region",
    setup: local,
    async make({ kernel, regionDirectory }) {
      await kernel.cTool.hbCtlStart(UUID);
      await command(kernel, (native) => native.removeDirectory(regionDirectory));
    },
    expected: { verdict: "unexplained-references", references: 1, unexplained: 1, directory: null },
    plan: null,
  },
  {
    title: "a foreign program leaves for the kernel: what is left of our mount is a note",
    setup: () => classicLocal({ leave: "kernel" }),
    async make({ kernel }) {
      await mount(kernel);
      await kernel.cTool.hbCtlStart(UUID);
      await kernel.cTool.umount(DIRECTORY);
    },
    expected: { verdict: "unexplained-references", references: 1, stale: 0, unexplained: 1 },
    superblock: "dead",
    plan: { drop: 0, stop: false, removeSet: false },
  },
  {
    title: "global heartbeat: mounted",
    setup: classicGlobal,
    make: ({ kernel }) => mount(kernel),
    expected: { references: 0, hasSet: false, directory: null, mode: "global", verdict: "in-use" },
    superblock: "alive",
    plan: null,
  },
];
