// `o2cb configure`: the service's settings shown, or written without questions; and `o2cb apply`: a whole desired state.
//
// Facts relied on: the variables and their file (commands 4.1), whose other content stays. Nothing that runs is changed by configure.
//
// The published forms of --json are docs/schemas/o2cb-config.json, o2cb-writes.json and o2cb-plan.json.
import type { Plan, PlanStep, Value } from "../cluster/plan-types.ts";
import type { Sysconfig, Variable } from "../config/sysconfig.ts";
import { O2cbError } from "../errors.ts";
import { quoted } from "../words.ts";
import { UsageError, type Arguments } from "./argv.ts";
import type { JobContext, JobResult } from "./job.ts";
import { answer, configPath, dryRun, flag, subcommand, value, type Subcommand } from "./o2cb-syntax.ts";
import { fenceMethodOf, fenceOption, timeoutOptions, timeoutsOf } from "./o2cb-timeouts.ts";
import { writeLine, written } from "./o2cb-writes.ts";

export function configureCommands(): readonly Subcommand[] {
  return [
    subcommand("configure", {
      summary: "show the settings of the o2cb service, or set them",
      details:
        "They are in /etc/sysconfig/o2cb or /etc/default/o2cb, and count from the next start on: nothing that runs is changed. " +
        "Without an option to set it shows them.",
      options: [
        value("cluster", "cluster", "the cluster to bring online"),
        value("stack", "stack", "the cluster stack, o2cb where nothing is set"),
        { ...flag("enable", "enable", "start the cluster with the host"), group: "enabled" },
        { ...flag("disable", "disable", "do not"), group: "enabled" },
        ...timeoutOptions,
        fenceOption,
        value("leave", "leave", "who leaves a volume's group at its unmount: umount or kernel"),
        dryRun,
      ],
      examples: [["Start a cluster with the host", "o2cb configure --cluster mycluster --enable"]],
      check: changesOf,
      run: (args, context) => configure(changesOf(args), args.flag("dryRun"), context),
    }),
    subcommand("apply", {
      summary: "make the cluster on this host what a file says",
      details:
        "FILE is JSON as docs/schemas/desired-state.json describes it: nodes, heartbeat mode and regions, timeouts, stack, and whether it is to be " +
        "online. The difference is " +
        "told first, with --dry-run also what would be written. What needs the cluster to be offline on this host is refused without " +
        "--allow-downtime, and volumes are never unmounted.",
      operands: [{ key: "file", label: "FILE" }],
      options: [
        flag("allowDowntime", "allow-downtime", "take the cluster offline and online again where needed"),
        dryRun,
      ],
      examples: [["See what would change", "o2cb apply --dry-run cluster.json"]],
      run: apply,
    }),
  ];
}

// -- configure

type Changes = Partial<Record<Variable, string>>;

/** @throws UsageError */
function changesOf(args: Arguments): Changes {
  const { deadThreshold, idleMs, keepaliveMs, reconnectMs } = timeoutsOf(args);
  const leave = args.value("leave");
  if (leave !== null && leave !== "umount" && leave !== "kernel")
    throw new UsageError(`--leave is for 'umount' or 'kernel', not for ${quoted(leave)}`);
  const enabled = args.flag("enable") ? "true" : args.flag("disable") ? "false" : null;
  const all: Record<Variable, string | number | null | undefined> = {
    O2CB_ENABLED: enabled,
    O2CB_STACK: args.value("stack"),
    O2CB_BOOTCLUSTER: args.value("cluster"),
    O2CB_HEARTBEAT_THRESHOLD: deadThreshold,
    O2CB_IDLE_TIMEOUT_MS: idleMs,
    O2CB_KEEPALIVE_DELAY_MS: keepaliveMs,
    O2CB_RECONNECT_DELAY_MS: reconnectMs,
    O2CB_FENCE_METHOD: fenceMethodOf(args),
    O2CB_LEAVE: leave,
  };
  const given = Object.entries(all).flatMap(([key, to]) => (to == null ? [] : [[key, String(to)]]));
  if (given.some(([, to]) => to === "")) throw new UsageError("a setting cannot be empty");
  if (given.length === 0 && args.flag("dryRun")) throw new UsageError("--dry-run needs something to set");
  return Object.fromEntries(given) as Changes;
}

