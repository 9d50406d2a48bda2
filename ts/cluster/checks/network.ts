// The cluster's network: is the local node's address on this host, and does each peer's port answer?
//
// Facts relied on: `local` of a node opens the kernel's listener on its address (kernel-abi 1.4), so a registered local node proves the
// address. /proc/net/fib_trie lists local addresses as `|-- ADDRESS` followed by `/32 host LOCAL` (kernel Documentation:
// networking/fib_trie). The higher number connects, the lower accepts; a peer that is connected already (debugfs o2net/connected_nodes)
// needs no probe. A firewall that drops shows as silence until the deadline, a missing listener as ECONNREFUSED.
import { connect } from "node:net";
import { readHint } from "../../attributes.ts";
import { failure, good, warning, type Finding } from "./finding.ts";
import type { Native } from "../../native-types.ts";
import { connectedNodes } from "../../region/live-nodes.ts";

const DEADLINE_MS = 3000;
const FIB = "/proc/net/fib_trie";

export interface NodeAddress {
  name: string;
  number: number;
  address: string;
  port: number;
}

/** `registered`: the kernel has it as this host's node and listens there. */
export async function localAddressFinding(
  native: Native,
  node: NodeAddress,
  registered: boolean,
): Promise<Finding> {
  const id = "local-address";
  if (registered)
    return good(id, `the kernel listens on ${node.address}:${node.port} for node '${node.name}'`, node.name);
  const text = await readHint(native, FIB);
  if (text === null)
    return warning(
      id,
      `${FIB} cannot be read, so whether ${node.address} of node '${node.name}' is an address of this host is not known`,
      null,
      node.name,
    );
  if (localAddresses(text).has(node.address))
    return good(id, `${node.address} of node '${node.name}' is an address of this host`, node.name);
  return failure(
    id,
    `${node.address} of node '${node.name}' is no address of this host`,
    "bring the interface up, or correct ip_address of this node in cluster.conf on all nodes",
    node.name,
  );
}

function localAddresses(text: string): Set<string> {
  const found = new Set<string>();
  let last = "";
  for (const line of text.split("\n")) {
    const address = /\|-- (\d+\.\d+\.\d+\.\d+)/.exec(line)?.[1];
    if (address !== undefined) last = address;
    else if (/\/32 host LOCAL/.test(line)) found.add(last);
  }
  return found;
}

export async function peerFindings(
  native: Native,
  peers: readonly NodeAddress[],
  signal: AbortSignal | undefined,
): Promise<Finding[]> {
  const connected = (await connectedNodes(native)) ?? [];
  return Promise.all(peers.map((peer) => peerFinding(peer, connected.includes(peer.number), signal)));
}

async function peerFinding(
  { name, address, port }: NodeAddress,
  isConnected: boolean,
  signal: AbortSignal | undefined,
): Promise<Finding> {
  const id = "peer-reachable";
  const where = `${address}:${port}`;
  if (isConnected) return good(id, `node '${name}' is connected`, name);
  const problem = await probe(address, port, signal);
  if (problem === null) return good(id, `${where} of node '${name}' answers`, name);
  if (problem === "ECONNREFUSED")
    return warning(
      id,
      `${where} of node '${name}' refuses connections: its cluster is not online, or it listens elsewhere`,
      `run o2cb online on '${name}', and compare its address and port in cluster.conf`,
      name,
    );
  return failure(
    id,
    problem === "silence"
      ? `${where} of node '${name}' did not answer within ${DEADLINE_MS / 1000} s: the host is down, or a firewall drops`
      : `${where} of node '${name}' cannot be reached (${problem})`,
    `open TCP port ${port} between the nodes, and look at the network and at '${name}'`,
    name,
  );
}

/** What came instead of a connection; null where one was made. */
function probe(address: string, port: number, signal: AbortSignal | undefined): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, family: 4 });
    const timer = setTimeout(() => end("silence"), DEADLINE_MS);
    const abort = (): void => end("given up");
    const end = (problem: string | null): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      socket.destroy();
      resolve(problem);
    };
    signal?.addEventListener("abort", abort);
    socket.once("connect", () => end(null));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    if (signal?.aborted) abort();
  });
}
