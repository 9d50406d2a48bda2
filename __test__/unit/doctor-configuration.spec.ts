// What the doctor says of the configuration files, of this host's name and address, of what is registered, and of peers.
import { createServer, type Server } from "node:net";
import test from "ava";
import type { FindingState } from "../../ts/cluster/doctor.ts";
import { findings, says } from "../helpers/doctor.ts";
import { classicLocal, nothingLoaded, registerCluster, type FakeKernel } from "../helpers/fake-native.ts";
import type { Sight } from "../helpers/seeing.ts";

const CONF = "/etc/ocfs2/cluster.conf";
const SETTINGS = "/etc/default/o2cb";
const node = (name: string, number: number, more: Record<string, string | number> = {}): string =>
  `node:\n${Object.entries({
    cluster: "lab",
    name,
    number,
    ip_address: `10.0.0.${number + 1}`,
    ip_port: 7777,
    ...more,
  })
    .map(([key, value]) => `\t${key} = ${value}\n`)
    .join("")}\n`;
const conf = (nodes: readonly string[], more = ""): string =>
  `cluster:\n\tname = lab\n\theartbeat_mode = local\n\tnode_count = ${nodes.length}\n\n${nodes.join("")}${more}`;
const TWO = conf([node("alpha", 0), node("beta", 1)]);
const ENABLED = "O2CB_ENABLED=true\nO2CB_BOOTCLUSTER=lab\n";
const HOST = "/proc/sys/kernel/hostname";

type Row = [
  title: string,
  check: string,
  state: FindingState,
  evidence: RegExp,
  remedy: RegExp | null,
  files: Record<string, string>,
  more?: { sights?: Record<string, Sight>; machine?: () => FakeKernel },
];

const bare = (): FakeKernel => nothingLoaded().kernel;
const both = { [CONF]: TWO, [SETTINGS]: ENABLED };
const LOCAL_ADDRESSES = [
  "Main:",
  "  +-- 0.0.0.0/0 3 0 5",
  "     |-- 10.0.0.0",
  "        /24 link UNICAST",
  "     |-- 10.0.0.1",
  "        /32 host LOCAL",
  "     |-- 10.0.0.255",
  "        /32 link BROADCAST",
].join("\n");