/** Errors: O2CB_CONFIGURATION_ERROR for a value that cannot be used; those of changeSysconfig. */
async function configure(
  changes: Changes,
  isDry: boolean,
  { native, signal }: JobContext,
): Promise<JobResult> {
  const { changeSysconfig, parseSysconfig, readSysconfig, sysconfigPath } =
    await import("../config/sysconfig.ts");
  if (Object.keys(changes).length === 0) {
    const found = await readSysconfig(native, { signal });
    return answer(found, settingLines(found), { notices: found.findings.map(({ message }) => message) });
  }
  const path = await sysconfigPath(native, signal);
  const trial = await changeSysconfig(native, path, changes, { dryRun: true, signal });
  const about = parseSysconfig(trial.after).findings.filter(({ key }) => key !== null && key in changes);
  const bad = about.find(({ severity }) => severity === "error");
  if (bad !== undefined) {
    const { message, remedy } = bad;
    const fields = { operation: "configure", path, remedy };
    throw new O2cbError("O2CB_CONFIGURATION_ERROR", `'${path}' is not changed: ${message}`, fields);
  }
  const { before, after } = isDry ? trial : await changeSysconfig(native, path, changes, { signal });
  const isChanged = after !== (before ?? "");
  const writes = isChanged ? [{ action: "replace file" as const, path, value: after }] : [];
  const notices = about.map(({ message }) => message);
  return {
    ...written(isDry, writes, [`'${path}' is ${isChanged ? "written" : "as it is wanted already"}`]),
    notices,
  };
}

function settingLines({ path, exists, values, given }: Sysconfig): string[] {
  const texts: Record<Variable, string | number | boolean> = {
    O2CB_ENABLED: values.enabled,
    O2CB_STACK: values.stack,
    O2CB_BOOTCLUSTER: values.bootCluster ?? "",
    O2CB_HEARTBEAT_THRESHOLD: values.heartbeatThreshold,
    O2CB_IDLE_TIMEOUT_MS: values.idleTimeoutMs,
    O2CB_KEEPALIVE_DELAY_MS: values.keepaliveDelayMs,
    O2CB_RECONNECT_DELAY_MS: values.reconnectDelayMs,
    O2CB_FENCE_METHOD: values.fenceMethod ?? "",
    O2CB_LEAVE: values.leave,
  };
  const lines = Object.entries(texts).map(([name, text]) => {
    return `${name}=${text}${given.includes(name as Variable) ? "" : "  # default"}`;
  });
  return [`# ${path}${exists ? "" : " (no such file)"}`, ...lines];
}

// -- apply

async function apply(args: Arguments, context: JobContext): Promise<JobResult> {
  const { native, signal, onStep } = context;
  const [isDry, file] = [args.flag("dryRun"), args.operand("file")];
  const [{ readText }, { parseDesiredState }, { applyState }] = await Promise.all([
    import("../config/file.ts"),
    import("../cluster/desired-state.ts"),
    import("../cluster/apply.ts"),
  ]);
  const text = await readText(native, file, signal);
  if (text === null)
    throw new O2cbError("O2CB_CONFIGURATION_ERROR", `there is no file '${file}'`, {
      ...{ operation: "apply", path: file },
      remedy: "name a file as docs/schemas/desired-state.json describes it",
    });
  const isText = !args.flag("json");
  const { plan, writes } = await applyState(native, parseDesiredState(text, file), {
    dryRun: isDry,
    allowDowntime: args.flag("allowDowntime"),
    configPath: configPath(args),
    // Told also where it is then refused.
    onPlan: (found) => {
      if (isText) for (const line of planLines(found)) context.out(line);
    },
    onStep,
    signal,
  });
  return answer({ dryRun: isDry, plan, writes }, isDry ? writes.map(writeLine) : []);
}

function planLines({ diff, steps, needsDowntime }: Plan): string[] {
  if (steps.length === 0) return ["nothing to do"];
  const shownValue = (one: Value): string => (one === null ? "(none)" : String(one));
  return [
    ...diff.map(({ where, path, from, to }) => `${where} ${path}: ${shownValue(from)} -> ${shownValue(to)}`),
    ...steps.map(stepLine),
    needsDowntime
      ? "this needs the cluster to be offline on this host"
      : "this can be done while the cluster runs",
  ];
}

function stepLine({ description, online, reason }: PlanStep, index: number): string {
  return `${index + 1}. ${description}${online ? "" : " [offline]"}: ${reason}`;
}
