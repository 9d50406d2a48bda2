// The sub-commands of o2cb that change the configuration file: add and remove clusters, nodes and heartbeat regions, set the mode.
//
// Facts relied on (group-api 6.4): the C tool's operands and options, its default of the resolver for a node's address, and that it drops
// white space around the names that are added. What it takes and the kernel would not is refused: docs/differences.md.
//
// None of them talks to the kernel's cluster: register-cluster does, with what is in the file then.
import type { ConfDocument } from "../config/cluster-conf.ts";
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { quoted } from "../words.ts";
import { UsageError, type Arguments } from "./argv.ts";
import type { JobContext, JobResult } from "./job.ts";
import {
  cluster,
  configPath,
  dryRun,
  subcommand,
  value,
  type Parts,
  type Subcommand,
} from "./o2cb-syntax.ts";
import { written } from "./o2cb-writes.ts";
import type { OperandSyntax, OptionSyntax } from "./syntax.ts";

const node: OperandSyntax = { key: "node", label: "NODE" };
const region: OperandSyntax = { key: "region", label: "UUID|DEVICE" };
const MODES = ["local", "global"] as const;

/** An edit, and what -v says of it. */
type Edit = (document: ConfDocument) => string;

interface EditParts extends Pick<Parts, "summary" | "details" | "examples" | "check"> {
  operands: readonly OperandSyntax[];
  options?: readonly OptionSyntax[];
  /** what has to be known before the file is locked, then the edit */
  prepare(args: Arguments, context: JobContext): Promise<Edit>;
}

const edits = () => import("../config/edit.ts");

/** The IPv4 address of a host's name. */
export type Lookup = (name: string) => Promise<string>;

