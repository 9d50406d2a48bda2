// What the sub-commands of o2cb have in common: the options that all of them know, and how one is put together.
//
// Facts relied on (group-api 6.4): the C tool takes --config-file and -v before the command; here they may stand after it, too. Its
// statuses are 0 and 1. An option that sets nothing a command uses is still accepted where the C tool accepts it.
import type { Arguments } from "./argv.ts";
import { oneFailure } from "./exit-status.ts";
import type { Job, JobContext, JobResult } from "./job.ts";
import type { CommandSyntax, OperandSyntax, OptionSyntax } from "./syntax.ts";

/** One sub-command, as the table in o2cb-commands.ts holds it. */
export interface Subcommand {
  word: string;
  /** its syntax has the name `o2cb WORD` */
  job: Job;
  /** throws UsageError for what is wrong in itself, before anything is loaded */
  check?(args: Arguments): void;
}

export const CONFIG_FILE = "/etc/ocfs2/cluster.conf";

/** Options that take a value, and options that stand alone. */
export const value = (key: string, long: string, description: string): OptionSyntax => ({
  key,
  short: null,
  long,
  kind: "value",
  description,
});
export const flag = (key: string, long: string, description: string): OptionSyntax => ({
  ...value(key, long, description),
  kind: "flag",
});
export const list = (key: string, long: string, description: string): OptionSyntax => ({
  ...value(key, long, description),
  kind: "list",
});

export const cluster: OperandSyntax = { key: "cluster", label: "CLUSTER" };
/** where the configuration, or what runs, names the one that is meant */
export const anyCluster: OperandSyntax = { ...cluster, arity: "optional" };

export const configFile = value("configFile", "config-file", `the configuration, instead of ${CONFIG_FILE}`);
export const dryRun = flag("dryRun", "dry-run", "list what would be written, in order, and change nothing");
const json = flag("json", "json", "write the result as JSON");
const verbose: OptionSyntax = {
  key: "verbose",
  short: "v",
  long: "verbose",
  kind: "count",
  description: "say each step, and more about errors",
};
/** The ones that may stand before the sub-command. */
export const globalOptions: readonly OptionSyntax[] = [configFile, verbose];

export interface Parts {
  summary: string;
  details?: string;
  operands?: readonly OperandSyntax[];
  options?: readonly OptionSyntax[];
  examples?: CommandSyntax["examples"];
  /** of what is wrong in itself; throws UsageError */
  check?(args: Arguments): void;
  run(args: Arguments, context: JobContext): Promise<JobResult>;
}

export function subcommand(word: string, parts: Parts): Subcommand {
  const { summary, details = "", operands = [], options = [], examples = [], check, run } = parts;
  const syntax = {
    name: `o2cb ${word}`,
    ...{ summary, details, operands, examples },
    options: [...options, configFile, json, verbose],
  };
  const job: Job = { syntax, statuses: () => oneFailure(1), hasPlainSteps: true, run };
  return check === undefined ? { word, job } : { word, job, check };
}

export function configPath(args: Arguments): string {
  return args.value("configFile") ?? CONFIG_FILE;
}

/** A result that is told line by line, or as JSON. */
export function answer(data: object, lines: string[] = [], more: Partial<JobResult> = {}): JobResult {
  return { data, lines, details: [], notices: [], ...more };
}
