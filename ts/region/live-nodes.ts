// Which nodes the kernel sees, as debugfs lists them.
//
// Facts relied on: kernel-abi 3: decimal numbers, each followed by a blank; a bare newline for none. The whole of debugfs may be absent.
import { readHint } from "../attributes.ts";
import type { Native } from "../native-types.ts";

const DEBUG = "/sys/kernel/debug";

/** Numbers of the nodes that beat in a region, or in any; null where debugfs does not tell. */
export function liveNodes(native: Native, region: string | null = null): Promise<number[] | null> {
  return nodeList(native, region === null ? "o2hb/livenodes" : `o2hb/${region}/livenodes`);
}

/** Numbers of the nodes with a connection; likewise. */
export function connectedNodes(native: Native): Promise<number[] | null> {
  return nodeList(native, "o2net/connected_nodes");
}

async function nodeList(native: Native, file: string): Promise<number[] | null> {
  const text = await readHint(native, `${DEBUG}/${file}`);
  return text === null ? null : text.split(/\s+/).filter(Boolean).map(Number);
}
