// What a cluster.conf means: the rules of the C tool's load, and the same by the C tool where it is installed.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { ConfDocument } from "../../ts/config/cluster-conf.ts";
import * as model from "../../ts/config/model.ts";
import { O2cbError, type ErrorCode } from "../../ts/errors.ts";
import { findCTool, runCTool } from "../helpers/o2cb/c-tool.ts";

const tool = findCTool();
const againstTool = tool === null ? test.skip : test;
const title = (what: string): string => (tool === null ? `${what} [no C tool on this machine]` : what);

const REGION = "77D95EF51C0149D2823674FCC162CF8B";
const stanza = (type: string, values: Record<string, string | null>): string =>
  `${type}:\n${Object.entries(values)
    .map(([key, value]) => (value === null ? "" : `\t${key} = ${value}\n`))
    .join("")}\n`;
const node = (values: Record<string, string | null> = {}): string =>
  stanza("node", {
    cluster: "a",
    name: "n",
    number: "1",
    ip_address: "10.0.0.1",
    ip_port: "7777",
    ...values,
  });
const cluster = (values: Record<string, string | null> = {}): string =>
  stanza("cluster", { name: "a", node_count: "1", ...values });
const heartbeat = (region: string | null, of: string | null = "a"): string =>
  stanza("heartbeat", { cluster: of, region });

/** As `o2cb list-cluster --oneline` prints a cluster: heartbeats, nodes, the cluster itself (group-api 6.5). */
function listing(config: model.ClusterConfig, name: string): string {
  const one = model.findCluster(config, name);
  if (one === undefined) return "";
  const lines = [
    ...one.heartbeats.map(({ region }) => `heartbeat: ${region} ${name}`),
    // The tool prints ports and counts as signed numbers.
    ...one.nodes.map((each) => `node: ${each.number} ${each.name} ${each.address}:${each.port | 0} ${name}`),
    `cluster: ${one.nodeCount | 0} ${one.mode} ${name}`,
  ];
  return lines.map((line) => `${line}\n`).join("");
}

const many: [title: string, text: string, of?: string][] = [
  ["the plain form", cluster() + node()],
  ["any order of stanzas and keys", heartbeat("ABC") + node() + cluster({ node_count: "1" })],
  ["a node of another cluster, even a wrong one", cluster() + node({ cluster: "b", name: "", number: "x" })],
  ["a node of no cluster", cluster() + node({ cluster: null })],
  ["clusters' names differ by case", cluster() + node({ cluster: "A" })],
  ["nodes' names differ by case", cluster() + node() + node({ name: "N" })],
  ["equal numbers and addresses", cluster() + node() + node({ name: "m" })],
  ["regions are any text, and differ by case", cluster() + heartbeat("abc") + heartbeat("ABC")],
  ["a region of another cluster, even without a name", cluster() + heartbeat("", "b")],
  ["an empty cluster name with its node", cluster({ name: "" }) + node({ cluster: "" }), ""],
  ["an empty cluster name, and a node without one", cluster({ name: "" }) + node({ cluster: null }), ""],
  ["the last of two equal keys", cluster() + node().replace("= n\n", "= x\n\tname = y\n")],
  ...["0", "254", "255", "2147483646", "+5", "-0", "010", "\v5", "\\\n5", "5\\\n"].map(
    (number): [string, string] => [`number ${JSON.stringify(number)}`, cluster() + node({ number })],
  ),
  ...["0", "65535", "2147483648", "4294967295", "+5", "00001"].map((port): [string, string] => [
    `port ${port}`,
    cluster() + node({ ip_port: port }),
  ]),
  ...["4294967295", "+3", "-0"].map((count): [string, string] => [
    `node_count ${count}`,
    cluster({ node_count: count }),
  ]),
  ...["local", "GLOBAL", "Global  "].map((mode): [string, string] => [
    `mode ${mode}`,
    cluster({ heartbeat_mode: mode }),
  ]),
  ...["0.0.0.0", "255.255.255.255", "1.2.3.4\\\n"].map((ip): [string, string] => [
    `address ${ip}`,
    cluster() + node({ ip_address: ip }),
  ]),
];

