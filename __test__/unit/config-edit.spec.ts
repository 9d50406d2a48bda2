// Editing cluster.conf in place: what each edit does to the text, and what holds after any sequence of edits.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import * as fc from "fast-check";
import { ConfDocument } from "../../ts/config/cluster-conf.ts";
import * as edit from "../../ts/config/edit.ts";
import { clusterConfig, findCluster, type ClusterConfig } from "../../ts/config/model.ts";
import { isCode, O2cbError } from "../../ts/errors.ts";
import { findCTool, runCTool } from "../helpers/o2cb/c-tool.ts";

const tool = findCTool();
const againstTool = tool === null ? test.skip : test;
const title = (what: string): string => (tool === null ? `${what} [no C tool on this machine]` : what);
const REGION = "77D95EF51C0149D2823674FCC162CF8B";

const edited = (text: string, ...edits: ((document: ConfDocument) => unknown)[]): string => {
  const document = new ConfDocument(text);
  for (const one of edits) one(document);
  return document.text;
};

const WEB = "cluster:\n\tname = web\n\theartbeat_mode = local\n\tnode_count = 0\n\n";
const nodeText = (name: string, number: number, address = `10.0.0.${number + 1}`): string =>
  `node:\n\tcluster = web\n\tnumber = ${number}\n\tip_port = 7777\n\tip_address = ${address}\n\tname = ${name}\n\n`;

test("a cluster from nothing: tabs, `key = value`, an empty line behind each stanza", (t) => {
  const text = edited(
    "",
    (document) => edit.addCluster(document, "web"),
    (document) => edit.addNode(document, "web", { name: "n1", address: "10.0.0.1" }),
    (document) => edit.addNode(document, "web", { name: "n2", address: "10.0.0.9", port: 5, number: 8 }),
    (document) => edit.addHeartbeat(document, "web", REGION.toLowerCase()),
    (document) => edit.setHeartbeatMode(document, "web", "global"),
  );
  t.is(
    text,
    WEB.replace("local", "global").replace("= 0", "= 2") +
      nodeText("n1", 0) +
      nodeText("n2", 8, "10.0.0.9").replace("7777", "5") +
      `heartbeat:\n\tcluster = web\n\tregion = ${REGION}\n\n`,
  );
});

test("the lowest free number is taken, whatever form the others have", (t) => {
  const text = edited(
    WEB + nodeText("n1", 0) + nodeText("n2", 2),
    (document) => void t.is(edit.addNode(document, "web", { name: "n3", address: "10.0.0.7" }), 1),
    (document) => void t.is(edit.addNode(document, "web", { name: "n4", address: "10.0.0.8" }), 3),
  ).replace("number = 2", "number = +002");
  const document = new ConfDocument(text);
  t.is(edit.addNode(document, "web", { name: "n5", address: "10.0.0.6" }), 4);
});

test("everything else stays: comments, order, unknown keys, and how lines are written", (t) => {
  const before = `# ours\nnode:\n  name=n1 \n  cluster=web\n# the old port\n  ip_port=7777\n  ip_address=10.0.0.1\n  number=0\nfence:\n\tby = hand\ncluster:\n  node_count=1\n  colour=red\n  name=web\n# last`;
  const after = edited(
    before,
    (document) => edit.addNode(document, "web", { name: "n2", address: "10.0.0.2" }),
    (document) => edit.setHeartbeatMode(document, "web", "global"),
  );
  const expected = before
    .replace("node_count=1", "node_count=2")
    .replace("  name=web\n", "  name=web\n\theartbeat_mode = global\n");
  t.is(after, `${expected}\n\n${nodeText("n2", 1)}`);
});

test("a stanza goes with the empty line behind it; comments stay", (t) => {
  const head = "# head\n\n";
  const first = nodeText("n1", 0);
  const between = "# about the next\n";
  const second = nodeText("n2", 1).replace("\tip_port", "# within\n\tip_port");
  const text = `${head}${first}${between}${second}# tail\n${WEB.replace("= 0", "= 2")}`;
  const left = edited(text, (document) => edit.removeNode(document, "web", "n1"));
  t.is(left, `${head}${between}${second}# tail\n${WEB.replace("= 0", "= 1")}`);
  const none = edited(left, (document) => edit.removeNode(document, "web", "n2"));
  t.is(none, `${head}${between}# within\n# tail\n${WEB}`);
  t.is(
    edited(text, (document) => edit.removeCluster(document, "web")),
    `${head}${between}# within\n# tail\n`,
  );
});

test("a cluster goes with its nodes and regions, and no others", (t) => {
  const other = WEB.replace("web", "db") + nodeText("n1", 0).replace("web", "db");
  const text = WEB + nodeText("n1", 0) + other + `heartbeat:\n\tcluster = web\n\tregion = x\n`;
  t.is(
    edited(text, (document) => edit.removeCluster(document, "web")),
    other,
  );
});

