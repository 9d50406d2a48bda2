// The timeouts of a registered cluster: read, and set in an order that the kernel accepts at each step.
//
// Facts relied on: group-api 4.5, kernel-abi 1.3 (keepalive has to stay below idle at every step, neither changes while a peer is connected;
// fence_method wants a final newline; what each reads on a new cluster) and 1.5 (dead_threshold: what is 2 or less, and anything while a
// region exists, is ignored in silence; a new cluster has that of the last one); 8 and group-api 1.6 (older drivers have some of it below /proc, under another name, or not at all).
// A dead time is (threshold - 1) iterations of 2 s.
//
// Everything is read back. The minima that the C tools ask people for are not asked for here: they are the configuration's business.
import { readOptional } from "../attributes.ts";
import { isErrno, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import type { DesiredTimeouts, FenceMethod } from "./desired-state.ts";
import type { ClusterState } from "./registered.ts";
import type { KernelWrites } from "./writes.ts";

const ITERATION_S = 2;
const OLD_DRIVER = "/proc/fs/ocfs2_nodemanager";
/** Writing one of these where the kernel's rules forbid it fails; the others are checked by the kernel alone. */
const MAX_MS = 0xffff_fffe;
const MIN_THRESHOLD = 3;

export type TimeoutName = "deadThreshold" | "idleMs" | "keepaliveMs" | "reconnectMs" | "fenceMethod";

export interface ClusterTimeouts {
  /** in iterations; each is null where the driver does not have it */
  deadThreshold: number | null;
  deadSeconds: number | null;
  idleMs: number | null;
  keepaliveMs: number | null;
  reconnectMs: number | null;
  fenceMethod: FenceMethod | null;
}

export interface TimeoutsResult {
  changed: TimeoutName[];
  /** asked for, but this driver has no such setting */
  missing: TimeoutName[];
  /** asked for and not possible now, each with the reason; always empty unless `whatIsPossible` */
  refused: { name: TimeoutName; wanted: string; current: string; reason: string }[];
}

/** Where each setting is, the first that exists counts. */
function places(directory: string): Record<TimeoutName, readonly string[]> {
  const heartbeat = `${directory}/heartbeat`;
  return {
    deadThreshold: [
      `${heartbeat}/dead_threshold`,
      `${heartbeat}/threshold`,
      `${OLD_DRIVER}/hb_dead_threshold`,
    ],
    idleMs: [`${directory}/idle_timeout_ms`],
    keepaliveMs: [`${directory}/keepalive_delay_ms`],
    reconnectMs: [`${directory}/reconnect_delay_ms`],
    fenceMethod: [`${directory}/fence_method`, `${OLD_DRIVER}/fence_method`],
  };
}

const names = Object.keys(places("")) as TimeoutName[];

export function deadSeconds(threshold: number): number {
  return (threshold - 1) * ITERATION_S;
}

interface Setting {
  path: string;
  value: string;
}

/** Of a new cluster; the dead threshold is the module's, and nothing tells it while there is no cluster. */
const initial: Record<TimeoutName, string> = {
  deadThreshold: "",
  idleMs: "30000",
  keepaliveMs: "2000",
  reconnectMs: "2000",
  fenceMethod: "reset",
};

/** What is set now. `directory`: the cluster's. */
export async function readTimeouts(native: Native, directory: string): Promise<ClusterTimeouts> {
  const found = await readSettings(native, directory);
  const number = (name: TimeoutName): number | null => {
    const text = found.get(name)?.value ?? "";
    return /^\d{1,10}$/.test(text) ? Number(text) : null;
  };
  const threshold = number("deadThreshold");
  const fence = found.get("fenceMethod")?.value;
  return {
    deadThreshold: threshold,
    deadSeconds: threshold === null ? null : deadSeconds(threshold),
    idleMs: number("idleMs"),
    keepaliveMs: number("keepaliveMs"),
    reconnectMs: number("reconnectMs"),
    fenceMethod: fence === "reset" || fence === "panic" ? fence : null,
  };
}

async function readSettings(native: Native, directory: string): Promise<Map<TimeoutName, Setting>> {
  const found = new Map<TimeoutName, Setting>();
  const all = places(directory);
  await Promise.all(
    names.map(async (name) => {
      for (const path of all[name]) {
        const text = await readOptional(native, path);
        if (text === null) continue;
        found.set(name, { path, value: text.trim() });
        return;
      }
    }),
  );
  return found;
}

/** For a dry run: what a cluster that is not there yet would begin with. */
function assumeNew(found: Map<TimeoutName, Setting>, directory: string): void {
  for (const name of names) {
    const [path = ""] = places(directory)[name];
    found.set(name, { path, value: initial[name] });
  }
}

/** Values that could never be right. Errors: O2CB_CONFIGURATION_ERROR. */
export function checkTimeouts(wanted: DesiredTimeouts): void {
  const whole = (name: TimeoutName, value: number | undefined, min: number): void => {
    if (value === undefined || (Number.isInteger(value) && value >= min && value <= MAX_MS)) return;
    throw wrong(`${labels[name]} cannot be ${value}: expected is a whole number from ${min} to ${MAX_MS}`);
  };
  whole("deadThreshold", wanted.deadThreshold, MIN_THRESHOLD);
  whole("idleMs", wanted.idleMs, 1);
  whole("keepaliveMs", wanted.keepaliveMs, 1);
  whole("reconnectMs", wanted.reconnectMs, 1);
  const { fenceMethod, idleMs, keepaliveMs } = wanted;
  if (fenceMethod !== undefined && fenceMethod !== "reset" && fenceMethod !== "panic")
    throw wrong(`the fence method cannot be '${String(fenceMethod)}': expected is reset or panic`);
  if (idleMs !== undefined && keepaliveMs !== undefined) checkOrder(idleMs, keepaliveMs);
}

function checkOrder(idleMs: number, keepaliveMs: number): void {
  if (keepaliveMs >= idleMs)
    throw wrong(
      `the keepalive delay of ${keepaliveMs} ms has to be shorter than the idle timeout of ${idleMs} ms`,
    );
}

function wrong(message: string): O2cbError {
  return new O2cbError("O2CB_CONFIGURATION_ERROR", message, {
    operation: "set-timeouts",
    remedy: "correct the values, on all nodes alike",
  });
}

const labels: Record<TimeoutName, string> = {
  deadThreshold: "the dead threshold",
  idleMs: "the idle timeout",
  keepaliveMs: "the keepalive delay",
  reconnectMs: "the reconnect delay",
  fenceMethod: "the fence method",
};

export interface SetTimeoutsOptions {
  /** a setting that cannot be changed now is told in `refused`, not thrown */
  whatIsPossible?: boolean | undefined;
  /** the cluster was made by this command, or would be on a dry run */
  isNew?: boolean | undefined;
}

/**
 * Sets what differs; nothing that is not asked for. The dead threshold goes first: where regions exist it is refused before anything is
 * written.
 * Errors: O2CB_CONFIGURATION_ERROR (values that cannot be), O2CB_REGION_IN_USE (regions exist, or peers are connected),
 * O2CB_INTERNAL_FAILURE (the kernel ignored the write), what the kernel says.
 */
export async function setTimeouts(
  writes: KernelWrites,
  cluster: Pick<ClusterState, "directory" | "regions" | "connected">,
  wanted: DesiredTimeouts,
  { whatIsPossible = false, isNew = false }: SetTimeoutsOptions = {},
): Promise<TimeoutsResult> {
  checkTimeouts(wanted);
  const found = await readSettings(writes.native, cluster.directory);
  if (writes.dryRun && isNew && found.size === 0) assumeNew(found, cluster.directory);
  const result: TimeoutsResult = { changed: [], missing: [], refused: [] };
  for (const name of order(wanted, found)) {
    const value = String(wanted[name]);
    const setting = found.get(name);
    if (setting === undefined) {
      writes.skip(`${labels[name]} of ${value}`, "this driver has no such setting");
      result.missing.push(name);
      continue;
    }
    // A new cluster may have an earlier one's threshold: it is written in any case, so that what is done depends on nothing unseen.
    if (setting.value === value && !(isNew && name === "deadThreshold")) continue;
    try {
      await setOne(writes, cluster, name, setting.path, value);
      result.changed.push(name);
    } catch (error) {
      if (!whatIsPossible || !(error instanceof Refused))
        throw error instanceof Refused ? error.error : error;
      result.refused.push({ name, wanted: value, current: setting.value, reason: error.reason });
      writes.warn(error.error.code, error.error.message);
    }
  }
  return result;
}

/** The names that are asked for, so that keepalive stays below idle between any two writes. */
function order(wanted: DesiredTimeouts, found: ReadonlyMap<TimeoutName, Setting>): TimeoutName[] {
  const now = (name: TimeoutName): number => Number(found.get(name)?.value ?? Number.NaN);
  const idle = wanted.idleMs ?? now("idleMs");
  const keepalive = wanted.keepaliveMs ?? now("keepaliveMs");
  if (found.has("idleMs") && found.has("keepaliveMs")) checkOrder(idle, keepalive);
  const both: TimeoutName[] = idle > now("idleMs") ? ["idleMs", "keepaliveMs"] : ["keepaliveMs", "idleMs"];
  const all: TimeoutName[] = ["deadThreshold", ...both, "reconnectMs", "fenceMethod"];
  return all.filter((name) => wanted[name] !== undefined);
}

/** The kernel will not have it now; the error says so for those who asked for everything or nothing. */
class Refused extends Error {
  readonly reason: string;
  readonly error: O2cbError;

  constructor(reason: string, error: O2cbError) {
    super(reason);
    this.reason = reason;
    this.error = error;
  }
}

async function setOne(
  writes: KernelWrites,
  { regions, connected }: Pick<ClusterState, "regions" | "connected">,
  name: TimeoutName,
  path: string,
  value: string,
): Promise<void> {
  if (name === "deadThreshold" && regions.length > 0)
    throw refusal(name, value, path, "O2CB_REGION_IN_USE", regionsReason(regions));
  try {
    await writes.native.writeAttribute(path, `${value}\n`, { signal: writes.signal });
  } catch (error) {
    if (!isErrno(error, "EINVAL") || (name !== "idleMs" && name !== "keepaliveMs")) throw error;
    const peers = connected ?? [];
    const who = peers.length === 0 ? "peers are" : `node ${peers.join(", ")} is`;
    throw refusal(name, value, path, "O2CB_REGION_IN_USE", `${who} connected to this one`, error);
  }
  if (writes.dryRun) return;
  const now = (await readOptional(writes.native, path))?.trim();
  if (now === value) return;
  throw refusal(
    name,
    value,
    path,
    "O2CB_INTERNAL_FAILURE",
    `the kernel took the write and kept ${now ?? "nothing"}`,
  );
}

function regionsReason(regions: ClusterState["regions"]): string {
  const list = regions.map((region) => region.name).join(", ");
  return `the kernel ignores it while there are heartbeat regions (${list})`;
}

function refusal(
  name: TimeoutName,
  value: string,
  path: string,
  code: "O2CB_REGION_IN_USE" | "O2CB_INTERNAL_FAILURE",
  reason: string,
  cause?: unknown,
): Refused {
  return new Refused(
    reason,
    new O2cbError(code, `${labels[name]} could not be set to ${value}: ${reason}`, {
      operation: "set-timeouts",
      path,
      errno: (cause as O2cbError | undefined)?.errno,
      remedy: "take the cluster offline on this node, then online again",
      cause,
    }),
  );
}