/** Texts that the C tool refuses: the line, and what the message names. */
const wrong: [title: string, text: string, line: number, words: RegExp][] = [
  ["no node_count", cluster({ node_count: null }), 1, /'node_count' of cluster 'a' is missing/],
  ["two clusters of one name", cluster() + cluster(), 6, /cluster 'a' is there already/],
  ["two nodes of one name", cluster() + node() + node({ number: "2" }), 14, /has a node 'n' already/],
  ["two equal regions", cluster() + heartbeat("A") + heartbeat("A"), 11, /has the region 'A' already/],
  ["an empty region", cluster() + heartbeat(""), 7, /'region' of this heartbeat has no value/],
  ["no region", cluster() + heartbeat(null), 5, /'region' of this heartbeat is missing/],
  [
    "a wrong node of the second cluster",
    cluster() + cluster({ name: "b" }) + node({ cluster: "b", number: "x" }),
    12,
    /number/,
  ],
  ...["", "-1", "4294967296", "0x3", "3 # c", "x"].map((count): [string, string, number, RegExp] => [
    `node_count ${count}`,
    cluster({ node_count: count }),
    3,
    count === ""
      ? /'node_count'.*no value/
      : /'node_count' of cluster 'a' is ".*"; expected is a decimal number/,
  ]),
  ...["", "glob", "localx", "global # x"].map((mode): [string, string, number, RegExp] => [
    `mode '${mode}'`,
    cluster({ heartbeat_mode: mode }),
    4,
    /'heartbeat_mode' of cluster 'a' is ".*"; expected is 'local' or 'global'/,
  ]),
  ...["", "-5", "2147483647", "99999999999999999999", "0x10", "5 x", "+ 5", "--5", "1e1", "+"].map(
    (number): [string, string, number, RegExp] => [
      `number '${number}'`,
      cluster() + node({ number }),
      8,
      /'number' of node 'n'/,
    ],
  ),
  ...["", "4294967296", "-1", "0x10"].map((port): [string, string, number, RegExp] => [
    `port '${port}'`,
    cluster() + node({ ip_port: port }),
    10,
    /'ip_port' of node 'n'/,
  ]),
  ...[
    "",
    "10.0.0",
    "010.0.0.1",
    "0.0.0.00",
    "10.0.0.256",
    "1.2.3.4.5",
    "1..2.3",
    "host",
    "1.2.3.4 x",
    "\v1.2.3.4",
  ].map((ip): [string, string, number, RegExp] => [
    `address '${ip}'`,
    cluster() + node({ ip_address: ip }),
    9,
    /'ip_address' of node 'n'/,
  ]),
  ["IPv6", cluster() + node({ ip_address: "fe80::1" }), 9, /"fe80::1".*o2net has no IPv6/],
  ...(["name", "number", "ip_address", "ip_port"] as const).map((key): [string, string, number, RegExp] => [
    `no ${key}`,
    cluster() + node({ [key]: null }),
    5,
    new RegExp(`'${key}' of .* is missing`),
  ]),
  ["an empty node name", cluster() + node({ name: "" }), 7, /'name' of this node has no value/],
];

test("the model has what the file has, with the places", (t) => {
  const text = `# c\n${cluster({ heartbeat_mode: "Global" })}${node({ number: "+07" })}${heartbeat(REGION)}`;
  t.deepEqual(model.clusterConfig(new ConfDocument(text)), {
    clusters: [
      {
        ...{ name: "a", mode: "global", nodeCount: 1, position: { line: 2, column: 1 } },
        nodes: [{ name: "n", number: 7, address: "10.0.0.1", port: 7777, position: { line: 7, column: 1 } }],
        heartbeats: [{ region: REGION, position: { line: 14, column: 1 } }],
      },
    ],
  });
});

test("what the C tool refuses on load is refused with its place", (t) => {
  for (const [title, text, line, words] of wrong) {
    const error = t.throws(
      () => model.clusterConfig(new ConfDocument(text, "/c")),
      { instanceOf: O2cbError },
      title,
    );
    t.like(error, { code: "O2CB_CONFIGURATION_ERROR", line, path: "/c" }, `${title}: ${error.message}`);
    t.regex(error.message, words, title);
    t.truthy(error.remedy, title);
  }
});

