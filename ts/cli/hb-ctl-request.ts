// What a command line of ocfs2_hb_ctl asks for, one shape for each action. What does not fit the action is refused: the C tool
// passes over it, and then does something else than was meant.
import { O2cbError } from "../errors.ts";
import { regionName } from "../volume.ts";
import { quoted } from "../words.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { hbCtlSyntax } from "./hb-ctl-syntax.ts";

/** One volume: the one of both that is not null. */
export interface OneVolume {
  device: string | null;
  /** as a region is named */
  uuid: string | null;
}

/** Any number of volumes; none: all. */
export interface Volumes {
  devices: string[];
  uuids: string[];
}

export interface InfoRequest extends Volumes {
  action: "info";
  services: string[];
  quiet: boolean;
  wait: "gone" | "active" | null;
  timeoutMs: number | null;
  watch: boolean;
}

export type HbCtlRequest =
  | ({ action: "start"; service: string | null } & OneVolume)
  | ({ action: "stop"; service: string | null; force: boolean } & OneVolume)
  | ({ action: "priority"; level: number } & OneVolume)
  | InfoRequest
  | ({ action: "audit" } & Volumes)
  | ({ action: "reap"; dryRun: boolean; force: boolean } & Volumes);

export type Action = HbCtlRequest["action"];

/** As people write an action. */
const names: Record<Action, string> = {
  start: "-S",
  stop: "-K",
  priority: "-P",
  info: "-I",
  audit: "--audit",
  reap: "--reap",
};

/** Options that only some actions have. */
const only: Record<string, readonly Action[]> = {
  level: ["priority"],
  quiet: ["info"],
  wait: ["info"],
  timeout: ["info"],
  watch: ["info"],
  dryRun: ["reap"],
  force: ["stop", "reap"],
};

/** @throws UsageError */
export function hbCtlRequest(args: Arguments): HbCtlRequest {
  const action = (Object.keys(names) as Action[]).find((key) => args.flag(key));
  if (action === undefined) throw new UsageError("an action is missing: -S, -K, -I, -P, --audit or --reap");
  for (const [key, actions] of Object.entries(only)) {
    if (!args.flag(key) || actions.includes(action)) continue;
    const option = hbCtlSyntax.options.find((one) => one.key === key);
    throw new UsageError(`option --${option?.long} does not go with ${names[action]}`);
  }
  const services = args.operands("services");
  switch (action) {
    case "start":
      return { action, ...oneVolume(args, action), service: oneService(services) };
    case "stop":
      return { action, ...oneVolume(args, action), service: oneService(services), force: args.flag("force") };
    case "info":
      return infoRequest(args, services);
    default:
  }
  if (services[0] !== undefined)
    throw new UsageError(`${names[action]} takes no service, and ${quoted(services[0])} is one`);
  if (action === "priority") return { action, ...oneVolume(args, action), level: levelOf(args) };
  if (action === "audit") return { action, ...volumes(args) };
  return { action, ...volumes(args), dryRun: args.flag("dryRun"), force: args.flag("force") };
}

function infoRequest(args: Arguments, services: string[]): InfoRequest {
  const request: InfoRequest = {
    action: "info",
    ...volumes(args),
    services,
    quiet: args.flag("quiet"),
    wait: waitOf(args.value("wait")),
    timeoutMs: secondsOf(args.value("timeout")),
    watch: args.flag("watch"),
  };
  const { wait, watch, quiet } = request;
  const refuse = (one: string, other: string): never => {
    throw new UsageError(`${one} and ${other} exclude each other`);
  };
  if (quiet && args.flag("json")) refuse("--quiet", "--json");
  if (watch && quiet) refuse("--watch", "--quiet");
  if (watch && wait !== null) refuse("--watch", "--wait");
  if (services.length > 0 && watch) refuse("--watch", "a service");
  if (services.length > 0 && wait !== null) refuse("--wait", "a service");
  if (request.timeoutMs !== null && wait === null) throw new UsageError("--timeout needs --wait");
  if (wait === "active" && request.devices.length + request.uuids.length === 0)
    throw new UsageError("--wait=active needs to know for what: name a volume with -d or -u");
  return request;
}

function volumes(args: Arguments): Volumes {
  const devices = args.values("devices");
  if (devices.includes("")) throw new UsageError("the device is empty");
  return { devices, uuids: args.values("uuids").map(asRegion) };
}

function oneVolume(args: Arguments, action: Action): OneVolume {
  const { devices, uuids } = volumes(args);
  if (devices.length + uuids.length !== 1) {
    const said = devices.length + uuids.length === 0 ? "none was given" : "several were given";
    throw new UsageError(`${names[action]} needs one device (-d) or one UUID (-u), and ${said}`);
  }
  return { device: devices[0] ?? null, uuid: uuids[0] ?? null };
}

function asRegion(uuid: string): string {
  try {
    return regionName(uuid);
  } catch (error) {
    if (!(error instanceof O2cbError)) throw error;
    throw new UsageError(
      `${quoted(uuid)} is not a UUID: 32 hexadecimal digits are expected, with or without dashes`,
    );
  }
}

function oneService(services: readonly string[]): string | null {
  if (services[1] !== undefined) throw new UsageError(`${quoted(services[1])} is one argument too many`);
  return services[0] ?? null;
}

function levelOf(args: Arguments): number {
  const text = args.value("level") ?? "0";
  if (!/^[0-7]$/.test(text))
    throw new UsageError(`the priority is ${quoted(text)}, and has to be a number from 0 to 7`);
  return Number(text);
}

function waitOf(text: string | null): "gone" | "active" | null {
  if (text === null || text === "gone" || text === "active") return text;
  throw new UsageError(`--wait is for 'gone' or 'active', not for ${quoted(text)}`);
}

function secondsOf(text: string | null): number | null {
  if (text === null) return null;
  // As many as a timer can count: 24 days.
  if (!/^\d{1,7}(\.\d{1,3})?$/.test(text) || Number(text) > 2_000_000)
    throw new UsageError(`--timeout is a number of seconds, not ${quoted(text)}`);
  return Number(text) * 1000;
}