/** Errors of `run`: UsageError, those of ts/config/edit.ts and ts/config/store.ts. */
export function configCommands(lookup: Lookup = askResolver): readonly Subcommand[] {
  const edit = (word: string, { prepare, options = [], ...parts }: EditParts): Subcommand =>
    subcommand(word, {
      ...parts,
      options: [...options, dryRun],
      async run(args, context): Promise<JobResult> {
        const change = await prepare(args, context);
        const { native, signal } = context;
        const isDry = args.flag("dryRun");
        let said = "";
        const apply = (document: ConfDocument): void => {
          said = change(document);
        };
        const { changeConfig } = await import("../config/store.ts");
        const how = { dryRun: isDry, signal };
        const { path, before, after } = await changeConfig(native, configPath(args), apply, how);
        const isChanged = after !== (before ?? "");
        return written(isDry, isChanged ? [{ action: "replace file", path, value: after }] : [], [said]);
      },
    });

  return [
    edit("add-cluster", {
      summary: "add a cluster to the configuration",
      operands: [cluster],
      prepare: async (args) => {
        const name = trimmed(args.operand("cluster"));
        const { addCluster } = await edits();
        return (document) => {
          addCluster(document, name);
          return `added cluster '${name}'`;
        };
      },
    }),
    edit("remove-cluster", {
      summary: "take a cluster out of the configuration, with its nodes and heartbeat regions",
      operands: [cluster],
      check(args) {
        // A file can have a cluster whose name is empty: nobody means that one with white space.
        if (trimmed(args.operand("cluster")) === "") throw new UsageError(`${cluster.label} is empty`);
      },
      prepare: async (args) => {
        const name = trimmed(args.operand("cluster"));
        const { removeCluster } = await edits();
        return (document) => {
          removeCluster(document, name);
          return `removed cluster '${name}'`;
        };
      },
    }),
    edit("add-node", {
      summary: "add a node to a cluster of the configuration",
      details:
        "NODE is what `hostname` prints on that node, up to any dot. Without --ip its IPv4 address is asked of the resolver, " +
        "without --number it gets the lowest one that is free.",
      operands: [cluster, node],
      options: [
        value("ip", "ip", "the node's IPv4 address for the cluster's traffic"),
        value("port", "port", "the TCP port, 7777 where absent"),
        value("number", "number", "the node's number, 0 to 254"),
      ],
      examples: [["Add a node", "o2cb add-node --ip 10.0.0.2 mycluster beta"]],
      check(args) {
        wholeNumber(args, "port");
        wholeNumber(args, "number");
      },
      prepare: async (args) => {
        const [owner, name] = [args.operand("cluster"), trimmed(args.operand("node"))];
        const [{ addNode }, { validateNodeName }] = await Promise.all([
          edits(),
          import("../config/names.ts"),
        ]);
        const address = args.value("ip") ?? (await lookup(validateNodeName(name)));
        const [port, number] = [wholeNumber(args, "port"), wholeNumber(args, "number")];
        return (document) => {
          const given = addNode(document, owner, { name, address, port, number });
          return `added node '${name}' to cluster '${owner}', number ${given}, at ${address}`;
        };
      },
    }),
    edit("remove-node", {
      summary: "take a node out of a cluster of the configuration",
      operands: [cluster, node],
      prepare: async (args) => {
        const [owner, name] = [args.operand("cluster"), args.operand("node")];
        const { removeNode } = await edits();
        return (document) => {
          removeNode(document, owner, name);
          return `removed node '${name}' from cluster '${owner}'`;
        };
      },
    }),
    edit("add-heartbeat", {
      summary: "add a region for global heartbeat to a cluster of the configuration",
      details: "The region is a volume's, named by its UUID or by the device that it is on.",
      operands: [cluster, region],
      examples: [["Add the volume of a device", "o2cb add-heartbeat mycluster /dev/sdb1"]],
      prepare: async (args, { native, signal }) => {
        const owner = args.operand("cluster");
        const uuid = await regionOf(native, trimmed(args.operand("region")), signal);
        const { addHeartbeat } = await edits();
        return (document) => `added region ${addHeartbeat(document, owner, uuid)} to cluster '${owner}'`;
      },
    }),
    edit("remove-heartbeat", {
      summary: "take a region for global heartbeat out of a cluster of the configuration",
      operands: [cluster, region],
      prepare: async (args, { native, signal }) => {
        const [owner, given] = [args.operand("cluster"), args.operand("region")];
        const { removeHeartbeat } = await edits();
        let [uuid, failure] = [given, undefined as { reason: unknown } | undefined];
        try {
          uuid = await regionOf(native, given, signal);
        } catch (reason) {
          // A file can have any text as a region, a device's name too.
          failure = { reason };
        }
        return (document) => {
          try {
            removeHeartbeat(document, owner, uuid);
          } catch (error) {
            throw failure === undefined ? error : failure.reason;
          }
          return `removed region ${uuid} from cluster '${owner}'`;
        };
      },
    }),
    edit("heartbeat-mode", {
      summary: "set a cluster's heartbeat mode in the configuration",
      details:
        "`local`: a region for each mounted volume; `global`: the cluster's own regions, for all volumes.",
      operands: [cluster, { key: "mode", label: "local|global" }],
      check: modeOf,
      prepare: async (args) => {
        const [owner, mode] = [args.operand("cluster"), modeOf(args)];
        const { setHeartbeatMode } = await edits();
        return (document) => {
          setHeartbeatMode(document, owner, mode);
          return `cluster '${owner}' has ${mode} heartbeat`;
        };
      },
    }),
  ];
}

/** What starts with a slash is a device; everything else stands for itself. */
async function regionOf(native: Native, text: string, signal: AbortSignal): Promise<string> {
  if (!text.startsWith("/")) return text;
  const { resolveRegion } = await import("../region/find-device.ts");
  return resolveRegion(native, { device: text, uuid: null }, signal);
}

async function askResolver(name: string): Promise<string> {
  const { lookup } = await import("node:dns/promises");
  try {
    return (await lookup(name, { family: 4 })).address;
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    const message = `the resolver has no IPv4 address of '${name}' (${code})`;
    const fields = { operation: "edit-configuration", remedy: "give the node's address with --ip", cause };
    throw new O2cbError("O2CB_CONFIGURATION_ERROR", message, fields);
  }
}

/** Without the white space that the C tool drops around what it adds. */
function trimmed(text: string): string {
  return text.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, "");
}

/** @throws UsageError */
function modeOf(args: Arguments): (typeof MODES)[number] {
  const text = args.operand("mode");
  const mode = MODES.find((one) => one === text);
  if (mode === undefined)
    throw new UsageError(`the mode is ${quoted(text)}, and has to be 'local' or 'global'`);
  return mode;
}

/** @throws UsageError */
function wholeNumber(args: Arguments, key: string): number | undefined {
  const text = args.value(key);
  if (text === null) return undefined;
  if (!/^(0|[1-9]\d{0,8})$/.test(text))
    throw new UsageError(`--${key} is ${quoted(text)}, and has to be a decimal number`);
  return Number(text);
}
