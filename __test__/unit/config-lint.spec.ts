// The linter's findings, one by one, and that a good file has none; the digest that nodes compare.
import test from "ava";
import * as fc from "fast-check";
import { ConfDocument } from "../../ts/config/cluster-conf.ts";
import { effectiveConfig } from "../../ts/config/digest.ts";
import { lintText, type LintOptions } from "../../ts/config/lint.ts";
import { clusterConfig, type ConfiguredCluster } from "../../ts/config/model.ts";

const REGION = "77D95EF51C0149D2823674FCC162CF8B";
const OTHER = "DCDA2845177F4D59A0F2DCD8DE507CC3";
const stanza = (type: string, values: Record<string, string>): string =>
  `${type}:\n${Object.entries(values)
    .map(([key, value]) => `\t${key} = ${value}\n`)
    .join("")}\n`;
const cluster = (values: Record<string, string> = {}): string =>
  stanza("cluster", { name: "web", node_count: "2", heartbeat_mode: "local", ...values });
const node = (name: string, number: number, values: Record<string, string> = {}): string =>
  stanza("node", {
    ...{ cluster: "web", name, number: String(number), ip_address: `10.0.0.${number}`, ip_port: "7777" },
    ...values,
  });
const heartbeat = (region: string): string => stanza("heartbeat", { cluster: "web", region });

const PAIR = node("n1", 1) + node("n2", 2);
const GOOD = cluster() + PAIR;

const lint = (text: string, options: LintOptions = {}): string[] =>
  lintText(text, "/c", options).map((one) => {
    return `${one.severity} ${one.line}:${one.column} ${one.key}: ${one.message}`;
  });

test("a good file has no findings, with its last LF or without", (t) => {
  const global = cluster({ heartbeat_mode: "global" }) + PAIR;
  for (const text of ["", GOOD, GOOD.trimEnd(), `# c\n${PAIR}${cluster()}`, global + heartbeat(REGION)])
    t.deepEqual(lint(text, text === "" ? {} : { hostname: "N2.example.org" }), [], text);
});

const nodeChange = (values: Record<string, string>): string =>
  cluster() + node("n1", 1) + node("n2", 2, values);
const many = (count: number, one: (n: number) => string): string =>
  Array.from({ length: count }, (_, n) => one(n)).join("");
const regions = (count: number): string =>
  many(count, (n) => heartbeat(n.toString(16).toUpperCase().padStart(32, "0")));

