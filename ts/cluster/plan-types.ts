// What a plan is made from and what it says: plain data, as `o2cb apply --json` prints it.
import type { ConfiguredCluster } from "../config/model.ts";
import type { Leave } from "./desired-state.ts";
import type { ClusterState } from "./registered.ts";
import type { SettingsState } from "./settings-change.ts";

export interface CurrentState {
  /** the wanted cluster as the file has it; null where it does not */
  file: ConfiguredCluster | null;
  settings: SettingsState;
  /** what is registered in the kernel, whatever its name; null: nothing is */
  registered: ClusterState | null;
  /** the stack's label; null where no driver is loaded, or an old one */
  stack: string | null;
  /** a mount or a DLM domain uses the stack */
  inUse: boolean;
  /** who leaves now; null where no driver is loaded */
  leave: Leave | null;
  /** this host's; null where it has none */
  hostname: string | null;
  /** an apply did not come to its end, after it had taken the cluster offline, or while that ran; null: none */
  interrupted: "offline" | "online" | null;
}

export type Value = string | number | boolean | null;

export interface Difference {
  /** where it differs: the configuration file, the settings of the service, or what runs */
  where: "cluster.conf" | "settings" | "kernel";
  /** names within it, as `nodes/beta/port` */
  path: string;
  /** null: it is not there */
  from: Value;
  /** null: it goes */
  to: Value;
}

export type StepKind =
  | "offline"
  | "write-configuration"
  | "write-settings"
  | "change-cluster"
  | "set-stack"
  | "set-mode"
  | "set-timeout"
  | "remove-node"
  | "add-node"
  | "change-node"
  | "start-heartbeat"
  | "stop-heartbeat"
  | "register"
  | "set-leave"
  | "online";

export interface PlanStep {
  kind: StepKind;
  description: string;
  /** false: not while the cluster runs on this host */
  online: boolean;
  /** why it is so */
  reason: string;
}

export interface Plan {
  cluster: string;
  diff: Difference[];
  /** in order; none where everything is as it is wanted */
  steps: PlanStep[];
  needsDowntime: boolean;
}
