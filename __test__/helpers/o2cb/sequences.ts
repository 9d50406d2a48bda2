// Command lines for o2cb's configuration commands at random: mostly valid, so that there is something to work on, else on the border or
// bad. And files that a sequence begins with, as people write them.
//
// No line needs a name server: a node without --ip is one that the resolver knows by itself.
import type { Random } from "./random.ts";

const clusters = ["a", "b", "ocfs2", "C1", "abcdefghijklmnop"];
const badClusters = [
  "",
  " ",
  "a-b",
  "a b",
  "\u00e9",
  "abcdefghijklmnopq",
  " a ",
  "b\n",
  "-x",
  "../a",
  "nobody",
];

const nodes = ["n1", "n2", "n3", "node-4", "host.example.org", "N1"];
const badNodes = [
  "",
  " ",
  " n1 ",
  "x/y",
  ".",
  "..",
  "a b",
  "a\tb",
  "a\nb",
  "n\\",
  "#n",
  "n=1",
  "n:",
  "-n",
  "\u00fc",
];
const longNodes = ["x".repeat(64), "y".repeat(65)];

const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "192.168.1.10", "0.0.0.0", "255.255.255.255"];
const badAddresses = [
  "",
  "10.0.0",
  "010.0.0.1",
  "256.1.1.1",
  "::1",
  "localhost",
  "10.0.0.1 ",
  " 10.0.0.1",
  "1.2.3.4.5",
];

const ports = ["7777", "7778", "1", "65534"];
const badPorts = [
  "0",
  "65535",
  "65536",
  "-1",
  "",
  "x",
  "0x50",
  "010",
  "08",
  "+80",
  " 80",
  "80 ",
  "4294967296",
  "9".repeat(25),
];

const numbers = ["0", "1", "2", "7", "253", "254"];
const badNumbers = [
  "255",
  "256",
  "-1",
  "-2",
  "",
  "x",
  "0x10",
  "010",
  "08",
  "+3",
  " 3",
  "3 ",
  "4294967296",
  "9".repeat(25),
];

const regions = ["77D95EF51C0149D2823674FCC162CF8B", "A".repeat(32), "0123456789ABCDEF0123456789ABCDEF"];
const badRegions = [
  "",
  " ",
  "77d95ef51c0149d2823674fcc162cf8b",
  "77D95EF5-1C01-49D2-8236-74FCC162CF8B",
  ` ${"A".repeat(32)} `,
  "AAAA",
  "A".repeat(33),
  "-x",
  "/dev/null",
  "/no/such/device",
  "x y",
  "x\ny",
];

const modes = ["local", "global"];
const badModes = ["", "LOCAL", "Global", "globa", "none", " local"];

/** One of `good`, and now and then one of `bad`. */
function some(random: Random, good: readonly string[], bad: readonly string[], percent = 12): string {
  return random.pick(random.chance(percent) ? bad : good);
}

const cluster = (random: Random): string => some(random, clusters.slice(0, 3), [...badClusters, ...clusters]);
const node = (random: Random): string => some(random, nodes, [...badNodes, ...longNodes]);
const region = (random: Random): string => some(random, regions, badRegions);

function addNode(random: Random): string[] {
  const options: string[][] = [];
  const name = random.chance(4) ? random.pick(["localhost", "127.0.0.9"]) : null;
  if (name === null) options.push(["--ip", some(random, addresses, badAddresses, 8)]);
  if (random.chance(30)) options.push(["--port", some(random, ports, badPorts, 40)]);
  if (random.chance(40)) options.push(["--number", some(random, numbers, badNumbers, 30)]);
  const spelled = options.map(([option = "", value = ""]) => {
    if (random.chance(2)) return [`${option.slice(0, 4)}`, value];
    return random.chance(30) ? [`${option}=${value}`] : [option, value];
  });
  const operands = [cluster(random), name ?? node(random)];
  return random.chance(15) ? [...operands, ...spelled.flat()] : [...spelled.flat(), ...operands];
}

function listing(command: string): (random: Random) => string[] {
  return (random) => {
    const option = random.chance(50) ? [random.chance(5) ? "--one" : "--oneline"] : [];
    return random.chance(20) ? [command, cluster(random), ...option] : [command, ...option, cluster(random)];
  };
}

