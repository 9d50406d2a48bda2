// The machine in its network: its name, its addresses, and the peers that it sees or talks to. Tests set these; nothing changes by itself.
//
// Facts relied on: kernel-abi 1.3 (idle and keepalive stand still while a peer is connected), 1.4 (`local` opens a socket on the node's
// address), 3 (how debugfs lists nodes).

export class FakeNetwork {
  /** as /proc/sys/kernel/hostname reads */
  hostname = "alpha";
  /** this machine's own; null: every address is */
  addresses: ReadonlySet<string> | null = null;
  /** numbers of nodes whose heartbeat this one sees, besides its own */
  readonly livePeers = new Set<number>();
  /** numbers of nodes with a connection */
  readonly connectedPeers = new Set<number>();
}

/** A list of nodes as the kernel prints it: `1 2 \n`, and a bare newline for none. */
export function nodeList(numbers: Iterable<number>): string {
  return `${[...numbers]
    .toSorted((a, b) => a - b)
    .map((number) => `${number} `)
    .join("")}\n`;
}