test("what ends in the middle of a value is ended before more is added", (t) => {
  for (const end of ["", "\n", "\\", "\\\n", "\\\nx", "\\\nx\\"]) {
    const before = `cluster:\n\tnode_count = 0\n\tname = web\n\tx = y${end}`;
    const document = new ConfDocument(before);
    edit.addNode(document, "web", { name: "n1", address: "10.0.0.1" });
    t.is(clusterConfig(document).clusters[0]?.nodes.length, 1, JSON.stringify(end));
    const last = new ConfDocument(`cluster:\n\tnode_count = 0\n\tname = web${end}`);
    const name = last.stanzas[0]?.attributes[1]?.value ?? "";
    edit.setHeartbeatMode(last, name, "global");
    t.like(clusterConfig(last).clusters[0], { name, mode: "global" }, JSON.stringify(end));
  }
});

test("the last of two equal keys is the one that changes", (t) => {
  const text = WEB.replace("\tnode_count = 0\n", "\tnode_count = 7\n\tnode_count = 8\n");
  const after = edited(text, (document) =>
    edit.addNode(document, "web", { name: "n1", address: "10.0.0.1" }),
  );
  t.true(after.includes("\tnode_count = 7\n\tnode_count = 1\n"));
});

test("what cannot be is refused, and nothing changes", (t) => {
  const text =
    WEB.replace("= 0", "= 1") + nodeText("n1", 3) + `heartbeat:\n\tcluster = web\n\tregion = ${REGION}\n`;
  const cases: [string, (document: ConfDocument) => unknown, code: string, words: RegExp][] = [
    ["cluster there", (d) => edit.addCluster(d, "web"), "O2CB_CLUSTER_EXISTS", /'web'/],
    ["cluster name", (d) => edit.addCluster(d, "a b"), "O2CB_INVALID_CLUSTER_NAME", /'a b'/],
    ["no cluster", (d) => edit.removeCluster(d, "x"), "O2CB_CONFIGURATION_ERROR", /no cluster 'x'/],
    [
      "node there",
      (d) => edit.addNode(d, "web", { name: "n1", address: "1.1.1.1" }),
      "O2CB_NODE_EXISTS",
      /this name/,
    ],
    [
      "number there",
      (d) => edit.addNode(d, "web", { name: "n2", address: "1.1.1.1", number: 3 }),
      "O2CB_NODE_EXISTS",
      /'n1' has this number/,
    ],
    [
      "address there",
      (d) => edit.addNode(d, "web", { name: "n2", address: "10.0.0.4" }),
      "O2CB_NODE_EXISTS",
      /'n1' has this address/,
    ],
    [
      "number",
      (d) => edit.addNode(d, "web", { name: "n2", address: "1.1.1.1", number: 255 }),
      "O2CB_INVALID_NODE_NUM",
      /255/,
    ],
    [
      "port",
      (d) => edit.addNode(d, "web", { name: "n2", address: "1.1.1.1", port: 65_535 }),
      "O2CB_CONFIGURATION_ERROR",
      /65535/,
    ],
    [
      "address",
      (d) => edit.addNode(d, "web", { name: "n2", address: "::1" }),
      "O2CB_CONFIGURATION_ERROR",
      /IPv6/,
    ],
    [
      "node name",
      (d) => edit.addNode(d, "web", { name: "a/b", address: "1.1.1.1" }),
      "O2CB_CONFIGURATION_ERROR",
      /slash/,
    ],
    [
      "node of no cluster",
      (d) => edit.addNode(d, "x", { name: "n2", address: "1.1.1.1" }),
      "O2CB_CONFIGURATION_ERROR",
      /no cluster 'x'/,
    ],
    ["no node", (d) => edit.removeNode(d, "web", "N1"), "O2CB_CONFIGURATION_ERROR", /no node 'N1'/],
    ["region there", (d) => edit.addHeartbeat(d, "web", REGION), "O2CB_REGION_EXISTS", new RegExp(REGION)],
    ["region", (d) => edit.addHeartbeat(d, "web", ""), "O2CB_INVALID_REGION_NAME", /''/],
    [
      "no region",
      (d) => edit.removeHeartbeat(d, "web", "x"),
      "O2CB_CONFIGURATION_ERROR",
      /no heartbeat region 'x'/,
    ],
    [
      "mode of no cluster",
      (d) => edit.setHeartbeatMode(d, "x", "local"),
      "O2CB_CONFIGURATION_ERROR",
      /no cluster 'x'/,
    ],
  ];
  for (const [title, change, code, words] of cases) {
    const document = new ConfDocument(text);
    const error = t.throws(() => change(document), { instanceOf: O2cbError }, title);
    t.is(error.code, code as typeof error.code, title);
    t.regex(error.message, words, title);
    t.is(document.text, text, title);
  }
});

