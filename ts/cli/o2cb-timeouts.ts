// Timeouts as several sub-commands of o2cb take them and show them.
//
// Facts relied on: the dead time is counted in iterations of 2 s plus one (group-api 4.5). The limits are the library's.
import type { DesiredTimeouts, FenceMethod } from "../cluster/desired-state.ts";
import type { ClusterTimeouts } from "../cluster/timeouts.ts";
import { quoted } from "../words.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { value } from "./o2cb-syntax.ts";
import type { OptionSyntax } from "./syntax.ts";

const ITERATION_S = 2;
const MAX = 4_294_967_294;

export const timeoutOptions: readonly OptionSyntax[] = [
  value("threshold", "threshold", "the dead time as the kernel counts it: iterations of 2 s, plus one"),
  value("deadSeconds", "dead-seconds", "the dead time in seconds, rounded up to an iteration"),
  value("idleMs", "idle-ms", "how long the network may be silent before a node counts as gone"),
  value("keepaliveMs", "keepalive-ms", "after how much silence a node asks; less than --idle-ms"),
  value("reconnectMs", "reconnect-ms", "how long to wait before connecting again"),
];

export const fenceOption = value(
  "fenceMethod",
  "fence-method",
  "what becomes of a host that loses its disks: reset or panic",
);

/** @throws UsageError */
export function fenceMethodOf(args: Arguments): FenceMethod | null {
  const text = args.value("fenceMethod");
  if (text === null || text === "reset" || text === "panic") return text;
  throw new UsageError(`--fence-method is for 'reset' or 'panic', not for ${quoted(text)}`);
}

/** @throws UsageError */
export function timeoutsOf(args: Arguments): DesiredTimeouts {
  const found: DesiredTimeouts = {};
  const threshold = wholeNumber(args, "threshold", "threshold");
  const seconds = wholeNumber(args, "deadSeconds", "dead-seconds");
  if (threshold !== null && seconds !== null)
    throw new UsageError("--threshold and --dead-seconds exclude each other");
  if (threshold !== null) found.deadThreshold = threshold;
  if (seconds !== null) found.deadThreshold = Math.ceil(seconds / ITERATION_S) + 1;
  for (const [key, long] of [
    ["idleMs", "idle-ms"],
    ["keepaliveMs", "keepalive-ms"],
    ["reconnectMs", "reconnect-ms"],
  ] as const) {
    const number = wholeNumber(args, key, long);
    if (number !== null) found[key] = number;
  }
  return found;
}

function wholeNumber(args: Arguments, key: string, long: string): number | null {
  const text = args.value(key);
  if (text === null) return null;
  if (/^\d{1,10}$/.test(text) && Number(text) <= MAX) return Number(text);
  throw new UsageError(`--${long} is ${quoted(text)}, and has to be a whole number`);
}

/** As the kernel has them, in its own units or in seconds. */
export function timeoutLines(timeouts: ClusterTimeouts, inSeconds: boolean): string[] {
  const { deadThreshold, deadSeconds, idleMs, keepaliveMs, reconnectMs, fenceMethod } = timeouts;
  const time = (name: string, milliseconds: number | null): string => {
    if (milliseconds === null) return `${name}: not known to this driver`;
    return `${name}: ${inSeconds ? `${milliseconds / 1000} s` : `${milliseconds} ms`}`;
  };
  const dead = inSeconds ? `${deadSeconds} s` : `${deadThreshold} (${deadSeconds} s)`;
  return [
    `dead threshold: ${deadThreshold === null ? "not known to this driver" : dead}`,
    time("idle timeout", idleMs),
    time("keepalive delay", keepaliveMs),
    time("reconnect delay", reconnectMs),
    `fence method: ${fenceMethod ?? "not known to this driver"}`,
  ];
}
