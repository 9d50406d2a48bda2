// A cluster of cluster.conf made as it is wanted: what is right stays where it is, with its comments and unknown keys.
//
// Facts relied on: config/edit.ts (adding and removing, node_count, what is refused). A node that changes is changed in place, so that two
// can change numbers; what would be left with two nodes of one number or address is refused before, with the desired state.
import { valueOf, type ConfDocument } from "../config/cluster-conf.ts";
import {
  addCluster,
  addHeartbeat,
  addNode,
  removeHeartbeat,
  removeNode,
  setHeartbeatMode,
} from "../config/edit.ts";
import { findCluster, interpret } from "../config/model.ts";
import type { DesiredNode, DesiredState } from "./desired-state.ts";

/** Errors: O2CB_CONFIGURATION_ERROR, those of edit.ts. */
export function applyToDocument(document: ConfDocument, { cluster }: DesiredState): void {
  const { name, mode, nodes } = cluster;
  if (!document.stanzas.some((one) => one.type === "cluster" && valueOf(one, "name") === name))
    addCluster(document, name);
  const before = findCluster(interpret(document).config, name);
  if (before?.mode !== mode) setHeartbeatMode(document, name, mode);
  for (const node of before?.nodes ?? [])
    if (!nodes.some((one) => one.name === node.name)) removeNode(document, name, node.name);
  for (const node of nodes) {
    if (before?.nodes.some((one) => one.name === node.name)) changeNode(document, name, node);
  }
  for (const node of nodes) {
    if (!before?.nodes.some((one) => one.name === node.name)) addNode(document, name, node);
  }
  if (cluster.heartbeats === undefined) return;
  const regions = before?.heartbeats.map(({ region }) => region) ?? [];
  for (const region of regions)
    if (!cluster.heartbeats.includes(region)) removeHeartbeat(document, name, region);
  for (const region of cluster.heartbeats)
    if (!regions.includes(region)) addHeartbeat(document, name, region);
}

function changeNode(document: ConfDocument, cluster: string, node: DesiredNode): void {
  const values = [
    ["number", String(node.number)],
    ["ip_address", node.address],
    ["ip_port", String(node.port)],
  ] as const;
  for (const [key, value] of values) {
    // Each change makes new stanzas.
    const stanza = document.stanzas.find(
      (one) =>
        one.type === "node" && valueOf(one, "cluster") === cluster && valueOf(one, "name") === node.name,
    );
    if (stanza !== undefined && valueOf(stanza, key) !== value) document.setValue(stanza, key, value);
  }
}