test("no more than 255 nodes and 32 regions", (t) => {
  const document = new ConfDocument(WEB);
  for (let n = 0; n < 255; n += 1)
    t.is(edit.addNode(document, "web", { name: `n${n}`, address: `10.0.0.${n}` }), n);
  t.throws(() => edit.addNode(document, "web", { name: "x", address: "10.0.1.1" }), {
    message: /all 255 nodes/,
  });
  for (let n = 0; n < 32; n += 1) edit.addHeartbeat(document, "web", n.toString(16).padStart(32, "0"));
  t.throws(() => edit.addHeartbeat(document, "web", REGION), { message: /no more than 32/ });
  t.is(clusterConfig(document).clusters[0]?.nodeCount, 255);
});

test("a file that cannot be loaded is repaired: an empty region, two equal nodes", (t) => {
  const text = `${WEB}heartbeat:\n\tcluster = web\n\tregion =\n\n${nodeText("n1", 0)}${nodeText("n1", 1)}`;
  t.throws(() => clusterConfig(new ConfDocument(text)), { message: /region/ });
  t.is(
    edited(
      text,
      (document) => edit.removeHeartbeat(document, "web", ""),
      (document) => edit.removeNode(document, "web", "n1"),
    ),
    WEB,
  );
});

test("a region is found in another form of its UUID", (t) => {
  const text = `${WEB}heartbeat:\n\tcluster = web\n\tregion = ${REGION}\n`;
  for (const form of [REGION.toLowerCase(), "77d95ef5-1c01-49d2-8236-74fcc162cf8b"])
    t.is(
      edited(text, (document) => edit.removeHeartbeat(document, "web", form)),
      WEB,
    );
});

// -- properties

const CLUSTERS = ["web", "db", "C3"];
const NODES = ["n1", "n2.example", "n-3"];
const UUIDS = [REGION, "0".repeat(32), "DCDA2845177F4D59A0F2DCD8DE507CC3"];

type Step =
  | { do: "addCluster"; cluster: string }
  | { do: "removeCluster"; cluster: string }
  | { do: "addNode"; cluster: string; node: string; address: string; number: number | undefined }
  | { do: "removeNode"; cluster: string; node: string }
  | { do: "addHeartbeat"; cluster: string; region: string }
  | { do: "removeHeartbeat"; cluster: string; region: string }
  | { do: "mode"; cluster: string; mode: "local" | "global" };

const cluster = fc.constantFrom(...CLUSTERS);
const node = fc.constantFrom(...NODES);
const region = fc.constantFrom(...UUIDS);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("addCluster" as const), cluster }),
  fc.record({ do: fc.constant("removeCluster" as const), cluster }),
  fc.record({
    do: fc.constant("addNode" as const),
    cluster,
    node,
    address: fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    number: fc.constantFrom(undefined, 0, 5, 254),
  }),
  fc.record({ do: fc.constant("removeNode" as const), cluster, node }),
  fc.record({ do: fc.constant("addHeartbeat" as const), cluster, region }),
  fc.record({ do: fc.constant("removeHeartbeat" as const), cluster, region }),
  fc.record({ do: fc.constant("mode" as const), cluster, mode: fc.constantFrom("local", "global") }),
);

/** Does a step; one that cannot be done is refused, and changes nothing. */
function perform(document: ConfDocument, one: Step): void {
  const before = document.text;
  try {
    if (one.do === "addCluster") edit.addCluster(document, one.cluster);
    else if (one.do === "removeCluster") edit.removeCluster(document, one.cluster);
    else if (one.do === "addNode") edit.addNode(document, one.cluster, { ...one, name: one.node });
    else if (one.do === "removeNode") edit.removeNode(document, one.cluster, one.node);
    else if (one.do === "addHeartbeat") edit.addHeartbeat(document, one.cluster, one.region);
    else if (one.do === "removeHeartbeat") edit.removeHeartbeat(document, one.cluster, one.region);
    else edit.setHeartbeatMode(document, one.cluster, one.mode);
  } catch (error) {
    const isRefusal = isCode(
      error,
      ...([
        "O2CB_CLUSTER_EXISTS",
        "O2CB_NODE_EXISTS",
        "O2CB_REGION_EXISTS",
        "O2CB_CONFIGURATION_ERROR",
      ] as const),
    );
    if (!isRefusal || document.text !== before) throw error;
  }
}

