// What a cluster.conf says: clusters with their nodes and heartbeat regions, by the rules of the C tool's load.
//
// Facts relied on (group-api 6.2, measured with the C tool): a node or region belongs to the cluster whose name it gives, and to nobody else;
// numbers are what strtoul(3) takes in base 10; node numbers end below 2^31-1, the others at 2^32-1; addresses are dotted quads without
// leading zeros; everything may come in any order. The first failure refuses the whole file, here by its place in the file.
//
// Beyond that nothing is checked: what the kernel would refuse is the linter's. One difference: a cluster without a name, on which
// the C tool crashes, is an error.
import { attributeOf, confError, type ConfDocument, type ConfStanza, type Position } from "./cluster-conf.ts";
import { quoted } from "./finding.ts";
import { addressProblem } from "./names.ts";
import type { HeartbeatMode } from "../steps.ts";

export * from "./names.ts";

export interface ConfiguredNode {
  name: string;
  number: number;
  address: string;
  port: number;
  position: Position;
}

export interface ConfiguredHeartbeat {
  region: string;
  position: Position;
}

export interface ConfiguredCluster {
  name: string;
  mode: HeartbeatMode;
  /** as the file has it, whatever the number of its nodes is */
  nodeCount: number;
  /** in the file's order, as the next */
  nodes: ConfiguredNode[];
  heartbeats: ConfiguredHeartbeat[];
  position: Position;
}

export interface ClusterConfig {
  clusters: ConfiguredCluster[];
}

/** One reason for the C tool to refuse the file. */
export interface Problem extends Position {
  key: string | null;
  message: string;
  remedy: string;
}

/** What the document means. Errors: O2CB_CONFIGURATION_ERROR with `line` and `column`. */
export function clusterConfig(document: ConfDocument): ClusterConfig {
  const { config, problems } = interpret(document);
  const first = problems[0];
  if (first !== undefined) throw confError(document.path, first, first.message, first.remedy);
  return config;
}

export function findCluster(config: ClusterConfig, name: string): ConfiguredCluster | undefined {
  return config.clusters.find((one) => one.name === name);
}

/** Whether a node's name means this host: in any case, up to the host name's end or one of its dots (group-api 5.5). */
export function isThisHost(nodeName: string, hostname: string): boolean {
  if (nodeName === "" || nodeName.length > hostname.length) return false;
  const begin = hostname.slice(0, nodeName.length);
  const next = hostname.charAt(nodeName.length);
  return begin.toLowerCase() === nodeName.toLowerCase() && (next === "" || next === ".");
}

/** What strtoul(3) in base 10 and the C tool's check of the range make of a text; null where it is refused. */
export function parseNumber(text: string, max: number): number | null {
  const found = /^[ \t\n\v\f\r]*([+-]?)(\d+)$/.exec(text);
  if (found === null) return null;
  const value = Number(found[2]);
  if (value > max || (found[1] === "-" && value > 0)) return null;
  return value;
}

const MAX_UNSIGNED = 4_294_967_295;
const MAX_NODE_NUMBER = 2_147_483_646;

/** Everything that can be understood, and all that the C tool would refuse, by its place in the file. */
export function interpret(document: ConfDocument): { config: ClusterConfig; problems: Problem[] } {
  const problems: Problem[] = [];
  const clusters: ConfiguredCluster[] = [];
  for (const stanza of document.stanzas.filter(({ type }) => type === "cluster")) {
    const reader = new StanzaReader(stanza, problems);
    const name = reader.text("name", false);
    if (name === null) continue;
    reader.owner = ` of cluster ${quoted(name)}`;
    const mode = reader.mode();
    const nodeCount = reader.number("node_count", MAX_UNSIGNED) ?? 0;
    if (clusters.some((one) => one.name === name))
      reader.problem("name", `cluster ${quoted(name)} is there already`, "take one of the two out");
    else clusters.push({ name, mode, nodeCount, nodes: [], heartbeats: [], position: placed(stanza) });
  }
  for (const stanza of document.stanzas) {
    const cluster = clusters.find(({ name }) => name === attributeOf(stanza, "cluster")?.value);
    if (cluster === undefined) continue;
    const reader = new StanzaReader(stanza, problems);
    if (stanza.type === "node") readNode(reader, cluster);
    if (stanza.type === "heartbeat") readHeartbeat(reader, cluster);
  }
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return { config: { clusters }, problems };
}

