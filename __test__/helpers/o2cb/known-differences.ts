// The differences from the C tool that are meant, as docs/differences.md lists them: how one is known when it is seen, and a sequence that
// shows it. A predicate is as narrow as it can be: what it lets through is not compared.
import { ConfDocument } from "../../../ts/config/cluster-conf.ts";
import { findCluster, interpret, nodeNameProblem, regionProblem } from "../../../ts/config/model.ts";
import type { Outcome } from "./c-tool.ts";

/** One command on both, from the same file. */
export interface Observation {
  argv: readonly string[];
  before: string;
  c: Outcome & { text: string };
  ours: Outcome & { text: string };
}

export interface KnownDifference {
  is(seen: Observation): boolean;
  /** a file to begin with, where it needs one, and commands */
  example: { file?: string; commands: readonly (readonly string[])[] };
}

const CRASHED = 139;
const A = "A".repeat(32);
const node = (name: string, more: readonly string[] = []): string[] => [
  ...["add-node", "--ip", "10.9.9.9"],
  ...more,
  ...["a", name],
];
const begin = ["add-cluster", "a"] as const;

function onlyCAccepts({ c, ours }: Observation): boolean {
  return c.status === 0 && ours.status === 1;
}
function onlyOursAccepts({ c, ours }: Observation): boolean {
  return c.status === 1 && ours.status === 0;
}
/** what is given to an option */
function given({ argv }: Observation, name: string): string | undefined {
  const at = argv.findLastIndex((one) => one === name || one.startsWith(`${name}=`));
  if (at < 0) return undefined;
  return argv[at] === name ? argv[at + 1] : argv[at]?.slice(name.length + 1);
}
/** a file in which everything is as it has to be but the values given */
function file(values: { count?: string; port?: string; extra?: string; name?: string }): string {
  const { count = "1", port = "7777", extra = "", name = "\tname = a\n" } = values;
  return `cluster:\n${name}\tnode_count = ${count}\n\nnode:\n\tcluster = a\n\tnumber = 0\n\tip_port = ${port}\n\tip_address = 10.0.0.1\n\tname = n1\n\n${extra}`;
}
const inRange = (text: string, min: number, max: number): boolean =>
  /^(0|[1-9]\d*)$/.test(text) && Number(text) >= min && Number(text) <= max;
const strip = (text: string): string => text.replace(/^\s+|\s+$/g, "");
const uuidOf = (text: string): string => strip(text).replaceAll("-", "").toUpperCase();

