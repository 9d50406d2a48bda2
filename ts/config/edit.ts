// Changes of a cluster.conf in place: comments, order, unknown keys and stanzas stay; `node_count` follows the number of nodes.
//
// Facts relied on: what is written must be readable by the C tools (group-api 6.1, K17); the kernel wants numbers and addresses that no
// other node of the cluster has (5.3), and at most 32 regions.
//
// What is in the file is only looked at as far as an edit needs it, so that a file that cannot be loaded can be repaired: the store
// checks the result.
import { attributeOf, valueOf, type ConfDocument, type ConfStanza } from "./cluster-conf.ts";
import * as names from "./names.ts";
import { parseNumber } from "./model.ts";
import type { ErrorCode } from "../error-codes.ts";
import { O2cbError } from "../errors.ts";
import type { HeartbeatMode } from "../steps.ts";

export interface NewNode {
  name: string;
  address: string;
  /** default 7777 */
  port?: number | undefined;
  /** default: the lowest that is free */
  number?: number | undefined;
}

/** Errors: O2CB_CLUSTER_EXISTS, O2CB_INVALID_CLUSTER_NAME. */
export function addCluster(document: ConfDocument, name: string): void {
  names.validateClusterName(name);
  if (clusters(document, name).length > 0)
    refuse("O2CB_CLUSTER_EXISTS", document, name, `cluster '${name}' is in '${document.path}' already`);
  document.append("cluster", [
    ["name", name],
    ["heartbeat_mode", "local"],
    ["node_count", "0"],
  ]);
  recount(document, name);
}

/** Takes a cluster out, with its nodes and heartbeat regions. Errors: O2CB_CONFIGURATION_ERROR. */
export function removeCluster(document: ConfDocument, name: string): void {
  known(document, name);
  document.remove([
    ...clusters(document, name),
    ...members(document, "node", name),
    ...members(document, "heartbeat", name),
  ]);
}

/** Returns the node's number. Errors: O2CB_NODE_EXISTS, O2CB_INVALID_NODE_NUM, O2CB_CONFIGURATION_ERROR. */
export function addNode(document: ConfDocument, cluster: string, node: NewNode): number {
  known(document, cluster);
  const name = names.validateNodeName(node.name);
  const address = names.validateAddress(node.address);
  const port = names.validatePort(node.port ?? names.DEFAULT_PORT);
  const others = members(document, "node", cluster);
  const taken = (what: string, holder: ConfStanza | undefined): void => {
    if (holder === undefined) return;
    const by = valueOf(holder, "name") ?? "";
    const message = `cannot add node '${name}' to cluster '${cluster}': node '${by}' has this ${what} already`;
    refuse("O2CB_NODE_EXISTS", document, cluster, message, `give another ${what}`);
  };
  taken(
    "name",
    others.find((one) => valueOf(one, "name") === name),
  );
  taken(
    "address",
    others.find((one) => valueOf(one, "ip_address") === address),
  );
  const numbers = others.map((one) => parseNumber(valueOf(one, "number") ?? "", names.MAX_NUMBER));
  const number = node.number === undefined ? lowestFree(numbers) : names.validateNumber(node.number);
  if (number > names.MAX_NUMBER) {
    const message = `cannot add node '${name}': cluster '${cluster}' has all ${names.MAX_NODES} nodes that it can have`;
    refuse("O2CB_CONFIGURATION_ERROR", document, cluster, message, "remove a node first");
  }
  taken("number", others[numbers.indexOf(number)]);
  document.append("node", [
    ["cluster", cluster],
    ["number", String(number)],
    ["ip_port", String(port)],
    ["ip_address", address],
    ["name", name],
  ]);
  recount(document, cluster);
  return number;
}

/** Errors: O2CB_CONFIGURATION_ERROR. */
export function removeNode(document: ConfDocument, cluster: string, name: string): void {
  known(document, cluster);
  const found = members(document, "node", cluster).filter((one) => valueOf(one, "name") === name);
  if (found.length === 0) absent(document, cluster, `cluster '${cluster}' has no node '${name}'`);
  document.remove(found);
  recount(document, cluster);
}

