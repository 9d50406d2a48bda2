// ocfs2_hb_ctl -S: a reference that stays until -K, for a program that wants the heartbeat without a mount, or for 1.2's mount.
//
// Facts relied on: commands 3.1 (begin and complete(0), persistent), 5 (1.2's mount has it taken before each mount(2); here a superblock
// has one reference, so a further mount adds none). With global heartbeat it checks and does nothing; on a userspace
// stack the service joins the volume's group, where a control daemon holds that.
import { beginGroupJoin } from "../membership.ts";
import type { Native } from "../native-types.ts";
import { findDevice } from "../region/find-device.ts";
import { MOUNT_SERVICE } from "../stack/cluster-stack.ts";
import type { HeartbeatMode, OnStep } from "../steps.ts";
import { CLASSIC_STACK, openVolume, regionName } from "../volume.ts";

export interface StartServiceRequest {
  device: string | null;
  /** in any case, with or without dashes; the device is then looked for */
  uuid: string | null;
  service: string;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

export interface StartServiceResult {
  region: string;
  references: number;
  /** `none`: a userspace stack, which has no heartbeat of the kernel's and counts nothing */
  mode: HeartbeatMode | "none";
}

/** Errors: those of openVolume, beginGroupJoin and findDevice. */
export async function startService(
  native: Native,
  { device, uuid, service, signal, onStep }: StartServiceRequest,
): Promise<StartServiceResult> {
  const path = device ?? (await findDevice(native, regionName(uuid ?? ""), signal));
  const volume = await openVolume(native, path, { signal, onStep });
  const handed = service === MOUNT_SERVICE;
  const join = await beginGroupJoin(native, {
    volume,
    service,
    persistent: true,
    handed,
    signal,
    onStep,
  });
  await join.complete(0);
  const references = (await native.regionSemaphores(volume.uuid))?.references ?? 0;
  const mode = volume.stack === CLASSIC_STACK ? volume.heartbeatMode : "none";
  return { region: volume.uuid, references, mode };
}
