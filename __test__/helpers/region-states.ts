// The states in which a region can be found on a fake machine (group-api 3.7, commands 2.4), and short words for what tests of audit
// and reap do to one. What an audit says of each state, and what a reap does about it, is part of the table.
import { startService } from "../../ts/hb-ctl/start.ts";
import { stopService, type StopServiceRequest } from "../../ts/hb-ctl/stop.ts";
import { beginGroupJoin } from "../../ts/membership.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import { audit, type AuditOptions } from "../../ts/region/audit.ts";
import type { Audit, ReapResult, RegionAudit } from "../../ts/region/audit-types.ts";
import { planReap, reap, type ReapChoice, type ReapOptions } from "../../ts/region/reap.ts";
import { openVolume } from "../../ts/volume.ts";
import {
  classicGlobal,
  classicLocal,
  deaths,
  DIRECTORY,
  DISK,
  oldDriver12,
  UUID,
  type FakeKernel,
  type FakeNative,
  type Machine,
} from "./fake-native.ts";

/** One command: a process that ends when its work is done. */
export async function command<T>(
  kernel: FakeKernel,
  work: (native: FakeNative) => Promise<T>,
  name = "node",
): Promise<T> {
  const native = kernel.process({ name });
  try {
    return await work(native);
  } finally {
    native.exit();
  }
}

export const mount = (kernel: FakeKernel, directory: string = DIRECTORY) =>
  command(kernel, (native) => mountVolume(native, { device: DISK, directory }), "mount.ocfs2");

export const start = (kernel: FakeKernel, service: string) =>
  command(kernel, (native) => startService(native, { device: null, uuid: UUID, service }));

export const stop = (kernel: FakeKernel, service: string | null, more: Partial<StopServiceRequest> = {}) =>
  command(kernel, (native) =>
    stopService(native, { device: null, uuid: UUID, service, caller: "program", ...more }),
  );

/** A program that holds a reference while it runs. */
export async function join(kernel: FakeKernel, service = "fsck.ocfs2"): Promise<FakeNative> {
  const native = kernel.process({ name: service });
  const begun = await beginGroupJoin(native, { volume: await openVolume(native, DISK), service });
  await begun.complete(0);
  return native;
}

export const look = (kernel: FakeKernel, options: AuditOptions = {}): Promise<Audit> =>
  command(kernel, (native) => audit(native, options));

export async function lookAt(kernel: FakeKernel, options: AuditOptions = {}): Promise<RegionAudit> {
  const { regions } = await look(kernel, { regions: [UUID], ...options });
  const [region] = regions;
  if (region === undefined) throw new Error("the audit does not tell of the region");
  return region;
}

/** As `--reap` does, with probes. */
export async function clean(
  kernel: FakeKernel,
  choice: ReapChoice = {},
  options: ReapOptions = {},
): Promise<ReapResult> {
  const plan = planReap(await look(kernel, { probe: true, regions: choice.regions }), choice);
  return command(kernel, (native) => reap(native, plan, { patienceMs: 0, ...options }));
}

/** The count; null without a set. */
export function references(kernel: FakeKernel, uuid: string = UUID): number | null {
  const found = kernel.semaphoreSets().find(([, { label }]) => label === uuid);
  return found?.[1].values[1] ?? null;
}

/** The kernel runs our own program at the end of a superblock. */
export function leaveByOurProgram(kernel: FakeKernel): void {
  const path = "/usr/lib/ocfs2-group/launcher";
  kernel.installProgram(path, async ([, , uuid], task) => {
    const request = { device: null, uuid: uuid ?? "", service: null, caller: "kernel" } as const;
    await stopService(kernel.processOf(task), request);
    return 0;
  });
  kernel.hbCtlPath = path;
}

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
const stopped = (drop: number) => ({ drop, stop: true, removeSet: true });

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
    plan: stopped(0),
  },
  {
    title: "ORPHAN: the C tool's fsck was killed",
    setup: local,
    make: async ({ kernel }) => (await kernel.cTool.fsck(UUID)).kill(),
    expected: { verdict: "orphan", references: 0, staleRecords: [] },
    plan: stopped(0),
  },
  {
    title: "HALF with a set",
    setup: local,
    async make({ kernel }) {
      const native = kernel.process().failCall("startHeartbeat", { kill: "before" });
      void start({ process: () => native } as unknown as FakeKernel, "agent");
      await new Promise<void>((resolve) => native.task.atExit("files", resolve));
    },
    expected: { verdict: "half-made", references: 0, hasSet: true, disk: null },
    plan: stopped(0),
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
    plan: null,
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
      void start({ process: () => native } as unknown as FakeKernel, "agent").catch(() => {});
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
