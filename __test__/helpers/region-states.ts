// The states in which a region can be found on a fake machine (group-api 3.7), each with what an audit says of it and what a reap
// does about it. Those that mounts leave behind are in vanished-states.ts.
import { startService } from "../../ts/hb-ctl/start.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import type { RegionAudit } from "../../ts/region/audit-types.ts";
import { classicLocal, DIRECTORY, DISK, oldDriver12, UUID, type Machine } from "./fake-native.ts";
import { command, join, mount, start } from "./region-work.ts";
import { vanishedStates } from "./vanished-states.ts";

export interface RegionState {
  title: string;
  setup: () => Machine;
  /** what it returns is called before the machine is left, to end what was held */
  make(machine: Machine): Promise<unknown>;
  /** of the audit */
  expected: Partial<Omit<RegionAudit, "superblock" | "holders">>;
  superblock?: RegionAudit["superblock"]["state"];
  /** `service kind references`, one for each */
  holders?: string[];
  /** what a plan has: references dropped, and whether the region is stopped; null: nothing is planned */
  plan: { drop: number; stop: boolean; removeSet: boolean } | null;
}

const local = (): Machine => classicLocal({ dlmfs: "/dlm" });
const stopped = { drop: 0, stop: true, removeSet: true };

export const regionStates: readonly RegionState[] = [
  {
    title: "ABSENT",
    setup: local,
    make: async () => {},
    expected: { verdict: "absent", references: 0, hasSet: false, directory: null },
    plan: null,
  },
  {
    title: "EMPTY-SET",
    setup: local,
    make: ({ kernel }) => kernel.cTool.hbCtlInfo(UUID),
    expected: { verdict: "orphan", references: 0, hasSet: true, directory: null },
    plan: { drop: 0, stop: false, removeSet: true },
  },
  {
    title: "EMPTY-SET on an old driver, which tells nothing of superblocks",
    setup: oldDriver12,
    make: ({ kernel }) => kernel.cTool.hbCtlInfo(UUID),
    expected: { verdict: "orphan", references: 0, hasSet: true, directory: null },
    superblock: "unknown",
    plan: { drop: 0, stop: false, removeSet: true },
  },
  {
    title: "EMPTY-SET without debugfs",
    setup: () => classicLocal({ features: { debugfs: false } }),
    make: ({ kernel }) => kernel.cTool.hbCtlInfo(UUID),
    expected: { verdict: "orphan", references: 0, hasSet: true, directory: null },
    superblock: "unknown",
    plan: { drop: 0, stop: false, removeSet: true },
  },
  {
    title: "STARTING",
    setup: local,
    async make({ kernel }) {
      const hold = kernel.holdHeartbeat();
      const starting = start(kernel, "agent");
      await hold.reached;
      return async () => {
        hold.finish();
        await starting;
      };
    },
    expected: { verdict: "in-use", references: 0, hasSet: true },
    plan: null,
  },
  {
    title: "ACTIVE(1): mounted by us",
    setup: local,
    make: ({ kernel }) => mount(kernel),
    expected: { verdict: "in-use", references: 1, stale: 0, unexplained: 0, pinned: true, disk: "sdb" },
    superblock: "alive",
    holders: ["ocfs2 mount 1"],
    plan: null,
  },
  {
    title: "ACTIVE(1): mounted by the C tool",
    setup: local,
    make: ({ kernel }) => kernel.cTool.mount(DISK, DIRECTORY),
    expected: { verdict: "in-use", references: 1, stale: 0, unexplained: 0 },
    superblock: "alive",
    holders: ["ocfs2 mount 1"],
    plan: null,
  },
  {
    title: "ACTIVE(2): the C tool's second mount took a reference that no leave drops",
    setup: local,
    async make({ kernel }) {
      await kernel.cTool.mount(DISK, DIRECTORY);
      await kernel.cTool.mount(DISK, "/vol2");
    },
    expected: { verdict: "unexplained-references", references: 2, stale: 0, unexplained: 1 },
    superblock: "alive",
    holders: ["ocfs2 mount 1"],
    plan: null,
  },
  {
    title: "ACTIVE(2): a program that runs, and one that was started for good",
    setup: local,
    async make({ kernel }) {
      await start(kernel, "agent");
      const program = await join(kernel);
      return () => program.exit();
    },
    expected: { verdict: "in-use", references: 2, stale: 0, unexplained: 0 },
    superblock: "dead",
    holders: ["agent kept 1", "fsck.ocfs2 process 1"],
    plan: null,
  },
  {
    title: "ACTIVE(1): the C tool's -S",
    setup: local,
    make: ({ kernel }) => kernel.cTool.hbCtlStart(UUID),
    expected: { verdict: "unexplained-references", references: 1, stale: 0, unexplained: 1 },
    superblock: "dead",
    plan: null,
  },
  {
    title: "ORPHAN: its program was killed",
    setup: local,
    make: async ({ kernel }) => (await join(kernel)).kill(),
    expected: { verdict: "orphan", references: 0, stale: 0, unexplained: 0 },
    superblock: "dead",
    plan: stopped,
  },
  {
    title: "ORPHAN: the C tool's fsck was killed",
    setup: local,
    make: async ({ kernel }) => (await kernel.cTool.fsck(UUID)).kill(),
    expected: { verdict: "orphan", references: 0, staleRecords: [] },
    plan: stopped,
  },
  {
    title: "HALF with a set",
    setup: local,
    async make({ kernel }) {
      const native = kernel.process().failCall("startHeartbeat", { kill: "before" });
      void startService(native, { device: DISK, uuid: null, service: "agent" });
      await new Promise<void>((resolve) => native.task.atExit("files", resolve));
    },
    expected: { verdict: "half-made", references: 0, hasSet: true, disk: null },
    plan: stopped,
  },
  {
    title: "HALF without a set",
    setup: local,
    make: ({ kernel, regionDirectory }) => command(kernel, (native) => native.makeDirectory(regionDirectory)),
    expected: { verdict: "half-made", references: 0, hasSet: false, disk: null },
    plan: { drop: 0, stop: true, removeSet: false },
  },
  {
    title: "HALF on an old driver",
    setup: oldDriver12,
    make: ({ kernel, regionDirectory }) => command(kernel, (native) => native.makeDirectory(regionDirectory)),
    expected: { verdict: "half-made", references: 0, disk: null },
    superblock: "unknown",
    plan: { drop: 0, stop: true, removeSet: false },
  },
  {
    title: "PINNED(0): the C tool's -K while a domain relies on it",
    setup: local,
    async make({ kernel }) {
      await kernel.cTool.hbCtlStart(UUID);
      await command(kernel, (native) => native.makeDirectory(`/dlm/${UUID}`));
      await kernel.cTool.hbCtlStop(UUID).catch(() => {});
    },
    expected: { verdict: "pinned-without-reference", references: 0, pinned: true, domains: [`/dlm/${UUID}`] },
    superblock: "dead",
    // Nobody is in the domain any more: it is left, too.
    plan: stopped,
  },
  {
    title: "PINNED(0): killed between mount(2) and the confirmation",
    setup: local,
    async make({ kernel }) {
      const native = kernel.process().failCall("mount", { kill: "after" });
      void mountVolume(native, { device: DISK, directory: DIRECTORY });
      await new Promise<void>((resolve) => native.task.atExit("files", resolve));
      await kernel.idle();
    },
    expected: { verdict: "pinned-without-reference", references: 0, stale: 0, pinned: true },
    superblock: "alive",
    holders: ["ocfs2 mount 0"],
    // The note of the command that was killed.
    plan: { drop: 0, stop: false, removeSet: false },
  },
  ...vanishedStates,
];