const cases: [title: string, text: string, finding: RegExp, options?: LintOptions][] = [
  ["a syntax error", "x y\n", /^error 1:2 null: '\/c', line 1, column 2: stanza 'x'/],
  [
    "what the C tool refuses",
    nodeChange({ number: "x" }),
    /^error 16:11 number: .*"x"; expected is a decimal number/,
  ],
  ["no name", "cluster:\n\tnode_count = 0\n", /^error 1:1 name: .*missing/],
  [
    "node_count",
    cluster({ node_count: "3" }) + PAIR,
    /^warning 3:15 node_count: .* 'web' is 3, and it has 2 nodes/,
  ],
  ["a cluster's name", GOOD.replaceAll("web", "we-b"), /^error 2:9 name: .*'we-b'; expected are 1 to 16/],
  [
    "a number twice",
    nodeChange({ number: "1" }),
    /^error 16:11 number: node 'n2' has the number 1, as node 'n1'/,
  ],
  [
    "an address twice",
    nodeChange({ ip_address: "10.0.0.1", ip_port: "1" }),
    /^error 17:15 ip_address: node 'n2' has the address 10.0.0.1, as/,
  ],
  [
    "an address and port twice",
    nodeChange({ ip_address: "10.0.0.1" }),
    /^error 17:15 .*the address 10.0.0.1 and the port 7777, as node 'n1'/,
  ],
  [
    "a number too high",
    nodeChange({ number: "255" }),
    /^error 16:11 number: .*255; expected is a number from 0 to 254/,
  ],
  ["port 0", nodeChange({ ip_port: "0" }), /^error 18:12 ip_port: .*1 to 65534/],
  ["port 65535", nodeChange({ ip_port: "65535" }), /^error 18:12 ip_port: .*65535; /],
  ["IPv6", nodeChange({ ip_address: "fe80::1" }), /^error 17:15 ip_address: .*no IPv6/],
  ["a slash in a name", nodeChange({ name: "a/b" }), /^error 15:9 name: .*no slash/],
  ["a long name", nodeChange({ name: "n".repeat(65) }), /^error 15:9 name: .*64 bytes/],
  ["a line break in a name", nodeChange({ name: "a\\\nb" }), /^error 15:9 name: .*control characters/],
  ["an odd name", nodeChange({ name: "a b!" }), /^warning 15:9 name: .*can hardly be a host's/],
  [
    "a comment in a name",
    nodeChange({ name: "n2" }).replace("= n2", "= n2 # x"),
    /^warning 15:9 name: .*"n2 # x": what looks like a comment/,
  ],
  [
    "a comment behind a number",
    cluster({ node_count: "2 # x" }) + PAIR,
    /^error 3:15 node_count: .*"2 # x"; expected/,
  ],
  [
    "an unknown key",
    cluster({ colour: "red" }) + PAIR,
    /^warning 5:2 colour: the key 'colour' of a cluster is unknown/,
  ],
  [
    "a key in another case",
    cluster({ Name: "x" }) + PAIR,
    /^warning 5:2 Name: the key 'Name' of a cluster is unknown/,
  ],
  [
    "a key twice",
    cluster().replace("\tnode", "\tname = web\n\tnode") + PAIR,
    /^warning 2:2 name: .*again below/,
  ],
  ["an unknown stanza", `fence:\n\n${GOOD}`, /^warning 1:1 null: the stanza 'fence' is unknown/],
  ["a stanza in another case", `Node:\n\n${GOOD}`, /^warning 1:1 null: the stanza 'Node' is unknown/],
  [
    "a node of no cluster",
    GOOD + node("n3", 3, { cluster: "wep" }),
    /^warning 21:12 cluster: this node names the cluster 'wep', which is not here/,
  ],
  [
    "a node without a cluster",
    `${GOOD}node:\n\tname = x\n`,
    /^warning 20:1 cluster: this node names no cluster: it is ignored/,
  ],
  [
    "a region of no cluster",
    GOOD + heartbeat(REGION).replace("web", "x"),
    /^warning 21:12 cluster: this heartbeat names/,
  ],
  [
    "global without regions",
    cluster({ heartbeat_mode: "global" }) + PAIR,
    /^error 4:19 heartbeat_mode: .*no region to beat on/,
  ],
  ["regions in local mode", GOOD + heartbeat(REGION), /^warning 22:11 region: .*its 1 regions are not used/],
  [
    "33 regions",
    cluster({ heartbeat_mode: "global" }) + PAIR + regions(33),
    /^error 1:1 null: .*33 heartbeat regions/,
  ],
  [
    "no UUID",
    cluster({ heartbeat_mode: "global" }) + PAIR + heartbeat("/dev/sdb"),
    /^error 22:11 region: .*'\/dev\/sdb'; expected is the volume's UUID/,
  ],
  [
    "a lower-case UUID",
    cluster({ heartbeat_mode: "global" }) + PAIR + heartbeat(REGION.toLowerCase()),
    /^error 22:11 region: /,
  ],
  [
    "256 nodes",
    cluster({ node_count: "256" }) + many(256, (n) => node(`n${n}`, n)),
    /^error 1:1 null: .*256 nodes/,
  ],
  [
    "a foreign host",
    GOOD,
    /^error 1:1 name: no node of cluster 'web' is this host, 'n3.example'/,
    { hostname: "n3.example" },
  ],
  ["one that is longer", GOOD, /^error 1:1 name: no node/, { hostname: "n11" }],
  [
    "two nodes are this host",
    GOOD.replace("= n2", "= N1.example"),
    /^error 13:1 name: the nodes 'n1' and 'N1.example' are both/,
    { hostname: "n1.example" },
  ],
];

for (const [title, text, finding, options] of cases)
  test(`found: ${title}`, (t) => {
    const found = lint(text, options);
    t.true(
      found.some((one) => finding.test(one)),
      found.join("\n") || "nothing found",
    );
    for (const { remedy } of lintText(text, "/c", options)) t.truthy(remedy);
    // 256 nodes cannot all have numbers and addresses.
    if (title !== "256 nodes") t.is(found.length, 1, found.join("\n"));
  });

test("of several clusters, only the one that is wanted must have this host", (t) => {
  const text = GOOD + GOOD.replaceAll("web", "db").replaceAll("= n", "= m");
  t.deepEqual(lint(text, { hostname: "n1" }), []);
  t.deepEqual(lint(text, { hostname: "n1", cluster: "web" }), []);
  t.regex(
    lint(text, { hostname: "n1", cluster: "db" }).join("\n"),
    /^error 20:1 name: no node of cluster 'db'/,
  );
});

test("findings come in the file's order, and all at once", (t) => {
  const text = cluster({ node_count: "x" }) + node("n1", 1) + node("n2", 1, { ip_port: "x" }) + node("n3", 1);
  t.deepEqual(
    lint(text).map((one) => one.split(" ").slice(0, 3).join(" ")),
    ["error 3:15 node_count:", "error 18:12 ip_port:", "error 23:11 number:", "error 24:15 ip_address:"],
  );
});

// -- the digest

const TIMEOUTS = {
  heartbeatThreshold: 31,
  idleTimeoutMs: 30_000,
  keepaliveDelayMs: 2000,
  reconnectDelayMs: 2000,
};
const read = (text: string): ConfiguredCluster =>
  clusterConfig(new ConfDocument(text)).clusters[0] as ConfiguredCluster;
const digest = (text: string, timeouts = TIMEOUTS): string => effectiveConfig(read(text), timeouts).sha256;
const GLOBAL = cluster({ heartbeat_mode: "global" }) + PAIR + heartbeat(REGION) + heartbeat(OTHER);

test("the canonical text", (t) => {
  const { text, sha256 } = effectiveConfig(read(GLOBAL), TIMEOUTS);
  t.is(
    text,
    `ocfs2-group configuration 1
cluster "web"
heartbeat-mode global
node 1 10.0.0.1 7777 "n1"
node 2 10.0.0.2 7777 "n2"
region "${REGION}"
region "${OTHER}"
heartbeat-threshold 31
idle-timeout-ms 30000
keepalive-delay-ms 2000
reconnect-delay-ms 2000
`,
  );
  t.is(sha256, "4bffe469a9cc29b1e7df276701fda86af1343677c2e8592a032ca6dc82c32ffc");
});

test("order, comments, numbers' forms, node_count and other clusters do not change the digest", (t) => {
  const parts = [cluster({ heartbeat_mode: "GLOBAL", node_count: "7" }), node("n1", 1), heartbeat(REGION)];
  const more = [
    heartbeat(OTHER),
    node("n2", 2, { number: "+02", ip_port: "07777" }),
    "# c\n\n",
    "x:\n\ty = z\n\n",
  ];
  const foreign = [stanza("cluster", { name: "db", node_count: "0" }), node("n3", 3, { cluster: "none" })];
  const expected = digest(GLOBAL);
  const all = [...parts, ...more, ...foreign];
  const run = fc.check(
    fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (shuffled) => {
      const found = clusterConfig(new ConfDocument(shuffled.join(""))).clusters.find(
        ({ name }) => name === "web",
      );
      return found !== undefined && effectiveConfig(found, TIMEOUTS).sha256 === expected;
    }),
    { numRuns: 200 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
});

test("in local mode regions do not count", (t) => {
  t.is(digest(GOOD + heartbeat(REGION)), digest(GOOD));
});

test("everything that nodes must agree on changes the digest", (t) => {
  const others = [
    GLOBAL.replaceAll("web", "wob"),
    GLOBAL.replace("global", "local"),
    GLOBAL.replace("= n2", "= N2"),
    GLOBAL.replace("number = 2", "number = 3"),
    GLOBAL.replace("10.0.0.2", "10.0.0.3"),
    GLOBAL.replace("7777", "7778"),
    GLOBAL.replace(REGION, "0".repeat(32)),
    cluster({ heartbeat_mode: "global" }) + PAIR + heartbeat(REGION),
    cluster({ heartbeat_mode: "global" }) + node("n1", 1) + heartbeat(REGION) + heartbeat(OTHER),
  ].map((text) => digest(text));
  const timeouts = Object.keys(TIMEOUTS).map((key) => digest(GLOBAL, { ...TIMEOUTS, [key]: 9 }));
  t.is(new Set([digest(GLOBAL), ...others, ...timeouts]).size, 1 + others.length + timeouts.length);
});
