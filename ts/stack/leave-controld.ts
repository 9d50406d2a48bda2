// The end of a membership that ocfs2_controld holds: over a connection of its own, long after the join and usually in another process. What
// umount.ocfs2, ocfs2_hb_ctl and a membership's leave do.
//
// Facts relied on: userspace-stack 1.6 (5, 6, 8), 2.3: UNMOUNT ends the membership of one service; the daemon leaves the group with the last one. It
// does not ask whether the volume is mounted: whoever asks it to leave a mounted one takes this node's death from the other nodes' eyes. A mount that is
// under way answers EBUSY, and takes the membership over.
import { constants } from "node:os";
import { ControldClient, type ControldOptions } from "../controld/client.ts";
import { refusal } from "../controld/refusals.ts";
import { isCode } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { pause } from "../pause.ts";
import { whileDead, type DeadSuperblock } from "../region/dead-superblock.ts";
import { hasLiveSuperblock } from "../region/liveness.ts";
import { emit, type OnStep } from "../steps.ts";
import { MOUNT_SERVICE } from "./cluster-stack.ts";

/** `deviceNumber` is null where the caller knows (the kernel's call-out, a program's service). */
export interface ControldLeave extends DeadSuperblock {
  clusterStack: string;
  /** default `ocfs2`, that of mounts */
  service?: string | undefined;
}

export interface ControldLeaveOptions extends ControldOptions {
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

const { ENOENT } = constants.errno;
/** How long the daemon may take to see that a connection has ended. */
const NOTICE_PATIENCE_MS = 5000;
const NOTICE_PAUSE_MS = 50;

/**
 * `left` too where the daemon knows of no such membership. With a device number other mounts and unmounts of this package are kept out meanwhile.
 * Errors: O2CB_JOIN_IN_PROGRESS (a mount is under way, which takes the membership over), O2CB_SERVICE_UNAVAILABLE (no daemon),
 * O2CB_DAEMON_REFUSED, O2CB_TIMEOUT, O2CB_ABORTED.
 */
export async function leaveControldMount(
  native: Native,
  leave: ControldLeave,
  options: ControldLeaveOptions = {},
): Promise<"left" | "still-in-use"> {
  const tell = (): Promise<"left"> => tellDaemon(native, leave, options);
  return leave.deviceNumber === null ? tell() : whileDead(native, leave, options, tell);
}

/**
 * Ends a membership that the daemon holds for a mounter that is gone. Not where a superblock lives that needs it.
 * A program's membership is its own: two of one name are never let in. Errors: those of leaveControldMount, but without a daemon nothing is held.
 */
export async function takeBack(
  native: Native,
  where: Pick<ControldLeave, "region" | "clusterStack" | "deviceNumber"> & { service: string },
  options: ControldLeaveOptions,
): Promise<void> {
  const { service, deviceNumber } = where;
  const isMount = service === MOUNT_SERVICE;
  if (isMount && deviceNumber !== null && (await hasLiveSuperblock(native, deviceNumber))) return;
  const leave = { ...where, device: null, deviceNumber: null, patienceMs: 0 };
  const end = Date.now() + NOTICE_PATIENCE_MS;
  for (;;) {
    try {
      await leaveControldMount(native, leave, options);
      return;
    } catch (error) {
      if (isCode(error, "O2CB_SERVICE_UNAVAILABLE")) {
        const { message } = error as Error;
        emit(options.onStep, { step: "warning", code: "O2CB_SERVICE_UNAVAILABLE", message });
        return;
      }
      // It has not seen yet that the other connection has ended; nothing tells when it will.
      if (!isCode(error, "O2CB_JOIN_IN_PROGRESS") || Date.now() >= end) throw error;
    }
    await pause(NOTICE_PAUSE_MS);
  }
}

async function tellDaemon(
  native: Native,
  { region, clusterStack, service = MOUNT_SERVICE }: ControldLeave,
  options: ControldLeaveOptions,
): Promise<"left"> {
  const operation = "leave";
  const client = new ControldClient(native, options, { region, clusterStack });
  const status = await client.unmount(operation, { uuid: region, service }, options);
  if (status.number !== 0 && status.number !== ENOENT)
    throw refusal("UNMOUNT", status, `the volume '${region}' cannot be left`, {
      operation,
      region,
      clusterStack,
    });
  emit(options.onStep, { step: "leave", region, references: 0 });
  return "left";
}
