// What is wrong with a cluster.conf beyond its grammar: what the C tool refuses on load, all of it at once, what the kernel would
// refuse later, and what is accepted but hardly meant (users.md C3, C4, C6, C12).
//
// Facts relied on: the kernel's rules for nodes (group-api 5.3) and limits (Appendix D); a node is this host by its name (5.5), two of them
// fail; the C tools drop unknown keys and stanzas when they write (6.3).
//
// It looks at the text and at the host's name given, nowhere else. Fewer than three regions are no finding.
import { valueOf, ConfDocument, type ConfAttribute, type ConfStanza, type Position } from "./cluster-conf.ts";
import { quoted, sortFindings, type Finding } from "./finding.ts";
import * as model from "./model.ts";
import { isCode, type O2cbError } from "../errors.ts";

export type { Finding } from "./finding.ts";

export interface LintOptions {
  /** this host's; without it nobody asks which node is this one */
  hostname?: string | undefined;
  /** the cluster that this host is to be in; without it, the only one */
  cluster?: string | undefined;
}

const KEYS: Record<string, readonly string[]> = {
  cluster: ["name", "node_count", "heartbeat_mode"],
  node: ["cluster", "name", "number", "ip_address", "ip_port"],
  heartbeat: ["cluster", "region"],
};

type Add = (
  severity: Finding["severity"],
  at: Position,
  key: string | null,
  text: string,
  fix: string,
) => void;

/** By their place in the file; a syntax error is the only finding. */
export function lintText(text: string, path: string, options: LintOptions = {}): Finding[] {
  try {
    return lint(new ConfDocument(text, path), options);
  } catch (error) {
    if (!isCode(error, "O2CB_CONFIGURATION_ERROR")) throw error;
    const { line = 1, column = 1, message, remedy = "" } = error as O2cbError;
    return [{ severity: "error", line, column, key: null, message, remedy }];
  }
}

export function lint(document: ConfDocument, options: LintOptions = {}): Finding[] {
  const findings: Finding[] = [];
  const add: Add = (severity, { line, column }, key, message, remedy) =>
    findings.push({ severity, line, column, key, message, remedy });
  const { config, problems } = model.interpret(document);
  for (const one of problems) add("error", one, one.key, one.message, one.remedy);
  const refused = new Set(problems.map(({ line, column }) => `${line}:${column}`));
  for (const stanza of document.stanzas) lintStanza(stanza, config, refused, add);
  for (const cluster of config.clusters) {
    lintCluster(document, cluster, add);
    lintNodes(document, cluster, add);
    lintRegions(document, cluster, add);
    if (options.hostname !== undefined) lintHost(cluster, config, options.hostname, options.cluster, add);
  }
  return sortFindings(findings.filter((one, index) => !isSaidBetter(one, findings, index)));
}

/** One place with an error needs no warning, and no place two. */
function isSaidBetter({ severity, line, column }: Finding, all: readonly Finding[], index: number): boolean {
  if (severity === "error") return false;
  const others = all.filter((one) => one.line === line && one.column === column);
  return others.some((one) => one.severity === "error" || all.indexOf(one) < index);
}

function lintStanza(
  stanza: ConfStanza,
  config: model.ClusterConfig,
  refused: ReadonlySet<string>,
  add: Add,
): void {
  const { type } = stanza;
  const keys = KEYS[type];
  if (keys === undefined) {
    const meant = Object.hasOwn(KEYS, type.toLowerCase()) ? `'${type.toLowerCase()}'` : null;
    const what = `the stanza '${type}' is unknown and ignored, and the C tools drop it when they write`;
    add("warning", stanza, null, what, meant === null ? "take it out" : `write ${meant}`);
    return;
  }
  for (const attribute of stanza.attributes) {
    const { key, value, valueAt } = attribute;
    if (!keys.includes(key)) {
      const meant = keys.find((one) => one === key.toLowerCase());
      const what = `the key '${key}' of a ${type} is unknown and ignored, and the C tools drop it when they write`;
      add("warning", attribute, key, what, meant === undefined ? "take it out" : `write '${meant}'`);
    } else if (stanza.attributes.some((one) => one.key === key && one.start > attribute.start)) {
      const what = `the key '${key}' is given again below, and only the last counts`;
      add("warning", attribute, key, what, "take one out");
    } else if (/(?:^|\s)#/.test(value) && !refused.has(`${valueAt.line}:${valueAt.column}`)) {
      const what = `the key '${key}' is ${JSON.stringify(value)}: what looks like a comment is part of the value`;
      add("warning", valueAt, key, what, "put the comment on a line of its own, in column 1");
    }
  }
  if (type === "cluster") return;
  const cluster = valueOf(stanza, "cluster");
  if (config.clusters.some(({ name }) => name === cluster)) return;
  const whose =
    cluster === undefined ? "names no cluster" : `names the cluster ${quoted(cluster)}, which is not here`;
  const what = `this ${type} ${whose}: it is ignored`;
  add("warning", at(stanza, "cluster"), "cluster", what, "correct the name of the cluster");
}