/** Returns the region's name. Errors: O2CB_REGION_EXISTS, O2CB_INVALID_REGION_NAME, O2CB_CONFIGURATION_ERROR. */
export function addHeartbeat(document: ConfDocument, cluster: string, uuid: string): string {
  known(document, cluster);
  const region = names.validateRegion(uuid);
  const others = members(document, "heartbeat", cluster);
  if (others.some((one) => isRegion(one, region))) {
    const message = `cluster '${cluster}' has the heartbeat region '${region}' already`;
    refuse("O2CB_REGION_EXISTS", document, cluster, message);
  }
  if (others.length >= names.MAX_REGIONS) {
    const message = `cluster '${cluster}' has ${others.length} heartbeat regions, and the kernel takes no more than ${names.MAX_REGIONS}`;
    refuse("O2CB_CONFIGURATION_ERROR", document, cluster, message, "remove a region first");
  }
  document.append("heartbeat", [
    ["cluster", cluster],
    ["region", region],
  ]);
  return region;
}

/** Any text that the file has as a region can be taken out, a UUID also in another form. Errors: O2CB_CONFIGURATION_ERROR. */
export function removeHeartbeat(document: ConfDocument, cluster: string, region: string): void {
  known(document, cluster);
  const all = members(document, "heartbeat", cluster);
  const exact = all.filter((one) => (valueOf(one, "region") ?? "") === region);
  const found = exact.length > 0 ? exact : all.filter((one) => isRegion(one, region));
  if (found.length === 0)
    absent(document, cluster, `cluster '${cluster}' has no heartbeat region '${region}'`);
  document.remove(found);
}

/** Errors: O2CB_CONFIGURATION_ERROR. */
export function setHeartbeatMode(document: ConfDocument, cluster: string, mode: HeartbeatMode): void {
  known(document, cluster);
  change(document, cluster, "heartbeat_mode", mode);
}

function clusters(document: ConfDocument, name: string): ConfStanza[] {
  return document.stanzas.filter((one) => one.type === "cluster" && valueOf(one, "name") === name);
}

function members(document: ConfDocument, type: string, cluster: string): ConfStanza[] {
  return document.stanzas.filter((one) => one.type === type && valueOf(one, "cluster") === cluster);
}

function recount(document: ConfDocument, cluster: string): void {
  change(document, cluster, "node_count", String(members(document, "node", cluster).length));
}

/** In every stanza of the name: each change makes new stanzas. */
function change(document: ConfDocument, cluster: string, key: string, value: string): void {
  for (;;) {
    const stanza = clusters(document, cluster).find((one) => attributeOf(one, key)?.value !== value);
    if (stanza === undefined) return;
    document.setValue(stanza, key, value, "name");
  }
}

/** Whether the region is this one, in whatever form the two UUIDs are. */
function isRegion(stanza: ConfStanza, region: string): boolean {
  const plain = (text: string): string => text.replaceAll("-", "").toUpperCase();
  return plain(valueOf(stanza, "region") ?? "") === plain(region);
}

function lowestFree(numbers: readonly (number | null)[]): number {
  let number = 0;
  while (numbers.includes(number)) number += 1;
  return number;
}

function known(document: ConfDocument, cluster: string): void {
  if (clusters(document, cluster).length > 0) return;
  const message = `there is no cluster '${cluster}' in '${document.path}'`;
  refuse("O2CB_CONFIGURATION_ERROR", document, cluster, message, "see its clusters: o2cb list-clusters");
}

function absent(document: ConfDocument, cluster: string, message: string): never {
  return refuse(
    "O2CB_CONFIGURATION_ERROR",
    document,
    cluster,
    message,
    `see what it has: o2cb list-cluster ${cluster}`,
  );
}

function refuse(
  code: ErrorCode,
  document: ConfDocument,
  cluster: string,
  message: string,
  remedy?: string,
): never {
  throw new O2cbError(code, message, {
    operation: "edit-configuration",
    path: document.path,
    cluster,
    remedy,
  });
}
