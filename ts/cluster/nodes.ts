// The nodes of a cluster as they are to be registered: what the kernel would refuse is refused here, before anything is touched, and
// which of them is this host.
//
// Facts relied on: group-api 5.3 (what the kernel takes: config/names.ts), 5.5 (a node is local where its name is this machine's host name, in any
// case, up to the end or a dot), kernel-abi 1.4 (what the kernel says of `local`). The host name is the kernel's own, as
// gethostname(2) tells it.
//
// Unlike the C tool: no local node, or two, is an error before anything is written (it exits 0, or fails half-way).
import { readOptional } from "../attributes.ts";
import { isThisHost } from "../config/model.ts";
import { addressProblem, nodeNameProblem, numberProblem, portProblem } from "../config/names.ts";
import { errnoName, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import type { HeartbeatMode } from "../steps.ts";
import type { DesiredNode } from "./desired-state.ts";

/** A cluster of cluster.conf, or of a desired state. */
export interface WantedCluster {
  name: string;
  mode: HeartbeatMode;
  nodes: readonly DesiredNode[];
  heartbeats?: readonly (string | { region: string })[] | undefined;
}

const HOSTNAME = "/proc/sys/kernel/hostname";

/** Errors: O2CB_HOSTNAME_UNKNOWN. */
export async function hostName(native: Native, signal?: AbortSignal): Promise<string> {
  const name = (await readOptional(native, HOSTNAME, signal))?.trim() ?? "";
  if (name !== "" && name !== "(none)") return name;
  throw new O2cbError("O2CB_HOSTNAME_UNKNOWN", "this host has no name, so that no node can be this host", {
    operation: "find-node",
    path: HOSTNAME,
    remedy: "set the host name (hostnamectl hostname NAME)",
  });
}

/** Errors: O2CB_CONFIGURATION_ERROR with what the kernel would refuse. */
export function checkNodes(cluster: string, nodes: readonly DesiredNode[]): void {
  const refuse = (message: string): never => {
    throw new O2cbError("O2CB_CONFIGURATION_ERROR", message, {
      operation: "register-cluster",
      cluster,
      remedy: "correct /etc/ocfs2/cluster.conf, on all nodes alike",
    });
  };
  for (const { name, number, address, port } of nodes) {
    const say = (what: string, value: string | number, problem: string | null): void => {
      if (problem !== null) refuse(`the ${what} of node '${name}' is '${value}'; ${problem}`);
    };
    say("name", name, nodeNameProblem(name));
    say("number", number, numberProblem(number));
    say("address", address, addressProblem(address));
    say("port", port, portProblem(port));
  }
  for (const key of ["name", "number", "address"] as const) {
    nodes.forEach((node, index) => {
      const first = nodes.find((one) => one[key] === node[key]);
      if (first !== undefined && nodes.indexOf(first) !== index)
        refuse(`the nodes '${first.name}' and '${node.name}' have the same ${key} ${node[key]}`);
    });
  }
}

/** Errors: O2CB_CONFIGURATION_ERROR where no node is this host, or several are. */
export function findLocalNode(cluster: string, nodes: readonly DesiredNode[], hostname: string): DesiredNode {
  const [found, other] = nodes.filter(({ name }) => isThisHost(name, hostname));
  const fields = { operation: "find-node", cluster };
  if (found === undefined)
    throw new O2cbError(
      "O2CB_CONFIGURATION_ERROR",
      `none of the ${nodes.length} nodes of cluster '${cluster}' is this host, whose name is '${hostname}'`,
      {
        ...fields,
        remedy: "name this host in /etc/ocfs2/cluster.conf as `hostname` prints it, or up to one of its dots",
      },
    );
  if (other === undefined) return found;
  throw new O2cbError(
    "O2CB_CONFIGURATION_ERROR",
    `the nodes '${found.name}' and '${other.name}' of cluster '${cluster}' both mean this host, whose name is '${hostname}'`,
    { ...fields, remedy: "rename or remove one of the two in /etc/ocfs2/cluster.conf" },
  );
}

/** What the kernel's refusal of `local` means, as an error. */
export function explainLocal(error: unknown, cluster: string, node: DesiredNode, path: string): unknown {
  const where = `${node.address}:${node.port}`;
  const known: Record<string, [string, string]> = {
    EADDRNOTAVAIL: [
      `${node.address} is no address of this host`,
      "bring the address up, or correct it in /etc/ocfs2/cluster.conf on all nodes",
    ],
    EADDRINUSE: [
      `something on this host listens on ${where} already`,
      "see who does with ss -tlnp, or give the cluster another port on all nodes",
    ],
    EBUSY: [
      "another node is registered as this host, or was once",
      `take the cluster offline and register it anew: o2cb unregister-cluster ${cluster}`,
    ],
  };
  const [reason, remedy] = known[errnoName(error) ?? ""] ?? [];
  if (reason === undefined) return error;
  const { errno, syscall } = error as O2cbError;
  return new O2cbError(
    "O2CB_CONFIGURATION_ERROR",
    `node '${node.name}' of cluster '${cluster}' cannot be this host: ${reason}`,
    { operation: "register-cluster", cluster, path, errno, syscall, remedy, cause: error },
  );
}