const rows: Row[] = [
  ["a file without fault", "cluster-conf", "good", /nothing is wrong/, null, both],
  ["no file", "cluster-conf", "failure", /there is no \/etc\/ocfs2\/cluster\.conf/, /o2cb apply/, {}],
  [
    "a syntax error",
    "cluster-conf",
    "failure",
    /line 2, column 1: .*tab/,
    /./,
    { [CONF]: "cluster:\nname = lab\n" },
  ],
  [
    "a number that the kernel refuses",
    "cluster-conf",
    "failure",
    /^line \d+, column \d+: .*300/,
    /./,
    { [CONF]: conf([node("alpha", 300, { ip_address: "10.0.0.1" })]) },
  ],
  [
    "an unknown key",
    "cluster-conf",
    "warning",
    /^line \d+, .*'colour'/,
    /take it out/,
    { [CONF]: conf([node("alpha", 0, { colour: "red" })]) },
  ],
  ["settings", "settings", "good", /started with this host/, null, both],
  [
    "no settings",
    "settings",
    "warning",
    /there is no \/etc\/default\/o2cb/,
    /o2cb configure/,
    { [CONF]: TWO },
  ],
  [
    "not started",
    "settings",
    "warning",
    /not started with this host/,
    /O2CB_ENABLED=true/,
    { [CONF]: TWO, [SETTINGS]: "O2CB_ENABLED=false\n" },
  ],
  [
    "a value that is none",
    "settings",
    "failure",
    /line 2: O2CB_IDLE_TIMEOUT_MS is "soon"/,
    /./,
    { [CONF]: TWO, [SETTINGS]: "O2CB_ENABLED=true\nO2CB_IDLE_TIMEOUT_MS=soon\n" },
  ],
  [
    "a cluster that is not in the file",
    "settings",
    "failure",
    /O2CB_BOOTCLUSTER is 'other'/,
    /correct/,
    { [CONF]: TWO, [SETTINGS]: "O2CB_ENABLED=true\nO2CB_BOOTCLUSTER=other\n" },
  ],
  ["this host is a node", "host-name", "good", /'alpha', is node 'alpha' of cluster 'lab'/, null, both],
  [
    "the host has its full name",
    "host-name",
    "good",
    /'alpha\.example\.org', is node 'alpha'/,
    null,
    both,
    { sights: { [HOST]: "alpha.example.org\n" } },
  ],
  [
    "the file has the full name, and the host the short one",
    "host-name",
    "failure",
    /called 'alpha', and cluster 'lab' has a node 'alpha\.example\.org'/,
    /name the node 'alpha'.*or set the host's name/,
    { [CONF]: conf([node("alpha.example.org", 0)]) },
  ],
  [
    "another name",
    "host-name",
    "failure",
    /called 'gamma', and the nodes of cluster 'lab' are 'alpha', 'beta'/,
    /correct the host's name/,
    both,
    { sights: { [HOST]: "gamma\n" } },
  ],
  [
    "two nodes are this host",
    "host-name",
    "failure",
    /'alpha' and 'ALPHA'.* are both this host/,
    /rename/,
    { [CONF]: conf([node("alpha", 0), node("ALPHA", 1)]) },
  ],
  [
    "which cluster is not said",
    "host-name",
    "warning",
    /is not said/,
    /O2CB_BOOTCLUSTER/,
    { [CONF]: "cluster:\n\tname = one\n\tnode_count = 0\n\ncluster:\n\tname = two\n\tnode_count = 0\n\n" },
  ],
  ["registered", "node-registered", "good", /node 'alpha', number 0/, null, both],
  ["not registered", "node-registered", "warning", /host is offline/, /o2cb online/, both, { machine: bare }],
  [
    "registered without this host",
    "node-registered",
    "failure",
    /none of which is this host/,
    /restart/,
    both,
    {
      machine: () => {
        const { kernel } = classicLocal({ unregistered: true });
        for (const one of registerCluster(kernel).nodes.values()) one.local = false;
        return kernel;
      },
    },
  ],
  ["as the file has it", "nodes-equal", "good", /is the one of the file/, null, both],
  [
    "not as the file has it",
    "nodes-equal",
    "failure",
    /node 'gamma' is not registered; node 'beta' is registered, and not in the file/,
    /register-cluster/,
    { [CONF]: conf([node("alpha", 0), node("gamma", 2)]) },
  ],
  [
    "another port",
    "nodes-equal",
    "failure",
    /node 'beta' is registered with other values/,
    /./,
    { [CONF]: conf([node("alpha", 0), node("beta", 1, { ip_port: 7778 })]) },
  ],
  [
    "another cluster",
    "nodes-equal",
    "failure",
    /'lab' is not in/,
    /offline/,
    { [CONF]: "cluster:\n\tname = one\n\tnode_count = 0\n\n" },
  ],
  ["the kernel listens", "local-address", "good", /listens on 10\.0\.0\.1:7777/, null, both],
  [
    "an address of this host",
    "local-address",
    "good",
    /10\.0\.0\.1 of node 'alpha' is an address/,
    null,
    both,
    { machine: bare, sights: { "/proc/net/fib_trie": LOCAL_ADDRESSES } },
  ],
  [
    "an address of the network, not of this host",
    "local-address",
    "failure",
    /10\.0\.0\.255 of node 'alpha' is no address/,
    /ip_address/,
    { [CONF]: conf([node("alpha", 0, { ip_address: "10.0.0.255" })]) },
    { machine: bare, sights: { "/proc/net/fib_trie": LOCAL_ADDRESSES } },
  ],
  [
    "addresses cannot be read",
    "local-address",
    "warning",
    /cannot be read/,
    null,
    both,
    { machine: bare, sights: { "/proc/net/fib_trie": null } },
  ],
];

