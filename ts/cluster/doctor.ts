// One look at everything that users report as a cause: each check says good, warning or failure, the evidence, and the remedy.
//
// Facts relied on: those of the files in checks/, one subject each. Strictly read-only: nothing is loaded, mounted, written or claimed, and
// no program is run. A check that fails to look is a warning that says so; only giving up (the signal) ends the whole. With
// `peersReachable` a connection to each peer's port is made and closed, which the peer's kernel notes in its log.
import { setMaxListeners } from "node:events";
import { O2cbError, type ErrorCode } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { pause } from "../pause.ts";
import { configurationChecks } from "./checks/configuration.ts";
import { deviceTimeoutChecks } from "./checks/device-timeouts.ts";
import { warning, type Check, type CheckContext, type Finding } from "./checks/finding.ts";
import { isUserHost } from "./checks/host-stack.ts";
import { fstabChecks } from "./checks/fstab.ts";
import { hostChecks } from "./checks/host.ts";
import { interfaceChecks } from "./checks/interfaces.ts";
import { moduleChecks } from "./checks/modules.ts";
import { regionChecks } from "./checks/regions.ts";
import { timeoutChecks } from "./checks/timeouts.ts";
import { userStackChecks } from "./checks/user-stack.ts";
import { volumeChecks } from "./checks/volume.ts";

export type { Finding, FindingState } from "./checks/finding.ts";

export interface DoctorOptions {
  /** devices to look at as well */
  device?: readonly string[] | undefined;
  /** try the port of each peer; default false */
  peersReachable?: boolean | undefined;
  /** default /etc/ocfs2/cluster.conf */
  configPath?: string | undefined;
  signal?: AbortSignal | undefined;
  /** how it waits between two looks at a heartbeat area; a test has no time to */
  pause?: ((milliseconds: number) => Promise<void>) | undefined;
}

const CHECKS: readonly Check[] = [
  ...moduleChecks,
  ...interfaceChecks,
  ...userStackChecks,
  ...configurationChecks,
  ...timeoutChecks,
  ...hostChecks,
  ...fstabChecks,
  ...regionChecks,
  ...volumeChecks,
  ...deviceTimeoutChecks,
];
/** About o2cb's own cluster and its heartbeat: nothing to a host of another stack. */
const CLASSIC: ReadonlySet<Check> = new Set([
  ...configurationChecks,
  ...timeoutChecks,
  ...deviceTimeoutChecks,
]);
const CLASSIC_IDS: ReadonlySet<string> = new Set([
  "interface-revision",
  "heartbeat-negotiation",
  "write-mounted",
]);

/** Errors: O2CB_ABORTED; nothing else. */
export async function doctor(native: Native, options: DoctorOptions = {}): Promise<Finding[]> {
  // Many looks at a time listen to it; Node warns of more than ten as if they were a leak.
  const signal = options.signal === undefined ? undefined : AbortSignal.any([options.signal]);
  if (signal !== undefined) setMaxListeners(0, signal);
  const context: CheckContext = {
    native,
    devices: options.device ?? [],
    peersReachable: options.peersReachable ?? false,
    configPath: options.configPath ?? "/etc/ocfs2/cluster.conf",
    signal,
    pause: options.pause ?? ((milliseconds) => pause(milliseconds, signal)),
  };
  throwIfAborted(signal);
  const isUser = await isUserHost(native, signal);
  const checks = CHECKS.filter((check) => !(isUser && (CLASSIC.has(check) || CLASSIC_IDS.has(check.id))));
  const findings = await Promise.all(checks.map((check) => carefully(check, context)));
  throwIfAborted(signal);
  return findings.flat();
}

async function carefully(check: Check, context: CheckContext): Promise<readonly Finding[]> {
  try {
    return await check.look(context);
  } catch (error) {
    const { message, remedy } = error as { message?: string; remedy?: string };
    return [warning(check.id, `it could not be looked at: ${message ?? String(error)}`, remedy ?? null)];
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  const code: ErrorCode = "O2CB_ABORTED";
  if (signal?.aborted)
    throw new O2cbError(code, "the look at this host was given up", {
      operation: "doctor",
      cause: signal.reason,
    });
}
