// mounted.ocfs2: which devices of this host carry a volume (-d), and which nodes have it mounted (-f).
//
// Facts relied on (measured with the C tool of 1.8.7): its columns, widths counted in bytes and at least 7, 5, 7 and 1; `None` for the
// stack of a local volume; `G` for global heartbeat; a node without a name is told as its number, one above 254 as `Unknown`; devices
// that cannot be read are left out; the status is 0, and 1 where nothing at all was asked. -f leaves out what cannot be opened as a volume.
// Scripts read these lines, so they are the same here; where they cannot be, docs/differences.md says so.
//
// The published form of --json is docs/schemas/mounted.json.
import type { DetectedVolume, DetectedVolumes } from "../look/volumes.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { oneFailure } from "./exit-status.ts";
import type { Job, JobResult } from "./job.ts";
import type { CommandSyntax } from "./syntax.ts";

const DEVICE_WIDTH = 7;
const STACK_WIDTH = 5;
const CLUSTER_WIDTH = 7;
const UUID_WIDTH = 32;
const LAST_NODE = 254;

export const mountedSyntax: CommandSyntax = {
  name: "mounted.ocfs2",
  summary: "show the OCFS2 volumes on this host's devices, and the nodes that have them mounted",
  details:
    "Every block device is looked at, but for those that another stands on and whole disks with partitions, or those that are named; an " +
    "image may be named, too. Devices that cannot be read are left out; -v tells of them. The nodes are those in the volume's slot map: a " +
    "node that died and has not been recovered is one of them. `o2cb inspect --holders DEVICE` tells the two apart.",
  operands: [{ key: "devices", label: "DEVICE", arity: "many" }],
  forms: ["mounted.ocfs2 (-d | -f) [-v] [--json] [DEVICE]..."],
  options: [
    option("detect", "d", "detect", "show each volume with its UUID and label; the default"),
    option("full", "f", "full", "show each volume with the nodes in its slot map"),
    {
      key: "json",
      short: null,
      long: "json",
      kind: "flag",
      description: "write the result as JSON",
    },
    {
      key: "verbose",
      short: "v",
      long: "verbose",
      kind: "count",
      description: "say what was left out and what is damaged, and more about errors",
    },
  ],
  examples: [
    ["What is where", "mounted.ocfs2 -d"],
    ["Who has it mounted", "mounted.ocfs2 -f /dev/sdb1"],
  ],
};

function option(key: string, short: string, long: string, description: string): CommandSyntax["options"][0] {
  return { key, short, long, kind: "flag", description, group: "action" };
}

/** Throws UsageError where nothing at all was asked, as the C tool does. */
export function checkMounted(args: Arguments): void {
  const isAsked = ["detect", "full", "json", "verbose"].some((key) => args.flag(key));
  if (!isAsked && args.operands("devices").length === 0)
    throw new UsageError("one of -d and -f says what to show");
}

export function mountedJob(): Job {
  return {
    syntax: mountedSyntax,
    statuses: () => oneFailure(1),
    hasPlainSteps: true,
    async run(args, { native, signal }) {
      const { detectVolumes } = await import("../look/volumes.ts");
      const isFull = args.flag("full");
      const named = args.operands("devices");
      const devices = named.length === 0 ? undefined : named;
      const found = await detectVolumes(native, { devices, slotMaps: isFull, signal });
      return result(found, isFull, devices !== undefined);
    },
  };
}

function result(found: DetectedVolumes, isFull: boolean, isNamed: boolean): JobResult {
  const { volumes, failures, skipped } = found;
  const damage = volumes.flatMap(({ device, problem }) =>
    problem === null ? [] : [`${device}: ${problem}`],
  );
  const unread = failures.map(({ message }) => message);
  return {
    data: { volumes: volumes.map(plain), failures, skipped },
    raw: isFull ? fullLines(volumes) : detectLines(volumes),
    details: [...(isNamed ? [] : unread), ...skipped.map(({ device, reason }) => `${device}: ${reason}`)],
    // What was named, or is shown and damaged, is not passed over in silence.
    notices: [...(isNamed ? unread : []), ...damage],
  };
}

/** Without the forms that are for this command's lines. */
function plain({ labelBytes: _label, clusterBytes: _cluster, ...volume }: DetectedVolume): object {
  return volume;
}

export function detectLines(volumes: readonly DetectedVolume[]): Uint8Array {
  const column = columns(volumes);
  const uuid = (text: string): string => text.padEnd(UUID_WIDTH);
  return bytes([
    `${column(null)}  ${uuid("UUID")}  Label`,
    ...volumes.map((volume) => `${column(volume)}  ${uuid(volume.uuid)}  ${shown(volume.labelBytes)}`),
  ]);
}

function fullLines(volumes: readonly DetectedVolume[]): Uint8Array {
  const usable = volumes.filter(({ isUnusable }) => !isUnusable);
  const column = columns(usable);
  return bytes([`${column(null)}  Nodes`, ...usable.map((volume) => `${column(volume)}  ${nodes(volume)}`)]);
}

function nodes({ isHeartbeatDevice, slots }: DetectedVolume): string {
  if (isHeartbeatDevice) return "Heartbeat device";
  if (slots === null) return "Unknown";
  if (slots.length === 0) return "Not mounted";
  return slots.map(({ node, name }) => (name === null ? numbered(node) : latin1(name))).join(", ");
}

/** As the C tool, whatever the stack; --json has the number. */
function numbered(node: number): string {
  return node > LAST_NODE ? "Unknown" : String(node);
}

/** The first four columns, of a volume or of the header. Widths count bytes. */
function columns(volumes: readonly DetectedVolume[]): (volume: DetectedVolume | null) => string {
  const widest = (least: number, texts: readonly string[]): number =>
    Math.max(least, ...texts.map(({ length }) => length));
  const device = widest(
    DEVICE_WIDTH,
    volumes.map((volume) => latin1(volume.device)),
  );
  const cluster = widest(
    CLUSTER_WIDTH,
    volumes.map(({ clusterBytes }) => clusterBytes),
  );
  const row = (...[path, stack, name, flag]: [string, string, string, string]): string =>
    [path.padEnd(device), stack.padEnd(STACK_WIDTH), name.padEnd(cluster), flag].join("  ");
  return (volume) =>
    volume === null
      ? row("Device", "Stack", "Cluster", "F")
      : row(
          latin1(volume.device),
          shown(latin1(volume.stack ?? "None")),
          shown(volume.clusterBytes),
          volume.isGlobal ? "G" : " ",
        );
}

/** One character for each byte of the text. */
const latin1 = (text: string): string => Buffer.from(text).toString("latin1");
/** Lines of such characters, as the bytes. */
const bytes = (lines: readonly string[]): Uint8Array => Buffer.from(`${lines.join("\n")}\n`, "latin1");

/** What comes from a disk must not make lines or drive a terminal. */
function shown(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f]/g, "?");
}
