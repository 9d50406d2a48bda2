// The sub-commands of o2cb that look at this host and its files and say what is wrong, and those that write lines for other files. They
// change nothing.
//
// The published forms of --json are docs/schemas/o2cb-config.json and o2cb-doctor.json.
import type { Finding as ConfigFinding } from "../config/finding.ts";
import type { Finding } from "../cluster/doctor.ts";
import type { MountLine } from "../cluster/mount-lines.ts";
import { O2cbError } from "../errors.ts";
import { UsageError, type Arguments } from "./argv.ts";
import type { JobContext } from "./job.ts";
import { configuredCluster, settings } from "./o2cb-configuration.ts";
import {
  anyCluster,
  answer,
  cluster,
  CONFIG_FILE,
  configPath,
  flag,
  list,
  subcommand,
  value,
  type Subcommand,
} from "./o2cb-syntax.ts";

const volumeAndDirectory = [
  { key: "volume", label: "DEVICE|UUID=...|LABEL=..." },
  { key: "directory", label: "DIRECTORY" },
];
const mountOptions = {
  ...value("options", "options", "mount options, separated by commas; what the order at boot needs is added"),
  short: "o",
};

export function lookCommands(): readonly Subcommand[] {
  return [
    subcommand("lint", {
      summary: "say everything that is wrong with the configuration file",
      details:
        "Each finding has its place, its reason and what to do. The exit status is 1 where one of them is an error. " +
        `Whether a node is this host is only asked of ${CONFIG_FILE}.`,
      operands: [anyCluster],
      examples: [["Check a file before it is distributed", "o2cb lint --config-file=new.conf"]],
      async run(args, context) {
        const path = configPath(args);
        const { readText } = await import("../config/file.ts");
        const text = await readText(context.native, path, context.signal);
        if (text === null) throw missing(path);
        const { lintText } = await import("../config/lint.ts");
        const findings = lintText(text, path, await lintOptions(args, path, context));
        const isBad = findings.some(({ severity }) => severity === "error");
        return answer(
          { path, findings },
          findings.map((one) => findingLine(path, one)),
          {
            status: isBad ? 1 : 0,
          },
        );
      },
    }),
    subcommand("digest", {
      summary: "write a digest of what a cluster's configuration comes to, timeouts included",
      details:
        "Nodes whose digests are equal have the same cluster; order and comments do not count. -v writes what is digested.",
      operands: [cluster],
      async run(args, context) {
        const found = await configuredCluster(args, context);
        const { values } = await settings(context);
        const { effectiveConfig } = await import("../config/digest.ts");
        const { text, sha256 } = effectiveConfig(found, values);
        const details = text.trimEnd().split("\n");
        return answer({ cluster: found.name, sha256, text }, [sha256], { details });
      },
    }),
    subcommand("doctor", {
      summary: "look at everything that is known to go wrong, and say what to do",
      details: "The exit status is 1 where something is a failure. -v says what is as it should be, too.",
      options: [
        list("devices", "device", "look at this device as well; as often as wanted"),
        flag("peers", "peers", "try whether the other nodes' ports can be reached"),
      ],
      examples: [["Before a mount", "o2cb doctor --device /dev/sdb1"]],
      async run(args, { native, signal }) {
        const { doctor } = await import("../cluster/doctor.ts");
        const findings = await doctor(native, {
          device: args.values("devices"),
          peersReachable: args.flag("peers"),
          configPath: configPath(args),
          signal,
        });
        const isVerbose = args.count("verbose") > 0;
        const told = findings.filter(({ state }) => isVerbose || state !== "good");
        const failures = findings.filter(({ state }) => state === "failure").length;
        const warnings = findings.filter(({ state }) => state === "warning").length;
        const sum = `${findings.length} checks, ${failures} failed, ${warnings} with warnings`;
        const lines = [...told.flatMap(checkLines), sum];
        return answer({ findings }, lines, { status: failures > 0 ? 1 : 0 });
      },
    }),
    subcommand("fstab-line", {
      summary: "write the line of /etc/fstab that mounts a volume at boot",
      details: "It has what makes systemd start the cluster first, and unmount before it ends.",
      operands: volumeAndDirectory,
      options: [mountOptions],
      examples: [["Add it", "o2cb fstab-line LABEL=data /data >>/etc/fstab"]],
      async run(args) {
        const { fstabLine } = await import("../cluster/mount-lines.ts");
        const line = written(() => fstabLine(mountLine(args)));
        return answer({ line }, [line]);
      },
    }),
    subcommand("mount-unit", {
      summary: "write the systemd unit that mounts a volume at boot",
      details: "Its name follows from the directory; the first line, a comment, tells it.",
      operands: volumeAndDirectory,
      options: [mountOptions],
      async run(args) {
        const { mountUnit } = await import("../cluster/mount-lines.ts");
        const { name, text } = written(() => mountUnit(mountLine(args)));
        return answer({ name, text }, [`# /etc/systemd/system/${name}`, ...text.trimEnd().split("\n")]);
      },
    }),
  ];
}

/** A file for other hosts is not held to this host's name. */
async function lintOptions(
  args: Arguments,
  path: string,
  { native, signal }: JobContext,
): Promise<{ hostname?: string; cluster?: string }> {
  const given = args.operand("cluster");
  const named = given === "" ? {} : { cluster: given };
  if (path !== CONFIG_FILE) return named;
  const { hostName } = await import("../cluster/nodes.ts");
  return { hostname: await hostName(native, signal), ...named };
}

function missing(path: string): O2cbError {
  return new O2cbError("O2CB_CONFIGURATION_ERROR", `there is no file '${path}'`, {
    operation: "read-configuration",
    path,
    remedy: "make one: o2cb add-cluster NAME",
  });
}

function findingLine(path: string, { severity, line, column, message, remedy }: ConfigFinding): string {
  return `${path}:${line}:${column}: ${severity}: ${message}; what to do: ${remedy}`;
}

function checkLines({ check, subject, state, evidence, remedy }: Finding): string[] {
  const about = subject === null ? check : `${check} (${subject})`;
  const line = `${state}: ${about}: ${evidence}`;
  return remedy === null ? [line] : [line, `  what to do: ${remedy}`];
}

function mountLine(args: Arguments): MountLine {
  const [volume, directory] = [args.operand("volume"), args.operand("directory")];
  const [, tag, named = ""] = /^(UUID|LABEL)=(.*)$/s.exec(volume) ?? [];
  const rest = { directory, options: args.value("options") ?? "" };
  if (tag === "UUID") return { uuid: named, ...rest };
  return tag === "LABEL" ? { label: named, ...rest } : { device: volume, ...rest };
}

/** What cannot be written is a wrong command line. */
function written<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof TypeError || error instanceof O2cbError) throw new UsageError(error.message);
    throw error;
  }
}