test("a cluster without a name, on which the C tool crashes, is an error", (t) => {
  const error = t.throws(() => model.clusterConfig(new ConfDocument(cluster({ name: null }))), {
    instanceOf: O2cbError,
  });
  t.like(error, { code: "O2CB_CONFIGURATION_ERROR", line: 1 });
  t.regex(error.message, /'name' of this cluster is missing/);
});

againstTool(title("the C tool loads the same, and refuses the same"), async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "ocfs2-group-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "cluster.conf");
  const list = (text: string, name: string) => {
    writeFileSync(path, text);
    return runCTool(String(tool), [`--config-file=${path}`, "list-cluster", "--oneline", name]);
  };
  for (const [title, text, of = "a"] of many) {
    const config = model.clusterConfig(new ConfDocument(text));
    const { status, stdout } = await list(text, of);
    t.deepEqual([status, stdout], [0, listing(config, of)], title);
  }
  for (const [title, text] of wrong) t.is((await list(text, "a")).status, 1, title);
});

test("names, numbers and addresses for writing", (t) => {
  const good = <T>(check: (value: T) => unknown, ...values: T[]): void =>
    values.forEach((value) => t.is(check(value), value));
  const bad = <T>(check: (value: T) => unknown, code: ErrorCode, ...values: T[]): void =>
    values.forEach((value) => {
      const error = t.throws(() => check(value), { instanceOf: O2cbError }, JSON.stringify(value));
      t.is(error.code, code, JSON.stringify(value));
    });
  good(model.validateClusterName, "a", "Web1", "0123456789abcdef");
  bad(
    model.validateClusterName,
    "O2CB_INVALID_CLUSTER_NAME",
    "",
    "a".repeat(17),
    "a-b",
    "a b",
    "\u00e4",
    "a\n",
    "..",
  );
  good(model.validateNodeName, "n", "n1.example-x.org", "under_score", "\u00e4".repeat(32));
  bad(
    model.validateNodeName,
    "O2CB_CONFIGURATION_ERROR",
    ...[
      "",
      ".",
      "..",
      "a/b",
      "n".repeat(65),
      "\u00e4".repeat(33),
      "a\nb",
      "a\tb",
      " a",
      "a ",
      "a\\",
      "\ud800",
      "a\0",
    ],
  );
  good(model.validateAddress, "0.0.0.0", "10.1.2.3", "255.255.255.255");
  bad(
    model.validateAddress,
    "O2CB_CONFIGURATION_ERROR",
    "",
    "10.1.2",
    "10.1.2.256",
    "01.2.3.4",
    "::1",
    "host",
    "1.2.3.4\n",
  );
  t.regex(t.throws(() => model.validateAddress("2001:db8::1")).message, /kernel's o2net has no IPv6/);
  good(model.validatePort, 1, 7777, 65_534);
  bad(model.validatePort, "O2CB_CONFIGURATION_ERROR", 0, 65_535, -1, 1.5, Number.NaN);
  good(model.validateNumber, 0, 254);
  bad(model.validateNumber, "O2CB_INVALID_NODE_NUM", -1, 255, 0.5, Infinity);
  good(model.validateRegion, REGION);
  t.is(model.validateRegion("77d95ef5-1c01-49d2-8236-74fcc162cf8b"), REGION);
  bad(
    model.validateRegion,
    "O2CB_INVALID_REGION_NAME",
    "",
    REGION.slice(1),
    `${REGION}0`,
    "G".repeat(32),
    "/dev/sdb",
  );
});

test("a node is this host by its name up to the end or a dot, in any case", (t) => {
  for (const [name, host, is] of [
    ["n1", "n1", true],
    ["N1", "n1.example.org", true],
    ["n1.example.org", "N1.EXAMPLE.ORG", true],
    ["n1.example", "n1.example.org", true],
    ["n1.example.org", "n1", false],
    ["n", "n1", false],
    ["n11", "n1", false],
    ["n1.", "n1.example.org", false],
    ["", "n1", false],
  ] as const)
    t.is(model.isThisHost(name, host), is, `${name} ${host}`);
});
