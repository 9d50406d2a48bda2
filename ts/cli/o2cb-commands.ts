// The sub-commands of o2cb, and the way from argv to one of them. A new one is a line in its file's table; the help, the bundle and the
// clipanion classes follow from that.
//
// Facts relied on (group-api 6.4): the C tool's own options stand before the command.
import { quoted } from "../words.ts";
import { usageLine, UsageError, type Arguments } from "./argv.ts";
import { oneFailure } from "./exit-status.ts";
import { helpText } from "./help-text.ts";
import type { LoadNative } from "./job.ts";
import { monitorJob } from "./monitor-job.ts";
import { configCommands } from "./o2cb-config-commands.ts";
import { configureCommands } from "./o2cb-configure-commands.ts";
import { inspectCommands } from "./o2cb-inspect-command.ts";
import { execCommands } from "./o2cb-exec-commands.ts";
import { kernelCommands } from "./o2cb-kernel-commands.ts";
import { listCommands } from "./o2cb-list-commands.ts";
import { lookCommands } from "./o2cb-look-commands.ts";
import { reapCommands } from "./o2cb-reap-commands.ts";
import { serviceCommands } from "./o2cb-service-commands.ts";
import { stackCommands } from "./o2cb-stack-command.ts";
import { statusCommands } from "./o2cb-status-commands.ts";
import { globalOptions, type Subcommand } from "./o2cb-syntax.ts";
import { isHelp, isVersion, runCli, tellHelp, tellVersion } from "./run-cli.ts";
import { systemTerminal, type Terminal } from "./terminal.ts";

export type { Subcommand } from "./o2cb-syntax.ts";

export const subcommands: readonly Subcommand[] = [
  ...configCommands(),
  ...listCommands(),
  ...kernelCommands(),
  ...serviceCommands(),
  ...stackCommands(),
  ...statusCommands(),
  ...configureCommands(),
  ...lookCommands(),
  ...inspectCommands(),
  { word: "monitor", job: monitorJob() },
  ...reapCommands(),
  ...execCommands(),
];

const NAME = "o2cb";
/** Of o2cb itself; each sub-command has its own. */
export const o2cbStatuses = oneFailure(1);

/** The exit status; a number at once where nothing had to be waited for. */
export function runO2cb(
  argv: readonly string[],
  terminal: Terminal = systemTerminal,
  load?: LoadNative,
  table: readonly Subcommand[] = subcommands,
): number | Promise<number> {
  try {
    const { before, rest } = split(argv);
    if (isVersion(rest)) return tellVersion(NAME, terminal);
    if (isHelp(rest)) return tellHelp({ help: () => helpText(NAME) }, terminal);
    const [word, ...after] = rest;
    if (word === undefined)
      throw new UsageError(`a sub-command is missing: ${table.map((one) => one.word).join(", ")}`);
    const found = table.find((one) => one.word === word);
    if (found === undefined) throw new UsageError(`there is no sub-command ${quoted(word)}`);
    const { job, check } = found;
    const program = { job, check: (args: Arguments) => check?.(args), help: () => helpText(job.syntax.name) };
    const isAsked = isHelp(after) || isVersion(after);
    return runCli(program, isAsked ? after : [...before, ...after], terminal, load);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    terminal.err(usageLine(NAME, error));
    return o2cbStatuses.usage;
  }
}

/** The options before the sub-command, and the rest of the command line. */
function split(argv: readonly string[]): { before: string[]; rest: readonly string[] } {
  let at = 0;
  for (; at < argv.length; at += 1) {
    const argument = argv[at] ?? "";
    const isVerbose = argument === "--verbose" || /^-v+$/.test(argument);
    if (!argument.startsWith("-") || isHelp([argument]) || isVersion([argument])) break;
    if (isVerbose || argument.startsWith("--config-file=")) continue;
    if (argument !== "--config-file") throw new UsageError(strange(argument));
    at += 1;
    if (argv[at] === undefined) throw new UsageError("option --config-file needs a value");
  }
  return { before: argv.slice(0, at), rest: argv.slice(at) };
}

function strange(argument: string): string {
  const known = globalOptions.map(({ long }) => `--${long}`).join(" and ");
  return `option ${quoted(argument)} cannot stand before the sub-command, only ${known} can`;
}
