// The host around the cluster: what it does after a crash, who leaves at the end of a mount, containers, SELinux.
//
// Facts relied on: o2cb(7) asks for kernel.panic_on_oops=1 and a kernel.panic that restarts (group-api 4.4; users 1.5, F7): a node that
// hangs after an oops keeps its locks and may go on beating. kernel-abi 4 (hb_ctl_path runs in the host's own namespace, its exit
// status is ignored), users 1.1, H4 and H5. SELinux was reported to keep tools from configfs (users 1.2, C13).
import { readHint } from "../../attributes.ts";
import { isCode, type O2cbError } from "../../errors.ts";
import { kernelRelease } from "../../kernel-release.ts";
import { requireHostNamespaces } from "../../namespaces.ts";
import type { Native } from "../../native-types.ts";
import { HB_CTL_PATH, isOurProgram, leavingProgram } from "../../region/hb-ctl-path.ts";
import { requireHostNetwork } from "../place.ts";
import { failure, good, warning, type Check, type Finding } from "./finding.ts";

const OOPS = "/proc/sys/kernel/panic_on_oops";
const PANIC = "/proc/sys/kernel/panic";
const SELINUX = "/sys/fs/selinux/enforce";
const UMOUNT_HELPER = "/sbin/umount.ocfs2";
const PERSIST = "and keep it over a restart in a file in /etc/sysctl.d";

export const hostChecks: readonly Check[] = [
  { id: "panic-on-oops", look: async ({ native }) => [await oops(native)] },
  { id: "panic-restart", look: async ({ native }) => [await panic(native)] },
  { id: "heartbeat-negotiation", look: async ({ native }) => [await negotiation(native)] },
  { id: "hb-ctl-path", look: async ({ native }) => [await leave(native)] },
  { id: "namespaces", look: async ({ native, signal }) => [await namespaces(native, signal)] },
  { id: "network-namespace", look: async ({ native }) => [await network(native)] },
  { id: "selinux", look: async ({ native }) => [await selinux(native)] },
];

async function oops(native: Native): Promise<Finding> {
  const value = (await native.readAttribute(OOPS)).trim();
  if (value === "1") return good("panic-on-oops", "kernel.panic_on_oops is 1: a broken kernel stops at once");
  return failure(
    "panic-on-oops",
    `kernel.panic_on_oops is ${value}: after an oops this node may go on beating while its locks stay taken, and the cluster hangs`,
    `set it: sysctl kernel.panic_on_oops=1, ${PERSIST}`,
  );
}

async function panic(native: Native): Promise<Finding> {
  const value = (await native.readAttribute(PANIC)).trim();
  if (/^-\d+$/.test(value))
    return good("panic-restart", "kernel.panic is negative: a panic restarts at once");
  if (/^\d+$/.test(value) && Number(value) > 0)
    return good("panic-restart", `kernel.panic is ${value}: a panic restarts after ${value} seconds`);
  return failure(
    "panic-restart",
    `kernel.panic is ${value}: after a panic this node waits for ever instead of restarting`,
    `set it: sysctl kernel.panic=30, ${PERSIST}`,
  );
}

async function negotiation(native: Native): Promise<Finding> {
  const id = "heartbeat-negotiation";
  const release = await kernelRelease(native);
  if (release === null) return warning(id, "which kernel runs cannot be read", null);
  if (release.major > 4 || (release.major === 4 && release.minor >= 8))
    return good(
      id,
      `kernel ${release.text} asks the other nodes at half of the dead time, so a fault of the storage alone fences nobody`,
    );
  return warning(
    id,
    `kernel ${release.text} is older than 4.8: unless its distributor added that, a fault of the storage longer than the dead time fences all nodes at once`,
    "run a newer kernel, or a dead time that is longer than the storage's faults",
  );
}

async function leave(native: Native): Promise<Finding> {
  const id = "hb-ctl-path";
  const text = await readHint(native, HB_CTL_PATH);
  if (text === null)
    return warning(id, `${HB_CTL_PATH} cannot be read: no driver of ocfs2 is loaded`, "start it: o2cb load");
  const path = text.trim();
  const program = await leavingProgram(native);
  if (program !== null) {
    const whose = (await isOurProgram(native, program)) ? "of this package" : "of other tools";
    return good(
      id,
      `the kernel runs ${program} (${whose}) at the end of a mount, whose exit status it ignores`,
    );
  }
  const isNoOperation = path === "" || /\/(true|false)$/.test(path);
  if (!isNoOperation)
    return failure(
      id,
      `the kernel is to run ${path} at the end of a mount, and there is no such program: nobody would leave`,
      "run ocfs2-group install-helpers, or set O2CB_LEAVE and run o2cb restart",
    );
  if (await isOurProgram(native, UMOUNT_HELPER))
    return good(
      id,
      `the kernel runs nothing at the end of a mount (${path || "empty"}): umount.ocfs2 and the monitor of this package leave`,
    );
  return warning(
    id,
    `the kernel runs nothing at the end of a mount (${path || "empty"}), and ${UMOUNT_HELPER} is not this package's: heartbeats stay after unmounts`,
    "run ocfs2-group install-helpers, or o2cb unload, which puts the kernel's own setting back",
  );
}

async function namespaces(native: Native, signal: AbortSignal | undefined): Promise<Finding> {
  const id = "namespaces";
  try {
    await requireHostNamespaces(native, "doctor", signal);
    return good(id, "this process runs in the host's own namespaces");
  } catch (error) {
    return refused(id, error);
  }
}

async function network(native: Native): Promise<Finding> {
  const id = "network-namespace";
  try {
    await requireHostNetwork(native, "doctor");
    return good(id, "this process runs in the host's own network, as far as /proc tells");
  } catch (error) {
    return refused(id, error);
  }
}

function refused(id: string, error: unknown): Finding {
  if (!isCode(error, "O2CB_NAMESPACE")) throw error;
  const { message, remedy } = error as O2cbError;
  return failure(id, message, remedy ?? null);
}

async function selinux(native: Native): Promise<Finding> {
  const enforce = (await readHint(native, SELINUX))?.trim() ?? null;
  if (enforce === "1")
    return warning(
      "selinux",
      "SELinux is enforcing, and was reported to keep tools from configfs",
      "look for denials of ocfs2, o2cb or mount: ausearch -m avc -ts recent",
    );
  return good("selinux", enforce === null ? "SELinux is not active" : "SELinux only reports (permissive)");
}
