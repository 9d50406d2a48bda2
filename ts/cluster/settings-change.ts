// What a desired state means for the settings of the o2cb service: which variables have to be written, and what they come to.
//
// Facts relied on: commands 4.1 (the variables). The service starts the cluster that O2CB_BOOTCLUSTER names, so that follows the desired
// cluster's name. A variable whose present value cannot be used is written anew, also where the default would be the same.
import type { Sysconfig, SysconfigValues, Variable } from "../config/sysconfig.ts";
import { O2cbError } from "../errors.ts";
import type { DesiredState } from "./desired-state.ts";

export type SettingsState = Pick<Sysconfig, "values" | "findings">;

export interface SettingChange {
  variable: Variable;
  key: keyof SysconfigValues;
  to: string | number | boolean;
  /** the present value cannot be used */
  isBroken: boolean;
}

/** Errors: O2CB_CONFIGURATION_ERROR where an idle timeout would be no longer than the keepalive delay. */
export function settingsOf(
  { values, findings }: SettingsState,
  desired: DesiredState,
): { values: SysconfigValues; changes: SettingChange[] } {
  const after: SysconfigValues = { ...values };
  const changes: SettingChange[] = [];
  const set = <K extends keyof SysconfigValues>(
    variable: Variable,
    key: K,
    to: NonNullable<SysconfigValues[K]> | undefined,
  ): void => {
    if (to === undefined) return;
    const isBroken = findings.some(({ severity, key: about }) => severity === "error" && about === variable);
    if (values[key] === to && !isBroken) return;
    after[key] = to;
    changes.push({ variable, key, to, isBroken });
  };
  const { timeouts = {} } = desired;
  set("O2CB_ENABLED", "enabled", desired.enabled);
  set("O2CB_STACK", "stack", desired.stack);
  set("O2CB_BOOTCLUSTER", "bootCluster", desired.cluster.name);
  set("O2CB_HEARTBEAT_THRESHOLD", "heartbeatThreshold", timeouts.deadThreshold);
  set("O2CB_IDLE_TIMEOUT_MS", "idleTimeoutMs", timeouts.idleMs);
  set("O2CB_KEEPALIVE_DELAY_MS", "keepaliveDelayMs", timeouts.keepaliveMs);
  set("O2CB_RECONNECT_DELAY_MS", "reconnectDelayMs", timeouts.reconnectMs);
  set("O2CB_FENCE_METHOD", "fenceMethod", timeouts.fenceMethod);
  set("O2CB_LEAVE", "leave", desired.leave);
  const { idleTimeoutMs, keepaliveDelayMs } = after;
  const isAsked = timeouts.idleMs !== undefined || timeouts.keepaliveMs !== undefined;
  if (isAsked && keepaliveDelayMs >= idleTimeoutMs)
    throw new O2cbError(
      "O2CB_CONFIGURATION_ERROR",
      `the keepalive delay would be ${keepaliveDelayMs} ms, which is no less than the idle timeout of ${idleTimeoutMs} ms`,
      {
        operation: "plan",
        remedy: "give both idleMs and keepaliveMs in the desired state",
      },
    );
  return { values: after, changes };
}
