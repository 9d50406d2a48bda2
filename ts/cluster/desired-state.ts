// The state that a person or a program wants a cluster to have, as JSON: its form, and exact words for what is wrong with it.
//
// Facts relied on: the limits of the kernel (group-api 4.5, 5.3, Appendix D; config/names.ts). What is not said is not managed: it stays as
// it is. docs/schemas/desired-state.json is the same form for other programs; a test holds the two together.
//
// Beyond the form only what contradicts itself is refused here: two nodes with one number, a keepalive that is no shorter than the idle time.
import {
  addressProblem,
  clusterNameProblem,
  MAX_NODES,
  MAX_REGIONS,
  nodeNameProblem,
  numberProblem,
  portProblem,
} from "../config/names.ts";
import { O2cbError } from "../errors.ts";
import type { HeartbeatMode } from "../steps.ts";
import { CLASSIC_STACK, regionName } from "../volume.ts";

export const fenceMethods = ["reset", "panic"] as const;
export type FenceMethod = (typeof fenceMethods)[number];

export const leaves = ["umount", "kernel"] as const;
/** Who leaves at the end of a mount: umount.ocfs2 and the monitor, or the program that the kernel runs. */
export type Leave = (typeof leaves)[number];

export interface DesiredNode {
  name: string;
  number: number;
  address: string;
  port: number;
}

export interface DesiredTimeouts {
  /** in iterations of 2 s; deadSeconds of the JSON are turned into it */
  deadThreshold?: number;
  idleMs?: number;
  keepaliveMs?: number;
  reconnectMs?: number;
  fenceMethod?: FenceMethod;
}

export interface DesiredState {
  cluster: {
    name: string;
    mode: HeartbeatMode;
    nodes: DesiredNode[];
    /** 32 upper-case hexadecimal digits each */
    heartbeats?: string[];
  };
  timeouts?: DesiredTimeouts;
  stack?: typeof CLASSIC_STACK;
  /** whether the cluster is started with the host */
  enabled?: boolean;
  leave?: Leave;
  /** brought online on this host where it is not; left out, one that is offline stays so */
  online?: true;
}

const INTERVAL_S = 2;
/** The kernel takes more than 2, and says nothing of others (kernel-abi 1.5); the C tools' questions ask for 7. */
const MIN_THRESHOLD = 7;
const MAX_THRESHOLD = 0x7fff_ffff;
const MAX_MS = 0xffff_fffe;

/**
 * Reads a desired state from parsed JSON.
 * Errors: O2CB_CONFIGURATION_ERROR with the place in the JSON and what is expected there.
 */
export function desiredState(json: unknown): DesiredState {
  const root = fields(json, "", ["cluster"], ["timeouts", "stack", "enabled", "leave", "online"]);
  const state: DesiredState = { cluster: readCluster(root["cluster"]) };
  if (root["timeouts"] !== undefined) state.timeouts = readTimeouts(root["timeouts"]);
  if (root["stack"] !== undefined) state.stack = oneOf(root["stack"], "/stack", [CLASSIC_STACK] as const);
  if (root["enabled"] !== undefined) state.enabled = truth(root["enabled"], "/enabled");
  if (root["leave"] !== undefined) state.leave = oneOf(root["leave"], "/leave", leaves);
  if (root["online"] !== undefined) {
    if (root["online"] !== true)
      throw refusal(
        "/online",
        root["online"],
        "expected is true, or nothing: o2cb drain takes a host offline",
      );
    state.online = true;
  }
  return state;
}

/** Errors: O2CB_CONFIGURATION_ERROR, also for a text that is no JSON. */
export function parseDesiredState(content: string, source: string): DesiredState {
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch (error) {
    throw new O2cbError("O2CB_CONFIGURATION_ERROR", `'${source}' is not JSON: ${(error as Error).message}`, {
      operation: "read-desired-state",
      path: source,
      remedy: "correct it, or begin anew from docs/schemas/desired-state.json",
      cause: error,
    });
  }
  return desiredState(json);
}

function readCluster(json: unknown): DesiredState["cluster"] {
  const at = "/cluster";
  const given = fields(json, at, ["name", "mode", "nodes"], ["heartbeats"]);
  const name = text(given["name"], `${at}/name`, clusterNameProblem);
  const mode = oneOf(given["mode"], `${at}/mode`, ["local", "global"] as const);
  const nodes = list(given["nodes"], `${at}/nodes`, MAX_NODES).map(readNode);
  if (nodes.length === 0) throw refusal(`${at}/nodes`, [], "expected is one node at least");
  for (const key of ["name", "number", "address"] as const) unique(nodes, key, `${at}/nodes`);
  if (given["heartbeats"] === undefined) return { name, mode, nodes };
  const heartbeats = list(given["heartbeats"], `${at}/heartbeats`, MAX_REGIONS).map((one, index) =>
    readRegion(one, `${at}/heartbeats/${index}`),
  );
  heartbeats.forEach((region, index) => {
    const first = heartbeats.indexOf(region);
    if (first !== index)
      throw refusal(
        `${at}/heartbeats/${index}`,
        region,
        `${at}/heartbeats/${first} is the same; expected is each once`,
      );
  });
  if (mode === "global" && heartbeats.length === 0)
    throw refusal(`${at}/heartbeats`, [], "global heartbeat needs one region at least");
  return { name, mode, nodes, heartbeats };
}