function lintCluster(document: ConfDocument, cluster: model.ConfiguredCluster, add: Add): void {
  const { name, nodeCount } = cluster;
  const stanza = stanzaAt(document, cluster.position);
  const problem = model.clusterNameProblem(name);
  if (problem !== null) {
    const what = `the name of a cluster is ${quoted(name)}; ${problem}`;
    add("error", at(stanza, "name"), "name", what, "choose another name, on all nodes and on the volumes");
  }
  const nodes = membersOf(document, "node", name);
  if (nodeCount !== nodes) {
    const what = `the node_count of cluster ${quoted(name)} is ${nodeCount}, and it has ${nodes} nodes`;
    add("warning", at(stanza, "node_count"), "node_count", what, `set it to ${nodes}`);
  }
  if (nodes > model.MAX_NODES) {
    const what = `cluster ${quoted(name)} has ${nodes} nodes, and the kernel takes no more than ${model.MAX_NODES}`;
    add("error", stanza ?? cluster.position, null, what, "take nodes out");
  }
}

function lintNodes(document: ConfDocument, cluster: model.ConfiguredCluster, add: Add): void {
  const seen = new Map<string, model.ConfiguredNode>();
  for (const node of cluster.nodes) {
    const { name, number, address, port } = node;
    const stanza = stanzaAt(document, node.position);
    const report = (key: string, problem: string | null, value: string | number): void => {
      if (problem === null) return;
      const what = `the key '${key}' of node ${quoted(name)} is ${JSON.stringify(value)}; ${problem}`;
      add("error", at(stanza, key), key, what, "correct the value, on all nodes");
    };
    report("name", model.nodeNameProblem(name), name);
    report("number", model.numberProblem(number), number);
    report("ip_port", model.portProblem(port), port);
    if (model.nodeNameProblem(name) === null && !/^[A-Za-z0-9.-]+$/.test(name)) {
      const what = `the name of node ${quoted(name)} has other characters than letters, digits, dashes and dots: it can hardly be a host's`;
      add("warning", at(stanza, "name"), "name", what, "write it as `hostname` prints it on that node");
    }
    const other = seen.get(`number ${number}`);
    if (other !== undefined) {
      const what = `node ${quoted(name)} has the number ${number}, as node ${quoted(other.name)} has: the kernel refuses the second`;
      add("error", at(stanza, "number"), "number", what, "give each node a number of its own, on all nodes");
    }
    const same = seen.get(`address ${address}`);
    if (same !== undefined) {
      const both = same.port === port ? ` and the port ${port}` : "";
      const what = `node ${quoted(name)} has the address ${address}${both}, as node ${quoted(same.name)} has: the kernel refuses the second`;
      add("error", at(stanza, "ip_address"), "ip_address", what, "give each node its own address");
    }
    seen.set(`number ${number}`, other ?? node).set(`address ${address}`, same ?? node);
  }
}

function lintRegions(document: ConfDocument, cluster: model.ConfiguredCluster, add: Add): void {
  const { name, mode, heartbeats } = cluster;
  const isGlobal = mode === "global";
  const stanza = stanzaAt(document, cluster.position);
  for (const { region, position } of heartbeats) {
    const problem = model.regionProblem(region);
    if (problem === null) continue;
    const what = `a heartbeat region of cluster ${quoted(name)} is ${quoted(region)}; ${problem}`;
    const place = at(stanzaAt(document, position), "region");
    add(isGlobal ? "error" : "warning", place, "region", what, "give the volume's UUID");
  }
  const first = heartbeats[0];
  if (isGlobal && first === undefined) {
    const what = `cluster ${quoted(name)} has global heartbeat, and no region to beat on: it cannot come online`;
    const fix = `o2cb add-heartbeat ${name} DEVICE, or o2cb heartbeat-mode ${name} local`;
    add("error", at(stanza, "heartbeat_mode"), "heartbeat_mode", what, fix);
  }
  if (!isGlobal && first !== undefined) {
    const what = `cluster ${quoted(name)} has local heartbeat: its ${heartbeats.length} regions are not used`;
    const fix = `o2cb heartbeat-mode ${name} global, or take them out`;
    add("warning", at(stanzaAt(document, first.position), "region"), "region", what, fix);
  }
  if (isGlobal && heartbeats.length > model.MAX_REGIONS) {
    const what = `cluster ${quoted(name)} has ${heartbeats.length} heartbeat regions, and the kernel takes no more than ${model.MAX_REGIONS}`;
    add("error", stanza ?? cluster.position, null, what, "take regions out");
  }
}

function lintHost(
  cluster: model.ConfiguredCluster,
  config: model.ClusterConfig,
  hostname: string,
  wanted: string | undefined,
  add: Add,
): void {
  const isWanted = wanted === undefined ? config.clusters.length === 1 : wanted === cluster.name;
  const mine = cluster.nodes.filter(({ name }) => model.isThisHost(name, hostname));
  const [first, second] = mine;
  if (first === undefined && isWanted) {
    const what = `no node of cluster ${quoted(cluster.name)} is this host, '${hostname}': it cannot come online here`;
    add("error", cluster.position, "name", what, `name one node '${hostname.split(".")[0]}'`);
  }
  if (first !== undefined && second !== undefined) {
    const what = `the nodes ${quoted(first.name)} and ${quoted(second.name)} are both this host, '${hostname}': the kernel takes only one`;
    add("error", second.position, "name", what, "rename one of them");
  }
}

/** The place of a key's value, else of the stanza. */
function at(stanza: ConfStanza | undefined, key: string): Position {
  const found: ConfAttribute | undefined = stanza?.attributes.findLast((one) => one.key === key);
  return found?.valueAt ?? stanza ?? { line: 1, column: 1 };
}

function stanzaAt(document: ConfDocument, { line }: Position): ConfStanza | undefined {
  return document.stanzas.find((one) => one.line === line);
}

function membersOf(document: ConfDocument, type: string, cluster: string): number {
  return document.stanzas.filter((one) => one.type === type && valueOf(one, "cluster") === cluster).length;
}
