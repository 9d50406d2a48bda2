// The configuration files against each other, against this host's name, and against what the kernel has registered.
//
// Facts relied on: config/lint.ts (what is wrong with the file itself); group-api 5.5 (this host is the node whose name is the host's name, up
// to its end or a dot); 4.4 (node lists have to be equal on all nodes, or new joins are refused). Settings are config/sysconfig.ts.
import { lintText } from "../../config/lint.ts";
import { findCluster, isThisHost, type ConfiguredCluster, type ConfiguredNode } from "../../config/model.ts";
import { readText } from "../../config/file.ts";
import { loadConfig } from "../../config/store.ts";
import { readSysconfig } from "../../config/sysconfig.ts";
import { hostName } from "../nodes.ts";
import { readClusterState, type RegisteredNode } from "../registered.ts";
import { failure, good, warning, type Check, type CheckContext, type Finding } from "./finding.ts";
import { localAddressFinding, peerFindings, type NodeAddress } from "./network.ts";

export const configurationChecks: readonly Check[] = [
  { id: "cluster-conf", look: fileFindings },
  { id: "settings", look: settingsFindings },
  { id: "host-name", look: hostNameFindings },
  { id: "node-registered", look: registeredFindings },
  { id: "nodes-equal", look: equalFindings },
  {
    id: "local-address",
    look: async (context) => {
      const { native } = context;
      const registered = (await readClusterState(native))?.nodes.find(({ local }) => local);
      if (isComplete(registered)) return [await localAddressFinding(native, registered, true)];
      const own = await ownNode(context);
      return own === null ? [] : [await localAddressFinding(native, own, false)];
    },
  },
  {
    id: "peer-reachable",
    look: async (context) => {
      const cluster = context.peersReachable ? await configured(context) : null;
      if (cluster === null) return [];
      const own = await ownNode(context);
      const peers = cluster.nodes.filter(({ name }) => name !== own?.name);
      return peerFindings(context.native, peers, context.signal);
    },
  },
];

/** The cluster that this host is to be in: the one of the settings, else the registered one, else the only one of the file. */
export async function configured({
  native,
  configPath,
  signal,
}: CheckContext): Promise<ConfiguredCluster | null> {
  const { config } = await loadConfig(native, configPath, { signal });
  const named = (await readSysconfig(native, { signal })).values.bootCluster;
  const registered = (await readClusterState(native))?.name ?? null;
  for (const name of [named, registered]) {
    const found = name === null ? undefined : findCluster(config, name);
    if (found !== undefined) return found;
  }
  const [only, ...others] = config.clusters;
  return only !== undefined && others.length === 0 ? only : null;
}

async function ownNode(context: CheckContext): Promise<ConfiguredNode | null> {
  const hostname = await hostName(context.native, context.signal);
  const cluster = await configured(context);
  return cluster?.nodes.find(({ name }) => isThisHost(name, hostname)) ?? null;
}

function isComplete(node: RegisteredNode | undefined): node is RegisteredNode & NodeAddress {
  return node !== undefined && node.number !== null && node.address !== null && node.port !== null;
}

async function fileFindings({ native, configPath, signal }: CheckContext): Promise<Finding[]> {
  const id = "cluster-conf";
  const text = await readText(native, configPath, signal);
  if (text === null)
    return [
      failure(
        id,
        `there is no ${configPath}, so this host is in no cluster`,
        "make one: o2cb add-cluster NAME and o2cb add-node, or o2cb apply FILE.json",
        configPath,
      ),
    ];
  const found = lintText(text, configPath);
  if (found.length === 0) return [good(id, `nothing is wrong with ${configPath}`, configPath)];
  return found.map(({ severity, line, column, message, remedy }) => {
    const place = message.startsWith(`'${configPath}'`) ? "" : `line ${line}, column ${column}: `;
    const say = severity === "error" ? failure : warning;
    return say(id, `${place}${message}`, remedy, configPath);
  });
}

async function settingsFindings({ native, configPath, signal }: CheckContext): Promise<Finding[]> {
  const id = "settings";
  const settings = await readSysconfig(native, { signal });
  const { path, values } = settings;
  if (!settings.exists)
    return [
      warning(
        id,
        `there is no ${path}: the cluster is not started with this host, and all timeouts are at their default`,
        "make it: o2cb configure",
        path,
      ),
    ];
  const found = settings.findings.map(({ severity, line, message, remedy }) =>
    (severity === "error" ? failure : warning)(id, `line ${line}: ${message}`, remedy, path),
  );
  if (!values.enabled)
    found.push(warning(id, "the cluster is not started with this host", "set O2CB_ENABLED=true", path));
  const { bootCluster } = values;
  const isKnown = await loadConfig(native, configPath, { signal }).then(
    ({ config }) => bootCluster === null || findCluster(config, bootCluster) !== undefined,
    // The check of cluster.conf says what is wrong there.
    () => true,
  );
  if (!isKnown)
    found.push(
      failure(
        id,
        `O2CB_BOOTCLUSTER is '${bootCluster}', and ${configPath} has no such cluster`,
        "correct the one that is wrong",
        path,
      ),
    );
  return found.length > 0 ? found : [good(id, `the cluster is started with this host (${path})`, path)];
}

