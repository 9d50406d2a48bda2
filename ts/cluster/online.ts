// Bringing a cluster online on this host: stack loaded, cluster registered, timeouts set, and with global heartbeat its regions started.
//
// Facts relied on: commands 4.2 and 4.3 (the init script's `online`; O2CB_STACK and O2CB_BOOTCLUSTER), group-api 4.5 (timeouts are set between
// registration and heartbeat). Each part is success where it is as wanted already, so a cluster that is online is made as it is configured.
//
// Unlike the init script: a failure is one, and takes back a registration that this call has made. Modules and mounts stay: they harm nobody.
// User stacks: modules and the label; their services are only looked for, since they are the distribution's or Pacemaker's to start.
import type { SysconfigValues } from "../config/sysconfig.ts";
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { CLASSIC_STACK } from "../volume.ts";
import type { DesiredTimeouts } from "./desired-state.ts";
import { startHeartbeat, type HeartbeatOptions, type StartHeartbeatResult } from "./heartbeat.ts";
import { loadStack } from "./modules.ts";
import type { WantedCluster } from "./nodes.ts";
import { registerCluster, unregisterCluster, type RegisterResult } from "./register.ts";
import { useStack } from "./use-stack.ts";
import {
  missingDaemon,
  requireUserServices,
  type RequireOptions,
  type UserStackReady,
} from "./user-stack.ts";
import { KernelWrites, type KernelWrite, type WriteOptions } from "./writes.ts";

const PATIENCE_MS = 10_000;

export interface OnlineOptions extends WriteOptions, Pick<HeartbeatOptions, "rescanMs"> {
  /** of readSysconfig */
  sysconfig: SysconfigValues;
  /** of loadConfig */
  clusters: readonly WantedCluster[];
  /** default: O2CB_BOOTCLUSTER, or the only one there is */
  name?: string | null | undefined;
  /** instead of those of sysconfig */
  timeouts?: DesiredTimeouts | undefined;
  /** how long dlm_controld may take after its start; default 10 s */
  patienceMs?: number | undefined;
  /** default: the kernel's */
  hostname?: string | undefined;
}

export interface OnlineResult {
  stack: string;
  /** null with a user stack */
  registered: RegisterResult | null;
  heartbeat: StartHeartbeatResult | null;
  /** what a user stack stands on; null with the classic one, and on a dry run where it does not run yet */
  user: UserStackReady | null;
  writes: KernelWrite[];
}

/** Errors: those of loadStack, registerCluster and startHeartbeat; O2CB_CONFIGURATION_ERROR, O2CB_INVALID_STACK_NAME, O2CB_TIMEOUT;
 * with a user stack those of requireUserServices. */
export async function online(native: Native, options: OnlineOptions): Promise<OnlineResult> {
  const { sysconfig, hostname, rescanMs } = options;
  const { stack } = sysconfig;
  const writes = KernelWrites.of(native, options);
  const cluster = stack === CLASSIC_STACK ? wantedCluster(options) : null;
  return writes.exclusively(async () => {
    const begun = writes.done.length;
    await loadStack(writes, sysconfig);
    await useStack(writes, stack, { operation: "online", loadModules: false });
    if (cluster === null) {
      writes.skip("the registration of a cluster", `the stack '${stack}' has its own`);
      const user = await userServices(writes, stack, {
        operation: "online",
        patienceMs: writes.dryRun ? 0 : (options.patienceMs ?? PATIENCE_MS),
      });
      return { stack, registered: null, heartbeat: null, user, writes: writes.done.slice(begun) };
    }
    const timeouts = options.timeouts ?? timeoutsOf(sysconfig);
    const registered = await registerCluster(writes.native, cluster, {
      writes,
      timeouts,
      hostname,
      isLoaded: false,
    });
    try {
      const heartbeat = await startHeartbeat(writes.native, cluster, {
        writes,
        rescanMs,
        isRegistered: false,
      });
      return { stack, registered, heartbeat, user: null, writes: writes.done.slice(begun) };
    } catch (error) {
      if (registered.created) await takeBack(writes, cluster.name, error);
      throw error;
    }
  });
}

async function takeBack(writes: KernelWrites, name: string, error: unknown): Promise<void> {
  if (writes.dryRun) return;
  try {
    await unregisterCluster(writes.native, name, { writes });
  } catch (rollbackError) {
    if (error instanceof O2cbError) error.rollbackError ??= rollbackError;
  }
}

/** The settings of the service as timeouts of the kernel. */
export function timeoutsOf(sysconfig: SysconfigValues): DesiredTimeouts {
  return {
    deadThreshold: sysconfig.heartbeatThreshold,
    idleMs: sysconfig.idleTimeoutMs,
    keepaliveMs: sysconfig.keepaliveDelayMs,
    reconnectMs: sysconfig.reconnectDelayMs,
    ...(sysconfig.fenceMethod !== null && { fenceMethod: sysconfig.fenceMethod }),
  };
}

/** Which cluster is meant. Errors: O2CB_CONFIGURATION_ERROR. */
export function wantedCluster(
  options: Pick<OnlineOptions, "clusters" | "name" | "sysconfig">,
): WantedCluster {
  const { clusters, sysconfig } = options;
  const refuse = (message: string, remedy: string): never => {
    throw new O2cbError("O2CB_CONFIGURATION_ERROR", message, { operation: "online", remedy });
  };
  const name = options.name ?? sysconfig.bootCluster;
  const [only, ...others] = clusters;
  if (only === undefined)
    return refuse("no cluster is configured", "make one: o2cb add-cluster NAME, o2cb add-node NAME HOST");
  if (name !== null)
    return (
      clusters.find((one) => one.name === name) ??
      refuse(
        `cluster '${name}' is not in the configuration, which has ${clusters.map((one) => `'${one.name}'`).join(", ")}`,
        "correct O2CB_BOOTCLUSTER, or name another cluster",
      )
    );
  if (others.length > 0)
    refuse("several clusters are configured and none is named", "name one, or set O2CB_BOOTCLUSTER");
  return only;
}

/** What is missing is told only where `isAdvice`, as on a dry run. */
export async function userServices(
  writes: KernelWrites,
  stack: string,
  { isAdvice = writes.dryRun, ...options }: Omit<RequireOptions, "signal"> & { isAdvice?: boolean },
): Promise<UserStackReady | null> {
  const { native, signal } = writes;
  try {
    const ready = await requireUserServices(native, stack, { ...options, signal });
    const missing = missingDaemon(stack, ready);
    if (missing !== null) writes.warn(missing.code, withRemedy(missing));
    return ready;
  } catch (error) {
    if (!isAdvice || !(error instanceof O2cbError) || error.code === "O2CB_ABORTED") throw error;
    writes.warn(error.code, withRemedy(error));
    return null;
  }
}

function withRemedy({ message, remedy }: O2cbError): string {
  return remedy === undefined ? message : `${message}: ${remedy}`;
}
