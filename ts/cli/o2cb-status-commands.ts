// `o2cb status` and `o2cb online-status`: what runs on this host, for people, for programs and for init scripts.
//
// Facts relied on (commands 4.2): the words and statuses of online-status: 0 online, 1 offline, 2 error. The script's `status` is always
// 0; this is 0 for online and 1 for anything else.
//
// The published form of --json is docs/schemas/o2cb-status.json.
import { CLASSIC_STACK } from "../volume.ts";
import type { ClusterStatus, NodeStatus } from "../cluster/status.ts";
import { oneFailure } from "./exit-status.ts";
import { anyCluster, answer, subcommand, type Subcommand } from "./o2cb-syntax.ts";
import { userStackLines } from "./o2cb-user-stack-text.ts";
import { timeoutLines } from "./o2cb-timeouts.ts";

const ERROR = 2;

export function statusCommands(): readonly Subcommand[] {
  const word = subcommand("online-status", {
    summary: "answer with a word and the exit status whether a cluster is online",
    details:
      "0 for online, 1 for offline, 2 for an error. The cluster is the one named, else that of the settings, else any.",
    operands: [anyCluster],
    async run(args, { native, signal }) {
      const { onlineStatus } = await import("../cluster/status.ts");
      const { readSysconfig } = await import("../config/sysconfig.ts");
      const given = args.operand("cluster");
      const { bootCluster, stack } = (await readSysconfig(native, { signal })).values;
      // A user stack's cluster is named in corosync.conf alone.
      const name = given !== "" ? given : stack === CLASSIC_STACK ? bootCluster : null;
      const result = await onlineStatus(native, name);
      const notices = result.reason === null ? [] : [result.reason];
      return answer(result, [result.state], { status: result.status, notices });
    },
  });
  return [
    subcommand("status", {
      summary: "show what runs: stack, file systems, cluster, nodes, regions, timeouts",
      details:
        "The exit status is 0 where the cluster, any where none is named, is online, and 1 where it is not.",
      operands: [anyCluster],
      async run(args, { native, signal }) {
        const { clusterStatus } = await import("../cluster/status.ts");
        const found = await clusterStatus(native, { signal });
        const given = args.operand("cluster");
        const isIt = found.isOnline && (given === "" || given === found.cluster);
        return answer(found, statusLines(found), { status: isIt ? 0 : 1 });
      },
    }),
    // A wrong command line must not look like the answer `offline`.
    { ...word, job: { ...word.job, statuses: () => oneFailure(ERROR) } },
  ];
}

function statusLines(found: ClusterStatus): string[] {
  const { stack, revision, modules, configfs, debugfs, dlmfs, hbCtlPath, activePlugin, stackUsers } = found;
  const loaded = modules.filter(({ isLoaded }) => isLoaded).map(({ name }) => name);
  const mounted = (place: string | null): string => place ?? "not mounted";
  return [
    `stack: ${stack ?? "not loaded"}${revision === null ? "" : `, interface revision ${revision}`}`,
    ...(activePlugin === null ? [] : [`stack in use: plugin '${activePlugin}', by ${stackUsers.join("; ")}`]),
    `modules: ${loaded.join(", ") || "none"}`,
    `configfs: ${mounted(configfs)}`,
    `debugfs: ${mounted(debugfs)}`,
    `dlmfs: ${dlmfs.join(", ") || "not mounted"}`,
    `hb_ctl_path: ${hbCtlPath ?? "not there"}`,
    ...(found.user === null ? [] : userStackLines(found.user, found.isOnline)),
    ...(found.user === null || found.isRegistered ? clusterLines(found) : []),
    ...found.notes.map((note) => `note: ${note}`),
  ];
}

function clusterLines({
  cluster,
  isOnline,
  isRegistered,
  mode,
  nodes,
  regions,
  timeouts,
  domains,
}: ClusterStatus): string[] {
  if (cluster === null) return ["cluster: none is registered"];
  const word = isOnline ? "online" : isRegistered ? "registered, and offline" : "offline";
  return [
    `cluster '${cluster}': ${word}, ${mode} heartbeat`,
    ...nodes.map((node) => `  ${nodeLine(node)}`),
    ...(timeouts === null ? [] : timeoutLines(timeouts, false).map((line) => `  ${line}`)),
    ...regions.map(({ region, disk, verdict, references }) => {
      return `  region ${region} on ${disk ?? "no disk"}: ${verdict}, ${references ?? "?"} refs`;
    }),
    ...domains.map(({ name }) => `  DLM domain ${name}`),
  ];
}

function nodeLine({ name, number, address, port, isLocal, isLive, isConnected }: NodeStatus): string {
  const said = [
    isLocal ? "this host" : "",
    isLive === null ? "" : isLive ? "beats" : "does not beat",
    isConnected === null ? "" : isConnected ? "connected" : "not connected",
  ].filter((part) => part !== "");
  const where = `node ${number ?? "?"} ${name} ${address ?? "?"}:${port ?? "?"}`;
  return said.length === 0 ? where : `${where}: ${said.join(", ")}`;
}
