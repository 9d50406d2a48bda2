// `o2cb monitor`: each event of the monitor as a line, until a signal ends it.
//
// The published form of --json, on standard output: one JSON object for each event, the fields of MonitorEvent in
// ts/region/audit-types.ts; {"event": "ready", …} is the first. What was done and what could not be done is told without -v.
import type { Native } from "../native-types.ts";
import type { MonitorEvent } from "../region/audit-types.ts";
import type { OnStep } from "../steps.ts";
import { eventOptions } from "./event-options.ts";
import { oneFailure } from "./exit-status.ts";
import type { Job } from "./job.ts";
import type { CommandSyntax } from "./syntax.ts";
import { tidier } from "./tidy.ts";

export interface MonitorLibrary {
  watch(
    native: Native,
    options: { signal: AbortSignal; onStep: OnStep; reap: boolean; onRest: () => void },
  ): AsyncIterable<MonitorEvent>;
}

export const monitorSyntax: CommandSyntax = {
  name: "o2cb monitor",
  summary: "leave the group of volumes whose last mount ends in any way",
  details:
    "One for each host. It sees the end of every OCFS2 superblock of this host: after a lazy unmount, in another mount namespace, by a " +
    "program that unmounts by itself. It then drops the reference that the mount had, and stops the heartbeat with the last one. " +
    "It is woken by the kernel and does nothing at rest. SIGTERM ends it, with status 0.",
  operands: [],
  options: [
    {
      key: "noReap",
      short: null,
      long: "no-reap",
      kind: "flag",
      description: "leave what earlier crashes left behind as it is, and only watch",
    },
    ...eventOptions,
  ],
  examples: [["See what it does", "o2cb monitor -v"]],
};

/** Errors of `run`: those of the monitor, such as O2CB_ALREADY_RUNNING. */
export function monitorJob(load: () => Promise<MonitorLibrary> = () => import("../monitor/monitor.ts")): Job {
  return {
    syntax: monitorSyntax,
    statuses: () => oneFailure(1),
    hasPlainSteps: true,
    endsBySignal: () => true,
    async run(args, { native, signal, onStep, out, say }) {
      const { watch } = await load();
      const [isJson, isVerbose] = [args.flag("json"), args.count("verbose") > 0];
      const options = { signal, onStep, reap: !args.flag("noReap"), onRest: tidier(native) };
      for await (const event of watch(native, options)) {
        if (isJson) out(JSON.stringify(event));
        else if (isVerbose || alwaysTold.includes(event.event)) say(eventText(event));
      }
      return { data: null, details: [], notices: [] };
    },
  };
}

const alwaysTold: readonly MonitorEvent["event"][] = ["left", "kept", "failed"];

type Texts = { [Name in MonitorEvent["event"]]: (event: Extract<MonitorEvent, { event: Name }>) => string };

const texts: Texts = {
  ready: ({ regions, superblocks }) =>
    `watching ${plural(regions, "heartbeat region")} and ${plural(superblocks, "mounted volume")}`,
  region: ({ region }) => `region ${region} has appeared`,
  "region-gone": ({ region }) => `region ${region} is gone`,
  superblock: ({ region, disk, directory }) =>
    `the volume of region ${region}${disk === null ? "" : ` on ${disk}`} is mounted on '${directory}'`,
  "superblock-gone": ({ region, disk }) =>
    `the volume of region ${region}${disk === null ? "" : ` on ${disk}`} is mounted no more`,
  left: ({ region, references, stopped, reason }) =>
    `left region ${region}, ${stopped ? "and stopped its heartbeat" : `${plural(references, "reference")} remain`}: ${reason}`,
  kept: ({ region, verdict, reason }) => `region ${region} stays as it is, ${verdict}: ${reason}`,
  failed: ({ region, message }) => `${region === null ? "" : `region ${region}: `}${message}`,
};

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** An event of a later version is told by its name. */
function eventText(event: MonitorEvent): string {
  if (!Object.hasOwn(texts, event.event)) return event.event;
  return (texts[event.event] as (event: MonitorEvent) => string)(event);
}