/** Pieces of files with what no edit may touch: comments, foreign stanzas, and foreign keys in a cluster that is never removed. */
const piece = fc.constantFrom(
  ...[
    "",
    "# one\n",
    "#\n\n",
    "\n",
    " \t\n",
    "fence:\n\tby = hand # really\n",
    "x_1:\n",
    "mount:\n  a=b\\\n c\n\n",
  ],
  ...[
    "cluster:\n#in\n node_count=0\n\tcolour = red\n\tname = kept\n\tnode_count = 0\n",
    "Node:\n\tname = n1\n",
  ],
  ...["node:\n\tname = n1\n# lost\n\tcluster = nowhere\n\tshoe = 44\n\n"],
);
const file = fc
  .tuple(
    fc.uniqueArray(piece),
    fc.constantFrom("", "# no end", "y:\n\tz = 1", "y:\n\tz = 1\\", "y:\n\tz = 1\\\n"),
  )
  .map(([pieces, end]) => pieces.join("") + end);

const foreign = (text: string): string[] => [
  ...(text.match(/^#.*$/gm) ?? []),
  ...new ConfDocument(text).stanzas.flatMap(({ type, attributes }) =>
    attributes
      .filter(({ key }) => ["by", "a", "colour", "shoe", "z"].includes(key) || type === "Node")
      .map(({ key, value }) => `${type}.${key}=${value}`),
  ),
];

test("whatever is parsed is printed as it was", (t) => {
  const line = fc.constantFrom(
    ...[
      "cluster:",
      "node: \t",
      "\tname = a",
      "  b=c d ",
      "\tx = \\",
      "\ty = z\\",
      "# c",
      "#",
      "",
      " ",
      "\tname = a\rb",
      "\tk =",
    ],
    ...["\tbad", "x y", "\t# c", "\u00e4:", "\tu = \u{1f600}\0x"],
  );
  let parsed = 0;
  const run = fc.check(
    fc.property(fc.array(line, { maxLength: 12 }), fc.boolean(), (lines, hasEnd) => {
      const text = lines.join("\n") + (hasEnd ? "\n" : "");
      let document: ConfDocument;
      try {
        document = new ConfDocument(text);
      } catch (error) {
        return (
          isCode(error, "O2CB_CONFIGURATION_ERROR") && error instanceof O2cbError && error.line !== undefined
        );
      }
      parsed += 1;
      const again = new ConfDocument(document.text);
      return document.text === text && JSON.stringify(again.stanzas) === JSON.stringify(document.stanzas);
    }),
    { numRuns: 3000 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
  t.true(parsed > 100, `only ${parsed} of the texts were good ones`);
});

const correct = (config: ClusterConfig): boolean =>
  config.clusters.every(
    ({ nodes, nodeCount }) =>
      nodeCount === nodes.length &&
      new Set(nodes.map((one) => one.number)).size === nodes.length &&
      new Set(nodes.map((one) => one.address)).size === nodes.length,
  );

test("after any edits the file loads, counts its nodes, and keeps what is not ours", (t) => {
  const run = fc.check(
    fc.property(file, fc.array(step, { maxLength: 25 }), (before, steps) => {
      const document = new ConfDocument(before);
      for (const one of steps) perform(document, one);
      return (
        correct(clusterConfig(new ConfDocument(document.text))) &&
        JSON.stringify(foreign(document.text)) === JSON.stringify(foreign(before))
      );
    }),
    { numRuns: 1000 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
});

againstTool(title("after any edits the C tool lists the same"), async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "ocfs2-group-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "cluster.conf");
  const list = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await runCTool(String(tool), [`--config-file=${path}`, ...args]);
    return status === 0 ? stdout : `status ${status}: ${stderr}`;
  };
  const run = await fc.check(
    fc.asyncProperty(file, fc.array(step, { minLength: 8, maxLength: 25 }), async (before, steps) => {
      const document = new ConfDocument(before);
      for (const one of steps) perform(document, one);
      writeFileSync(path, document.text);
      const config = clusterConfig(document);
      if ((await list("list-clusters")) !== config.clusters.map(({ name }) => `${name}\n`).join(""))
        return false;
      for (const { name } of config.clusters) {
        const one = findCluster(config, name);
        const lines = [
          ...(one?.heartbeats ?? []).map((each) => `heartbeat: ${each.region} ${name}\n`),
          ...(one?.nodes ?? []).map(
            (each) => `node: ${each.number} ${each.name} ${each.address}:${each.port} ${name}\n`,
          ),
          `cluster: ${one?.nodeCount} ${one?.mode} ${name}\n`,
        ];
        if ((await list("list-cluster", "--oneline", name)) !== lines.join("")) return false;
      }
      return true;
    }),
    { numRuns: 40 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
});
