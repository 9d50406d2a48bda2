// The sub-commands of o2cb, and the way from argv to one of them. A new one is a line in the table: its word and its job; the
// help, the bundle and the clipanion classes follow from that.
import { shown, usageLine, UsageError, type Arguments } from "./argv.ts";
import { oneFailure } from "./exit-status.ts";
import { helpText } from "./help-text.ts";
import type { Job, LoadNative } from "./job.ts";
import { monitorJob } from "./monitor-job.ts";
import { isHelp, isVersion, runCli, tellHelp, tellVersion } from "./run-cli.ts";
import { systemTerminal, type Terminal } from "./terminal.ts";

export interface Subcommand {
  word: string;
  /** its syntax has the name `o2cb WORD` */
  job: Job;
  /** throws UsageError for what is wrong in itself, before anything is loaded */
  check?(args: Arguments): void;
}

export const subcommands: readonly Subcommand[] = [{ word: "monitor", job: monitorJob() }];

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
  if (isVersion(argv)) return tellVersion(NAME, terminal);
  if (isHelp(argv)) return tellHelp({ help: () => helpText(NAME) }, terminal);
  const [word, ...rest] = argv;
  const found = table.find((one) => one.word === word);
  if (found === undefined) {
    const error = new UsageError(
      word === undefined
        ? `a sub-command is missing: ${table.map((one) => one.word).join(", ")}`
        : `there is no sub-command ${shown(word)}`,
    );
    terminal.err(usageLine(NAME, error));
    return o2cbStatuses.usage;
  }
  const { job, check } = found;
  const program = { job, check: (args: Arguments) => check?.(args), help: () => helpText(job.syntax.name) };
  return runCli(program, rest, terminal, load);
}