const makers: readonly (readonly [weight: number, make: (random: Random) => string[]])[] = [
  [8, (random) => ["add-cluster", some(random, clusters, badClusters, 30)]],
  [3, (random) => ["remove-cluster", cluster(random)]],
  [30, (random) => ["add-node", ...addNode(random)]],
  [8, (random) => ["remove-node", cluster(random), node(random)]],
  [12, (random) => ["add-heartbeat", cluster(random), region(random)]],
  [6, (random) => ["remove-heartbeat", cluster(random), region(random)]],
  [8, (random) => ["heartbeat-mode", cluster(random), some(random, modes, badModes, 20)]],
  [4, () => ["list-clusters"]],
  [7, listing("list-cluster")],
  [7, listing("list-nodes")],
  [5, listing("list-heartbeats")],
];
const total = makers.reduce((sum, [weight]) => sum + weight, 0);

/** One command line, without --config-file; the first ones of a sequence give the others something to work on. */
export function drawCommand(random: Random, index: number): string[] {
  const name = clusters[index];
  if (name !== undefined && index < 3 && random.chance(80)) return ["add-cluster", name];
  let at = random.below(total);
  const [, make] = makers.find(([weight]) => (at -= weight) < 0) ?? makers[0] ?? [0, () => []];
  const argv = make(random);
  if (random.chance(2)) return [...argv, random.pick(["more", "", "--", "-x", "--nothing"])];
  if (random.chance(2)) return argv.slice(0, -1);
  return argv;
}

const ends = ["\n", "\n", "\n", " \n", "\t\n", "\r\n", " # why\n", "\\\n", ""];
const heads = ["cluster:", "node:", "heartbeat:", "cluster: ", "Cluster:", "other:", "node :", "node"];

/** A file as people write one: everything of the grammar, and now and then what it has no place for. */
export function drawFile(random: Random): string {
  const own = random.chance(50);
  const lines: string[] = [];
  const attribute = (key: string, value: string): void => {
    const [before, equals] = [
      random.pick(["\t", "\t", " ", "  \t"]),
      random.pick([" = ", "=", " =\t", "= "]),
    ];
    const end = own || random.chance(96) ? "\n" : random.pick(ends);
    if (random.chance(own ? 1 : 3)) return;
    lines.push(`${before}${key}${equals}${value}${end}`);
    if (random.chance(5))
      lines.push(random.pick(["# a comment\n", "\tmore = unknown\n", `\t${key} = ${value}\n`]));
  };
  const known = clusters.slice(0, 1 + random.below(3));
  const [members, beats] = [random.below(4), random.below(3)];
  const stanza = (head: string, fill: () => void): void => {
    if (random.chance(10)) lines.push(random.pick(["# between\n", "\n", "  \n", "#\n"]));
    lines.push(own || random.chance(97) ? `${head}:\n` : `${random.pick(heads)}\n`);
    fill();
    if (random.chance(95)) lines.push("\n");
  };
  for (const name of known) {
    stanza("cluster", () => {
      attribute("name", own ? name : some(random, [name], [...badClusters, "b"], 4));
      if (random.chance(70))
        attribute("heartbeat_mode", some(random, modes, ["GLOBAL", "Local", "none", ""], own ? 0 : 8));
      attribute(
        "node_count",
        some(random, [String(members)], ["0", "9", "-1", "x", "", "4294967296"], own ? 0 : 8),
      );
    });
    for (let index = 0; index < members; index += 1) {
      stanza("node", () => {
        attribute("cluster", some(random, [name], ["C1", ""], own ? 0 : 4));
        attribute(
          "number",
          some(random, [String(index)], ["1", "007", "+4", "255", "300", "x", "2147483647"], own ? 0 : 5),
        );
        attribute(
          "ip_port",
          some(random, ["7777"], ["0", "+5", "70000", "4294967295", "x", "0x10", "-1"], own ? 0 : 5),
        );
        attribute(
          "ip_address",
          some(random, [`10.0.1.${index}`], [...badAddresses, "10.0.1.0"], own ? 0 : 4),
        );
        attribute("name", some(random, [`m${index}`], [...badNodes, "m0", "z".repeat(65)], own ? 0 : 5));
      });
    }
    for (const uuid of regions.slice(0, beats)) {
      stanza("heartbeat", () => {
        attribute("cluster", name);
        attribute(
          "region",
          some(random, [uuid], ["", "aaaa", regions[0] ?? "", uuid.toLowerCase()], own ? 0 : 5),
        );
      });
    }
  }
  const text = lines.join("");
  return random.chance(95) ? text : text.replace(/\n$/, "");
}