function readNode(reader: StanzaReader, cluster: ConfiguredCluster): void {
  const name = reader.text("name", true);
  if (name !== null) reader.owner = ` of node ${quoted(name)}`;
  const number = reader.number("number", MAX_NODE_NUMBER);
  const address = reader.address();
  const port = reader.number("ip_port", MAX_UNSIGNED);
  if (name === null || number === null || address === null || port === null) return;
  if (cluster.nodes.some((one) => one.name === name))
    reader.problem(
      "name",
      `cluster ${quoted(cluster.name)} has a node ${quoted(name)} already`,
      "take one out",
    );
  else cluster.nodes.push({ name, number, address, port, position: placed(reader.stanza) });
}

function readHeartbeat(reader: StanzaReader, cluster: ConfiguredCluster): void {
  const region = reader.text("region", true);
  if (region === null) return;
  if (cluster.heartbeats.some((one) => one.region === region))
    reader.problem(
      "region",
      `cluster ${quoted(cluster.name)} has the region ${quoted(region)} already`,
      "take one out",
    );
  else cluster.heartbeats.push({ region, position: placed(reader.stanza) });
}

function placed({ line, column }: Position): Position {
  return { line, column };
}

/** Reads the keys of one stanza and notes what is wrong with them. */
class StanzaReader {
  readonly stanza: ConfStanza;
  readonly #problems: Problem[];
  /** whose keys these are, for messages: ` of node 'alpha'` */
  owner: string;

  constructor(stanza: ConfStanza, problems: Problem[]) {
    this.stanza = stanza;
    this.#problems = problems;
    this.owner = ` of this ${stanza.type}`;
  }

  problem(key: string, message: string, remedy: string): void {
    const place = attributeOf(this.stanza, key)?.valueAt ?? placed(this.stanza);
    this.#problems.push({ ...place, key, message, remedy });
  }

  text(key: string, isRequired: boolean): string | null {
    const value = attributeOf(this.stanza, key)?.value;
    if (value === undefined) {
      const message = `the key '${key}'${this.owner} is missing`;
      this.problem(key, message, `add a line '${key} = ...' below '${this.stanza.type}:'`);
      return null;
    }
    if (value !== "" || !isRequired) return value;
    this.problem(key, `the key '${key}'${this.owner} has no value`, `give it one, or take the stanza out`);
    return null;
  }

  number(key: string, max: number): number | null {
    const text = this.text(key, true);
    if (text === null) return null;
    const value = parseNumber(text, max);
    if (value === null) this.#wrong(key, text, `expected is a decimal number from 0 to ${max}`);
    return value;
  }

  address(): string | null {
    const text = this.text("ip_address", true);
    if (text === null) return null;
    const problem = addressProblem(text);
    if (problem !== null) this.#wrong("ip_address", text, problem);
    return problem === null ? text : null;
  }

  mode(): HeartbeatMode {
    const key = "heartbeat_mode";
    const text = attributeOf(this.stanza, key)?.value;
    const mode = (text ?? "local").toLowerCase();
    if (mode === "global" || mode === "local") return mode;
    this.#wrong(key, text ?? "", "expected is 'local' or 'global'");
    return "local";
  }

  #wrong(key: string, text: string, expected: string): void {
    const message = `the key '${key}'${this.owner} is ${JSON.stringify(text)}; ${expected}`;
    const remedy = text.includes("#")
      ? "put the comment on a line of its own, in column 1"
      : "correct the value";
    this.problem(key, message, remedy);
  }
}
