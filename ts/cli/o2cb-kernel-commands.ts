// The sub-commands of o2cb that bring the configuration's cluster into the kernel and out of it again, and show what is there.
//
// Facts relied on (group-api 6.4): what the C tool writes on success to standard output; that it says nothing of a start with local
// heartbeat, which is a success. Where it fails and exits 0 this fails: docs/differences.md.
import type { DesiredTimeouts } from "../cluster/desired-state.ts";
import type { ClusterState } from "../cluster/registered.ts";
import type { Native } from "../native-types.ts";
import { O2cbError } from "../errors.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { configuredCluster } from "./o2cb-configuration.ts";
import { anyCluster, answer, cluster, dryRun, flag, subcommand, type Subcommand } from "./o2cb-syntax.ts";
import { fenceMethodOf, fenceOption, timeoutLines, timeoutOptions, timeoutsOf } from "./o2cb-timeouts.ts";
import { written } from "./o2cb-writes.ts";

export function kernelCommands(): readonly Subcommand[] {
  return [
    subcommand("register-cluster", {
      summary: "register a cluster of the configuration with the kernel",
      details:
        "A cluster that is registered is made as the configuration has it. Nothing is left of a registration that fails.",
      operands: [cluster],
      options: [dryRun],
      async run(args, context) {
        const found = await configuredCluster(args, context);
        const { registerCluster } = await import("../cluster/register.ts");
        const { native, signal, onStep } = context;
        const isDry = args.flag("dryRun");
        const result = await registerCluster(native, found, { dryRun: isDry, signal, onStep });
        const { node, mode } = result;
        return written(isDry, result.writes, [
          `this host is node ${node.number} '${node.name}' of cluster '${found.name}', ${mode} heartbeat`,
        ]);
      },
    }),
    subcommand("unregister-cluster", {
      summary: "take a cluster out of the kernel",
      operands: [cluster],
      options: [dryRun],
      async run(args, { native, signal, onStep }) {
        const { unregisterCluster } = await import("../cluster/register.ts");
        const [name, isDry] = [args.operand("cluster"), args.flag("dryRun")];
        const result = await unregisterCluster(native, name, { dryRun: isDry, signal, onStep });
        const said = result.removed ? "is unregistered" : "was not registered";
        return written(isDry, result.writes, [`cluster '${name}' ${said}`]);
      },
    }),
    subcommand("start-heartbeat", {
      summary: "start the heartbeat of a cluster with global heartbeat on all its regions",
      details:
        "The regions are found by their UUIDs on any block device. With local heartbeat each mount starts its own.",
      operands: [cluster],
      options: [dryRun],
      async run(args, context) {
        const found = await configuredCluster(args, context);
        const { startHeartbeat } = await import("../cluster/heartbeat.ts");
        const { native, signal, onStep } = context;
        const isDry = args.flag("dryRun");
        const result = await startHeartbeat(native, found, { dryRun: isDry, signal, onStep });
        const details = [
          ...result.started.map(({ region, device }) => `region ${region} beats on '${device}'`),
          ...result.running.map((region) => `region ${region} was running already`),
          ...result.stopped.map((region) => `region ${region} is not in the configuration, and is stopped`),
        ];
        const kept = result.kept.map(
          ({ region, reason }) => `region ${region} is not in the configuration and stays: ${reason}`,
        );
        const told = written(isDry, result.writes, details);
        const lines = isDry || result.mode === "local" ? told.lines : ["Global heartbeat started"];
        return { ...told, ...(lines !== undefined && { lines }), notices: kept };
      },
    }),
    subcommand("stop-heartbeat", {
      summary: "stop the heartbeat of a cluster with global heartbeat",
      operands: [cluster],
      options: [dryRun],
      async run(args, { native, signal, onStep }) {
        const { stopHeartbeat } = await import("../cluster/heartbeat.ts");
        const [name, isDry] = [args.operand("cluster"), args.flag("dryRun")];
        const result = await stopHeartbeat(native, name, { dryRun: isDry, signal, onStep });
        const told = written(
          isDry,
          result.writes,
          result.stopped.map((region) => `region ${region} is stopped`),
        );
        return isDry ? told : { ...told, lines: ["Global heartbeat stopped"] };
      },
    }),
    subcommand("cluster-status", {
      summary: "say whether a cluster is online on this host",
      details: "The exit status is 0 for online and 1 for offline.",
      operands: [anyCluster],
      async run(args, { native }) {
        const { onlineStatus } = await import("../cluster/status.ts");
        const given = args.operand("cluster");
        const { cluster: name, state, reason } = await onlineStatus(native, given === "" ? null : given);
        const online = state === "online";
        const word = online ? "online" : "offline";
        const line = name === null ? word : `Cluster '${name}' is ${word}`;
        const notices = reason === null ? [] : [reason];
        return answer({ cluster: name, online }, [line], { status: online ? 0 : 1, notices });
      },
    }),
    subcommand("timeouts", {
      summary: "show the timeouts of the registered cluster, or set them",
      details:
        "They have to be the same on all nodes. The kernel changes the dead time only while nothing beats, and the network's only while no " +
        "other node is connected: what it does not take is an error. `o2cb configure` writes those of the next start.",
      operands: [anyCluster],
      options: [...timeoutOptions, fenceOption, flag("seconds", "seconds", "show all in seconds"), dryRun],
      examples: [["Wait two minutes for a disk", "o2cb timeouts --dead-seconds 120"]],
      check: wantedTimeouts,
      async run(args, { native, signal, onStep }) {
        const wanted = wantedTimeouts(args);
        const state = await registered(native, args.operand("cluster"));
        if (Object.keys(wanted).length === 0) {
          const { timeouts } = state;
          return answer({ cluster: state.name, timeouts }, timeoutLines(timeouts, args.flag("seconds")));
        }
        const [{ KernelWrites }, { setTimeouts }] = await Promise.all([
          import("../cluster/writes.ts"),
          import("../cluster/timeouts.ts"),
        ]);
        const isDry = args.flag("dryRun");
        const writes = new KernelWrites(native, { dryRun: isDry, signal, onStep });
        const result = await writes.exclusively(() => setTimeouts(writes, state, wanted));
        const told = written(isDry, writes.done, [`changed: ${result.changed.join(", ") || "nothing"}`]);
        return { ...told, notices: result.missing.map((name) => `this driver has no setting '${name}'`) };
      },
    }),
  ];
}

/** Errors: O2CB_SERVICE_UNAVAILABLE, O2CB_INVALID_CLUSTER_NAME. */
async function registered(native: Native, name: string): Promise<ClusterState> {
  const [{ readClusterState }, { requireCluster }] = await Promise.all([
    import("../cluster/registered.ts"),
    import("../cluster/register.ts"),
  ]);
  const state = await readClusterState(native);
  if (state === null) {
    const fields = { operation: "timeouts", remedy: "bring one online: o2cb online" };
    throw new O2cbError("O2CB_SERVICE_UNAVAILABLE", "no cluster is registered on this node", fields);
  }
  if (name !== "") requireCluster(state, name, "timeouts");
  return state;
}

/** @throws UsageError */
function wantedTimeouts(args: Arguments): DesiredTimeouts {
  const wanted: DesiredTimeouts = timeoutsOf(args);
  const fence = fenceMethodOf(args);
  if (fence !== null) wanted.fenceMethod = fence;
  if (args.flag("dryRun") && Object.keys(wanted).length === 0)
    throw new UsageError("--dry-run needs something to set");
  return wanted;
}