function readNode(json: unknown, index: number): DesiredNode {
  const at = `/cluster/nodes/${index}`;
  const given = fields(json, at, ["name", "number", "address", "port"], []);
  return {
    name: text(given["name"], `${at}/name`, nodeNameProblem),
    number: checked(given["number"], `${at}/number`, numberProblem),
    address: text(given["address"], `${at}/address`, addressProblem),
    port: checked(given["port"], `${at}/port`, portProblem),
  };
}

function readRegion(json: unknown, at: string): string {
  const given = text(json, at, () => null);
  try {
    return regionName(given);
  } catch {
    throw refusal(at, given, "expected is a volume's UUID: 32 hexadecimal digits, with or without dashes");
  }
}

function readTimeouts(json: unknown): DesiredTimeouts {
  const at = "/timeouts";
  const keys = ["deadThreshold", "deadSeconds", "idleMs", "keepaliveMs", "reconnectMs", "fenceMethod"];
  const given = fields(json, at, [], keys);
  const found: DesiredTimeouts = {};
  const whole = (key: string, min: number, max: number): number | undefined =>
    given[key] === undefined
      ? undefined
      : checked(given[key], `${at}/${key}`, (value) =>
          Number.isInteger(value) && value >= min && value <= max
            ? null
            : `expected is a whole number from ${min} to ${max}`,
        );
  const set = <K extends keyof DesiredTimeouts>(key: K, value: DesiredTimeouts[K] | undefined): void => {
    if (value !== undefined) found[key] = value;
  };
  const seconds = whole("deadSeconds", (MIN_THRESHOLD - 1) * INTERVAL_S, (MAX_THRESHOLD - 1) * INTERVAL_S);
  const threshold = whole("deadThreshold", MIN_THRESHOLD, MAX_THRESHOLD);
  if (seconds !== undefined && threshold !== undefined)
    throw refusal(`${at}/deadSeconds`, seconds, "expected is deadThreshold or deadSeconds, not both");
  set("deadThreshold", threshold ?? (seconds === undefined ? undefined : thresholdOf(seconds)));
  set("idleMs", whole("idleMs", 2, MAX_MS));
  set("keepaliveMs", whole("keepaliveMs", 1, MAX_MS));
  set("reconnectMs", whole("reconnectMs", 1, MAX_MS));
  if (given["fenceMethod"] !== undefined)
    set("fenceMethod", oneOf(given["fenceMethod"], `${at}/fenceMethod`, fenceMethods));
  const { idleMs, keepaliveMs } = found;
  if (idleMs !== undefined && keepaliveMs !== undefined && keepaliveMs >= idleMs)
    throw refusal(`${at}/keepaliveMs`, keepaliveMs, `expected is less than idleMs, which is ${idleMs}`);
  return found;
}

/** The dead time of (n - 1) iterations that lasts at least this long (group-api 4.5). */
export function thresholdOf(seconds: number): number {
  return Math.ceil(seconds / INTERVAL_S) + 1;
}

// -- the form of JSON

function refusal(at: string, value: unknown, expected: string): O2cbError {
  const place = at === "" ? "the desired state" : `'${at}' of the desired state`;
  const found = value === undefined ? "missing" : short(value);
  return new O2cbError("O2CB_CONFIGURATION_ERROR", `${place} is ${found}; ${expected}`, {
    operation: "read-desired-state",
    path: at,
    remedy: "correct it: docs/schemas/desired-state.json describes the form",
  });
}

function short(value: unknown): string {
  const said = JSON.stringify(value) ?? String(value);
  return said.length > 60 ? `${said.slice(0, 57)}...` : said;
}

function fields(
  json: unknown,
  at: string,
  required: readonly string[],
  optional: readonly string[],
): Record<string, unknown> {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw refusal(at, json, "expected is an object");
  const given = json as Record<string, unknown>;
  const known = [...required, ...optional];
  for (const key of Object.keys(given))
    if (!known.includes(key))
      throw refusal(
        `${at}/${key}`,
        given[key],
        `no such field is known here; expected are ${known.join(", ")}`,
      );
  for (const key of required)
    if (given[key] === undefined) throw refusal(`${at}/${key}`, undefined, "it has to be given");
  return given;
}

function list(json: unknown, at: string, max: number): unknown[] {
  if (!Array.isArray(json)) throw refusal(at, json, "expected is an array");
  if (json.length > max)
    throw refusal(at, json, `expected are ${max} entries at most, these are ${json.length}`);
  return json;
}

function text(json: unknown, at: string, problem: (value: string) => string | null): string {
  if (typeof json !== "string") throw refusal(at, json, "expected is a text");
  const wrong = problem(json);
  if (wrong !== null) throw refusal(at, json, wrong);
  return json;
}

function checked(json: unknown, at: string, problem: (value: number) => string | null): number {
  if (typeof json !== "number") throw refusal(at, json, "expected is a number");
  const wrong = problem(json);
  if (wrong !== null) throw refusal(at, json, wrong);
  return json;
}

function truth(json: unknown, at: string): boolean {
  if (typeof json !== "boolean") throw refusal(at, json, "expected is true or false");
  return json;
}

function oneOf<T extends string>(json: unknown, at: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === json);
  if (found !== undefined) return found;
  const words = allowed.map((one) => `"${one}"`).join(" or ");
  throw refusal(at, json, `expected is ${words}`);
}

function unique(nodes: readonly DesiredNode[], key: "name" | "number" | "address", at: string): void {
  nodes.forEach((node, index) => {
    const first = nodes.findIndex((one) => one[key] === node[key]);
    if (first !== index)
      throw refusal(
        `${at}/${index}/${key}`,
        node[key],
        `${at}/${first} has the same; expected is one of its own`,
      );
  });
}
