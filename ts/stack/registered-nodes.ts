// The nodes of a registered cluster, as the kernel knows them.
//
// Facts relied on: kernel-abi 1.2, 1.4. An attribute that was never set reads as 0 or 0.0.0.0.
import { readOptional } from "../attributes.ts";
import type { Native } from "../native-types.ts";

export interface RegisteredNode {
  name: string;
  /** null where it was never set, as the next two */
  number: number | null;
  address: string | null;
  port: number | null;
  /** it is this host */
  local: boolean;
}

/** What is known of a cluster by where its heartbeat is. */
interface Cluster {
  heartbeatDirectory: string;
}

/** `<configfs>/cluster/<name>` */
export function clusterDirectory({ heartbeatDirectory }: Cluster): string {
  return heartbeatDirectory.replace(/\/heartbeat$/, "");
}

/** By name. Errors: those of reading configfs. */
export async function registeredNodes(native: Native, cluster: Cluster): Promise<RegisteredNode[]> {
  const directory = `${clusterDirectory(cluster)}/node`;
  const names = await native.listDirectories(directory);
  return Promise.all(names.toSorted().map((name) => readNode(native, `${directory}/${name}`, name)));
}

async function readNode(native: Native, directory: string, name: string): Promise<RegisteredNode> {
  const [number, address, port, local] = await Promise.all(
    ["num", "ipv4_address", "ipv4_port", "local"].map(
      async (file) => (await readOptional(native, `${directory}/${file}`))?.trim() ?? "",
    ),
  );
  const hasPort = Number(port) > 0;
  const isSet = hasPort && address !== "0.0.0.0";
  return {
    name,
    // Only what has an address and a port can have a number (kernel-abi 1.4); before that it reads as 0.
    number: isSet && /^\d{1,3}$/.test(number ?? "") ? Number(number) : null,
    address: address === "" || address === "0.0.0.0" ? null : (address ?? null),
    port: hasPort ? Number(port) : null,
    local: Number(local) > 0,
  };
}