async function hostNameFindings(context: CheckContext): Promise<Finding[]> {
  const id = "host-name";
  const hostname = await hostName(context.native, context.signal);
  const cluster = await configured(context);
  if (cluster === null)
    return [
      warning(id, `which cluster '${hostname}' is to be in is not said`, "set O2CB_BOOTCLUSTER to its name"),
    ];
  const mine = cluster.nodes.filter(({ name }) => isThisHost(name, hostname)).map(({ name }) => name);
  if (mine.length === 1)
    return [
      good(id, `this host, '${hostname}', is node '${mine[0]}' of cluster '${cluster.name}'`, hostname),
    ];
  if (mine.length > 1)
    return [
      failure(
        id,
        `the nodes ${mine.map((name) => `'${name}'`).join(" and ")} of cluster '${cluster.name}' are both this host, '${hostname}', and the kernel takes only one`,
        "rename or remove one of them",
        hostname,
      ),
    ];
  // The other way round of what is allowed: the file has the full name and the kernel the short one.
  const longer = cluster.nodes.find(({ name }) => isThisHost(hostname, name));
  if (longer !== undefined)
    return [
      failure(
        id,
        `this host is called '${hostname}', and cluster '${cluster.name}' has a node '${longer.name}', which is longer: no node is this host`,
        `name the node '${hostname}' in cluster.conf on all nodes, or set the host's name to '${longer.name}'`,
        hostname,
      ),
    ];
  const names = cluster.nodes.map(({ name }) => `'${name}'`).join(", ") || "none";
  return [
    failure(
      id,
      `this host is called '${hostname}', and the nodes of cluster '${cluster.name}' are ${names}: it cannot come online`,
      "name one node as `hostname` prints it, on all nodes, or correct the host's name",
      hostname,
    ),
  ];
}

async function registeredFindings({ native }: CheckContext): Promise<Finding[]> {
  const id = "node-registered";
  const cluster = await readClusterState(native);
  if (cluster === null)
    return [
      warning(id, "no cluster is registered in the kernel: this host is offline", "start it: o2cb online"),
    ];
  const local = cluster.nodes.find((node) => node.local);
  if (local === undefined)
    return [
      failure(
        id,
        `cluster '${cluster.name}' is registered with ${cluster.nodes.length} nodes, none of which is this host: no heartbeat can start`,
        "correct the host's name in cluster.conf, then run o2cb restart",
        cluster.name,
      ),
    ];
  return [
    good(
      id,
      `this host is node '${local.name}', number ${local.number}, of the registered cluster '${cluster.name}'`,
      cluster.name,
    ),
  ];
}

/** The kernel's nodes against the file's: what differs is refused to join by the others. */
async function equalFindings(context: CheckContext): Promise<Finding[]> {
  const id = "nodes-equal";
  const running = await readClusterState(context.native);
  if (running === null) return [];
  const { config } = await loadConfig(context.native, context.configPath, { signal: context.signal });
  const file = findCluster(config, running.name);
  if (file === undefined)
    return [
      failure(
        id,
        `the registered cluster '${running.name}' is not in ${context.configPath}`,
        "put it there, or run o2cb offline",
        running.name,
      ),
    ];
  const differences = [
    ...file.nodes.flatMap((node) => {
      const there = running.nodes.find(({ name }) => name === node.name);
      if (there === undefined) return [`node '${node.name}' is not registered`];
      const same = there.number === node.number && there.address === node.address && there.port === node.port;
      return same ? [] : [`node '${node.name}' is registered with other values`];
    }),
    ...running.nodes
      .filter(({ name }) => !file.nodes.some((node) => node.name === name))
      .map(({ name }) => `node '${name}' is registered, and not in the file`),
    ...(file.mode === running.mode
      ? []
      : [`the mode is ${running.mode} in the kernel and ${file.mode} in the file`]),
  ];
  if (differences.length === 0)
    return [good(id, `the kernel's cluster '${running.name}' is the one of the file`, running.name)];
  return [
    failure(
      id,
      `cluster '${running.name}' is not registered as ${context.configPath} has it: ${differences.join("; ")}`,
      "run o2cb register-cluster, or o2cb restart for what cannot change while it runs",
      running.name,
    ),
  ];
}
