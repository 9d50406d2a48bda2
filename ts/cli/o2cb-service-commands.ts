// The sub-commands of o2cb that the init script has: load, online, start and their opposites, and drain.
//
// Facts relied on (commands 4.1, 4.2): what each is made of; `unload` takes the cluster offline first; O2CB_BOOTCLUSTER is meant where no
// cluster is named; O2CB_ENABLED counts for `start` alone, which is a success where it is false. Where the script fails and exits 0
// this exits 1.
import type { OfflineResult, OnlineOptions, OnlineResult, StartResult } from "../cluster/service.ts";
import type { KernelWrite } from "../cluster/writes.ts";
import type { Arguments } from "./argv.ts";
import type { JobContext, JobResult } from "./job.ts";
import { configuration, settings } from "./o2cb-configuration.ts";
import { anyCluster, dryRun, flag, subcommand, type Parts, type Subcommand } from "./o2cb-syntax.ts";
import { written } from "./o2cb-writes.ts";
import type { OptionSyntax } from "./syntax.ts";

interface ActionParts extends Pick<Parts, "summary" | "details" | "examples"> {
  options?: readonly OptionSyntax[];
  perform(args: Arguments, context: JobContext): Promise<Done>;
}

/** What was written, and what is said of it. */
interface Done {
  writes: readonly KernelWrite[];
  /** with -v */
  details: string[];
  /** always */
  notices?: string[];
}

const service = () => import("../cluster/service.ts");
const kill = flag("kill", "kill", "end the programs that use dlmfs (SIGKILL)");

/** Errors of `run`: those of ts/cluster/service.ts and of reading the configuration. */
export function serviceCommands(): readonly Subcommand[] {
  const action = (word: string, { perform, options = [], ...parts }: ActionParts): Subcommand =>
    subcommand(word, {
      ...parts,
      operands: [anyCluster],
      options: [...options, dryRun],
      async run(args, context): Promise<JobResult> {
        const { writes, details, notices = [] } = await perform(args, context);
        return { ...written(args.flag("dryRun"), writes, details), notices };
      },
    });

  return [
    action("load", {
      summary: "load the cluster stack's modules and mount what they need",
      details:
        "What is there already is left as it is. With a user stack (O2CB_STACK=pcmk, cman) the stack becomes this node's too, and a service of it that " +
        "does not run is told.",
      perform: async (args, context) => {
        const { load } = await service();
        const { values } = await settings(context);
        const { writes } = await load(context.native, { ...common(args, context), sysconfig: values });
        return { writes, details: [`the stack '${values.stack}' is loaded`] };
      },
    }),
    action("unload", {
      summary: "take the cluster offline, and the cluster stack out of the kernel",
      details:
        "hb_ctl_path is put back to what it was before the stack was loaded, so that other tools find their program.",
      options: [kill],
      perform: stop,
    }),
    action("online", {
      summary: "bring a cluster online: load, register, set the timeouts, start global heartbeat",
      details:
        "The cluster is the one named, else that of the settings, else the only one. One that is online is made as it is configured. A user stack has " +
        "nothing to register: its services, which others start, have to run.",
      perform: async (args, context) => {
        const { online } = await service();
        const result = await online(context.native, await onlineOptions(args, context));
        return { writes: result.writes, ...onlineSaid(result) };
      },
    }),
    action("offline", {
      summary: "take a cluster offline: stop global heartbeat, unregister",
      details:
        "It refuses, and names them, while mounts, programs or DLM domains use the cluster; what is provably left over is cleared. " +
        "Nothing is ended unless --kill says so, and no volume is unmounted: that is o2cb drain.",
      options: [kill],
      perform: async (args, context) => {
        const { offline } = await service();
        const result = await offline(context.native, offlineOptions(args, context));
        return { writes: result.writes, details: offlineLines(result) };
      },
    }),
    action("drain", {
      summary: "unmount all volumes of the cluster, in every mount namespace, and take it offline",
      details: "Nothing is forced: a volume that is in use is named, and the cluster stays online.",
      options: [kill],
      examples: [["Before maintenance", "o2cb drain -v"]],
      perform: async (args, context) => {
        const { drain } = await service();
        const { writes, unmounted, offline } = await drain(context.native, offlineOptions(args, context));
        const details = unmounted.map(
          ({ directory, namespace }) =>
            `'${directory}'${namespace === null ? "" : ` (in ${namespace})`} is unmounted`,
        );
        return { writes, details: [...details, ...offlineLines(offline)] };
      },
    }),
    action("start", {
      summary: "bring the cluster online where the settings enable it",
      perform: async (args, context) => {
        const { start } = await service();
        const result = await start(context.native, await onlineOptions(args, context));
        return { writes: result.writes, ...(await startSaid(result, context)) };
      },
    }),
    action("stop", { summary: "the same as unload", options: [kill], perform: stop }),
    action("restart", {
      summary: "stop, then start",
      options: [kill],
      perform: async (args, context) => {
        const { restart } = await service();
        const options = { ...(await onlineOptions(args, context)), kill: args.flag("kill") };
        const result = await restart(context.native, options);
        const { details, notices } = await startSaid(result.start, context);
        return {
          writes: result.writes,
          details: [...offlineLines(result.stop.offline), ...details],
          notices,
        };
      },
    }),
  ];
}