function files(kernel: FakeKernel, content: Record<string, string>): void {
  for (const [path, text] of Object.entries(content)) kernel.addFile(path, text);
  kernel.markClean();
}

for (const [title, check, state, evidence, remedy, content, { sights, machine } = {}] of rows) {
  test(`${check}: ${title}`, async (t) => {
    const kernel = (machine ?? (() => classicLocal().kernel))();
    files(kernel, content);
    await says(t, check, state, evidence, remedy, findings(kernel, sights));
  });
}

// -- timeouts

async function timeouts(kernel: FakeKernel, settings: string): Promise<Record<string, string>> {
  files(kernel, { [CONF]: TWO, [SETTINGS]: settings });
  const all = await findings(kernel);
  return Object.fromEntries(
    all
      .filter(({ check }) => check === "timeouts")
      .map(({ subject, state, evidence }) => [subject ?? "", `${state}: ${evidence}`]),
  );
}

test("timeouts: the defaults, in force", async (t) => {
  const found = await timeouts(classicLocal().kernel, ENABLED);
  t.is(Object.keys(found).length, 4);
  for (const said of Object.values(found)) t.regex(said, /^good: .* is configured and in force/);
});

test("timeouts: each that is another in the kernel", async (t) => {
  const found = await timeouts(
    classicLocal().kernel,
    "O2CB_HEARTBEAT_THRESHOLD=61\nO2CB_RECONNECT_DELAY_MS=4000\n",
  );
  t.regex(found["O2CB_HEARTBEAT_THRESHOLD"] ?? "", /^failure: .* is 31 in the kernel, and 61 is configured/);
  t.regex(found["O2CB_RECONNECT_DELAY_MS"] ?? "", /^failure: .* is 2000 in the kernel, and 4000/);
  t.regex(found["O2CB_IDLE_TIMEOUT_MS"] ?? "", /^good/);
});

test("timeouts: less than what is safe, of a host that is offline", async (t) => {
  const found = await timeouts(
    nothingLoaded().kernel,
    "O2CB_HEARTBEAT_THRESHOLD=6\nO2CB_IDLE_TIMEOUT_MS=4000\n",
  );
  t.regex(found["O2CB_HEARTBEAT_THRESHOLD"] ?? "", /^warning: .* of 6 is configured, .* less than the 7/);
  t.regex(found["O2CB_IDLE_TIMEOUT_MS"] ?? "", /^warning: .* less than the 5000/);
  t.regex(found["O2CB_KEEPALIVE_DELAY_MS"] ?? "", /^good/);
});

// -- peers

async function listening(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { server, port: address.port };
}

const withPeer = (port: number): Record<string, string> => ({
  [CONF]: conf([node("alpha", 0), node("beta", 1, { ip_address: "127.0.0.1", ip_port: port })]),
  [SETTINGS]: ENABLED,
});

test("peer-reachable: one that answers, and one that does no more", async (t) => {
  const { server, port } = await listening();
  const { kernel } = classicLocal();
  files(kernel, withPeer(port));
  const look = () => findings(kernel, {}, { peersReachable: true });
  await says(t, "peer-reachable", "good", /127\.0\.0\.1:\d+ of node 'beta' answers/, null, look());
  await new Promise((resolve) => server.close(resolve));
  await says(t, "peer-reachable", "warning", /refuses connections/, /o2cb online on 'beta'/, look());
});

test("peer-reachable: one that is connected is not disturbed", async (t) => {
  const { server, port } = await listening();
  let connections = 0;
  server.on("connection", () => (connections += 1));
  const { kernel } = classicLocal();
  kernel.network.connectedPeers.add(1);
  files(kernel, withPeer(port));
  const found = findings(kernel, {}, { peersReachable: true });
  await says(t, "peer-reachable", "good", /'beta' is connected/, null, found);
  t.is(connections, 0);
  await new Promise((resolve) => server.close(resolve));
});

test("peer-reachable: nobody is tried unless asked", async (t) => {
  const { kernel } = classicLocal();
  files(kernel, withPeer(9));
  t.false((await findings(kernel)).some(({ check }) => check === "peer-reachable"));
});
