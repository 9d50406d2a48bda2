// A ready-made machine of a userspace stack: corosync and dlm_controld run, quorate; the volume is theirs. What it contains counts as clean.
//
// Facts relied on: userspace-stack 5 (no cluster of o2cb's, no region), 9.2 (the recipe), 9.5 (what dlm_controld writes into configfs).
import { DLM_CONTROL_MINOR } from "./proc.ts";
import { build, type Machine, type SetupSettings } from "./setups.ts";

export const USER_CLUSTER = "labpc";

export interface UserStackSettings extends SetupSettings {
  /** the running label when the machine is up; default pcmk */
  label?: string;
  /** modules loaded; default the file system and the stack's plugin */
  modules?: readonly string[];
  /** dlm_controld: `callbacks` as by default, `controld` with --enable_fscontrol; null: it does not run */
  dlm?: "callbacks" | "controld" | null;
  /** default USER_CLUSTER */
  clusterName?: string;
  /** where the DLM's control device is; default both places */
  devices?: readonly string[];
}

export function userStack(settings: UserStackSettings = {}): Machine {
  const { label = "pcmk", modules = ["ocfs2", "ocfs2_stack_user"], dlm = "callbacks" } = settings;
  const { clusterName = USER_CLUSTER, devices = ["/dev/misc/dlm-control", "/dev/dlm-control"] } = settings;
  const machine = build(
    { unregistered: true, ...settings, volume: { stack: "pcmk", cluster: USER_CLUSTER, ...settings.volume } },
    modules,
  );
  const { kernel } = machine;
  const { services, lockspaces } = kernel;
  kernel.stackLabel = label;
  for (const path of devices) {
    kernel.root.put(path, { kind: "character", number: { major: 10, minor: DLM_CONTROL_MINOR } });
    services.dlmDevices.set(path, { major: 6, minor: 0, patch: 2 });
  }
  services.corosync = { clusterName, isQuorate: true };
  if (dlm !== null) {
    services.lockspaces = new Map();
    lockspaces.settings =
      dlm === "callbacks" ? { clusterName, recoverCallbacks: 1 } : { clusterName: "", recoverCallbacks: 0 };
  }
  kernel.markClean();
  return machine;
}