async function stop(args: Arguments, context: JobContext): Promise<Done> {
  const service_ = await service();
  const result = await service_.stop(context.native, offlineOptions(args, context));
  const { unloaded, kept } = result.unload;
  const details = [
    ...(unloaded.length > 0 ? [`unloaded ${unloaded.join(", ")}`] : []),
    ...(kept.length > 0 ? [`in use, or part of the kernel, and left in place: ${kept.join(", ")}`] : []),
  ];
  return { writes: result.writes, details: [...offlineLines(result.offline), ...details] };
}

function common(args: Arguments, { signal, onStep }: JobContext) {
  return { dryRun: args.flag("dryRun"), signal, onStep };
}

function nameOf(args: Arguments): string | null {
  return args.operand("cluster") || null;
}

function offlineOptions(args: Arguments, context: JobContext) {
  return { ...common(args, context), name: nameOf(args), kill: args.flag("kill") };
}

async function onlineOptions(args: Arguments, context: JobContext): Promise<OnlineOptions> {
  const [{ values }, { clusters }] = await Promise.all([settings(context), configuration(args, context)]);
  return { ...common(args, context), sysconfig: values, clusters, name: nameOf(args) };
}

/** Timeouts that the kernel does not take now are no failure of a start, and nothing to be silent about. */
function onlineSaid({ stack, registered, heartbeat, user }: OnlineResult): Pick<Done, "details" | "notices"> {
  if (registered === null) return userSaid(stack, user);
  const { cluster, node, timeouts } = registered;
  const refused = timeouts.refused.map(
    ({ name, wanted, current, reason }) =>
      `${name} stays ${current} and does not become ${wanted}: ${reason}`,
  );
  const kept = heartbeat?.kept ?? [];
  return {
    details: [`cluster '${cluster}' is online, this host is node ${node.number} '${node.name}'`],
    notices: [
      ...refused,
      ...kept.map(
        ({ region, reason }) => `region ${region} is not in the configuration and stays: ${reason}`,
      ),
    ],
  };
}

function userSaid(stack: string, user: OnlineResult["user"]): Pick<Done, "details" | "notices"> {
  if (user === null) return { details: [`the stack '${stack}' is loaded`] };
  const { cluster, transport, isQuorate } = user;
  const how = transport === "kernel" ? "inside mount(2)" : "through ocfs2_controld";
  const wait = "this node's side of the cluster has no quorum: mounts wait inside the kernel until it has";
  return {
    details: [`cluster '${cluster}' of '${stack}' is online, its volumes are joined ${how}`],
    notices: isQuorate === false ? [wait] : [],
  };
}

async function startSaid(
  { isEnabled, online }: StartResult,
  context: JobContext,
): Promise<{ details: string[]; notices: string[] }> {
  if (online !== null) return { notices: [], ...onlineSaid(online) };
  const { path } = await settings(context);
  const notices = isEnabled ? [] : [`nothing is started: O2CB_ENABLED is not true in '${path}'`];
  return { details: [], notices };
}

function offlineLines(result: OfflineResult): string[] {
  const { cluster, stack, reaped, killed, stopped, unregistered } = result;
  const isUser = stack !== null && cluster === null;
  return [
    ...(stack === null ? [] : [`the stack '${stack}' is no longer this node's`]),
    ...reaped.map((region) => `region ${region} was left over, and is cleared`),
    ...killed.map(({ pid, name }) => `ended process ${pid} '${name}'`),
    ...stopped.map((region) => `region ${region} is stopped`),
    ...(isUser
      ? []
      : [cluster === null || !unregistered ? "no cluster was online" : `cluster '${cluster}' is offline`]),
  ];
}
