// Short words for what tests of the audit and the reap do with one region of a fake machine.
import { startService } from "../../ts/hb-ctl/start.ts";
import { stopService, type StopServiceRequest } from "../../ts/hb-ctl/stop.ts";
import { beginGroupJoin } from "../../ts/membership.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import { audit, type AuditOptions } from "../../ts/region/audit.ts";
import type { Audit, ReapResult, RegionAudit } from "../../ts/region/audit-types.ts";
import { planReap, reap, type ReapChoice, type ReapOptions } from "../../ts/region/reap.ts";
import { openVolume } from "../../ts/volume.ts";
import { DIRECTORY, DISK, UUID, type FakeKernel, type FakeNative } from "./fake-native.ts";

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