export const knownDifferences: Record<string, KnownDifference> = {
  "duplicate-cluster": {
    is: (seen) =>
      onlyCAccepts(seen) && seen.argv[0] === "add-cluster" && /already exists/.test(seen.c.stderr),
    example: { commands: [begin, begin] },
  },
  "unknown-cluster-listed": {
    is: (seen) =>
      onlyCAccepts(seen) && (seen.argv[0] ?? "").startsWith("list-") && /Unknown cluster/.test(seen.c.stderr),
    example: {
      commands: [
        ["list-nodes", "nobody"],
        ["list-cluster", "nobody"],
        ["list-heartbeats", "nobody"],
      ],
    },
  },
  "surplus-argument": {
    is: (seen) => onlyCAccepts(seen) && /is one argument too many/.test(seen.ours.stderr),
    example: {
      commands: [
        ["add-cluster", "a", "b"],
        ["list-clusters", "a"],
      ],
    },
  },
  "strange-option": {
    is: (seen) =>
      onlyCAccepts(seen) &&
      seen.argv.some((one) => one.startsWith("-")) &&
      /there is no option|needs a value/.test(seen.ours.stderr),
    example: { commands: [begin, ["add-heartbeat", "a", "-x"], ["list-cluster", "--one", "a"]] },
  },
  "double-dash": {
    is: (seen) => onlyOursAccepts(seen) && seen.argv.includes("--"),
    example: {
      commands: [
        ["add-cluster", "--", "a"],
        ["remove-cluster", "--", "a"],
      ],
    },
  },
  "empty-argument": {
    is: (seen) => onlyCAccepts(seen) && seen.argv[0] === "add-heartbeat" && strip(seen.argv[2] ?? "") === "",
    example: { commands: [begin, ["add-heartbeat", "a", ""]] },
  },
  "empty-cluster": {
    is: (seen) => onlyCAccepts(seen) && /CLUSTER is empty/.test(seen.ours.stderr),
    example: {
      file: file({ name: "\tname = \n" }),
      commands: [
        ["list-cluster", ""],
        ["heartbeat-mode", "", "global"],
        ["add-heartbeat", "", A],
      ],
    },
  },
  "node-name": {
    is: (seen) =>
      onlyCAccepts(seen) &&
      seen.argv[0] === "add-node" &&
      seen.argv.slice(1).some((one) => nodeNameProblem(strip(one)) !== null) &&
      /the node's name cannot be/.test(seen.ours.stderr),
    example: { commands: [begin, node("x/y"), node(".."), node("back\\"), node("x".repeat(65))] },
  },
  "address-taken": {
    is: (seen) => onlyCAccepts(seen) && /has this address already/.test(seen.ours.stderr),
    example: { commands: [begin, node("n1"), node("n2")] },
  },
  "port-number": {
    is: (seen) =>
      onlyCAccepts(seen) &&
      !inRange(given(seen, "--port") ?? "1", 1, 65_534) &&
      /--port is|the node's port cannot be|--port needs a value/.test(seen.ours.stderr),
    example: {
      commands: [begin, ...["0", "65535", "-1", "0x50", ""].map((port) => node("n1", ["--port", port]))],
    },
  },
  "node-number": {
    is: (seen) =>
      onlyCAccepts(seen) &&
      !inRange(given(seen, "--number") ?? "0", 0, 254) &&
      /--number is|--number needs a value/.test(seen.ours.stderr),
    example: {
      commands: [begin, ...["-1", "0x10", "010"].map((number) => node("n1", ["--number", number]))],
    },
  },
  "region-text": {
    is: (seen) =>
      onlyCAccepts(seen) &&
      seen.argv[0] === "add-heartbeat" &&
      strip(seen.argv[2] ?? "") !== "" &&
      !(seen.argv[2] ?? "").startsWith("-") &&
      regionProblem(uuidOf(seen.argv[2] ?? "")) !== null,
    example: { commands: [begin, ["add-heartbeat", "a", "AAAA"], ["add-heartbeat", "a", "/dev/null"]] },
  },
  "region-spelling": {
    is: ({ argv, before, c, ours }) => {
      const [command = "", cluster = "", region = ""] = argv;
      const uuid = uuidOf(region);
      if (!command.endsWith("-heartbeat") || regionProblem(uuid) !== null) return false;
      const { config } = interpret(new ConfDocument(before));
      const there = findCluster(config, cluster)?.heartbeats.map((one) => one.region) ?? [];
      const isOther =
        strip(region) !== uuid || (!there.includes(uuid) && there.some((one) => uuidOf(one) === uuid));
      if (!isOther) return false;
      if (command === "remove-heartbeat") return c.status === 1 && ours.status === 0;
      return c.status === 0 && (ours.status === 0 || /has the heartbeat region/.test(ours.stderr));
    },
    example: {
      commands: [
        begin,
        ["add-heartbeat", "a", A.toLowerCase()],
        ["add-heartbeat", "a", A.toLowerCase()],
        ["remove-heartbeat", "a", A.toLowerCase()],
      ],
    },
  },
  "too-many-regions": {
    is: (seen) => onlyCAccepts(seen) && /the kernel takes no more than 32/.test(seen.ours.stderr),
    example: {
      commands: [
        begin,
        ...Array.from({ length: 33 }, (_, index) => {
          return ["add-heartbeat", "a", index.toString(16).toUpperCase().padStart(32, "0")];
        }),
      ],
    },
  },
  "node-count": {
    is: ({ before, c, ours }) => {
      const [theirs, mine] = [interpreted(c.text), interpreted(ours.text)];
      if (c.status !== 0 || ours.status !== 0 || before === c.text) return false;
      if (mine.some(({ nodeCount, nodes }) => nodeCount !== nodes.length) && before === ours.text)
        return false;
      const without = (all: ReturnType<typeof interpreted>): string =>
        JSON.stringify(all.map((cluster) => ({ ...cluster, nodeCount: 0 })));
      return without(theirs) === without(mine);
    },
    example: { file: file({ count: "7" }), commands: [node("n2")] },
  },
  "signed-listing": {
    is: ({ argv, c, ours }) =>
      (argv[0] ?? "").startsWith("list-") &&
      c.status === 0 &&
      ours.status === 0 &&
      ours.stdout.replace(/\d{10}/g, (digits) => String(Number(digits) | 0)) === c.stdout,
    example: { file: file({ port: "4294967295" }), commands: [["list-nodes", "a"]] },
  },
  "cluster-without-name": {
    is: ({ c, ours }) => c.status === CRASHED && (ours.status === 0 || ours.status === 1),
    example: { file: file({ name: "" }), commands: [["list-clusters"]] },
  },
  repair: {
    is: (seen) => onlyOursAccepts(seen) && /while loading/.test(seen.c.stderr) && loads(seen.ours.text),
    example: { file: file({ port: "x" }), commands: [["remove-node", "a", "n1"]] },
  },
  "orphans-kept": {
    is: ({ argv, before, c, ours }) =>
      argv[0] === "add-cluster" &&
      c.status === 0 &&
      (ours.status === 0 || /line \d+, column \d+: the key/.test(ours.stderr)) &&
      new ConfDocument(before).stanzas.some(
        ({ type, attributes }) =>
          type !== "cluster" &&
          attributes.findLast(({ key }) => key === "cluster")?.value === strip(argv[1] ?? ""),
      ),
    example: { file: file({}).replace("cluster = a", "cluster = b"), commands: [["add-cluster", "b"]] },
  },
};

function interpreted(text: string) {
  const { clusters } = interpret(new ConfDocument(text)).config;
  return clusters
    .map(({ name, mode, nodeCount, nodes, heartbeats }) => ({
      name,
      mode,
      nodeCount,
      nodes: nodes
        .map(({ name: own, number, address, port }) => [own, number, address, port].join(" "))
        .toSorted(),
      heartbeats: heartbeats.map(({ region }) => region).toSorted(),
    }))
    .toSorted((x, y) => (x.name < y.name ? -1 : 1));
}

/** What a file comes to, up to order and comments; null where it cannot be loaded. */
export function meaningOf(text: string): string | null {
  return loads(text) ? JSON.stringify(interpreted(text)) : null;
}

function loads(text: string): boolean {
  try {
    return interpret(new ConfDocument(text)).problems.length === 0;
  } catch {
    return false;
  }
}
