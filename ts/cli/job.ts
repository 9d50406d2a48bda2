// What every command has in common around its one action: signals, steps, the result or the failure, and the status.
import { isCode } from "../errors.ts";
import type { Native } from "../native-types.ts";
import type { OnStep } from "../steps.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { mountStatuses, type Statuses } from "./exit-status.ts";
import type { SignalWatch } from "./signals.ts";
import type { CommandSyntax } from "./syntax.ts";
import type { Terminal } from "./terminal.ts";

export interface JobContext {
  native: Native;
  signal: AbortSignal;
  onStep: OnStep;
  /** for a job that hands signals on instead of giving up */
  passSignals: SignalWatch["passTo"];
  /** a line of the result on standard output, while the command still runs */
  out(line: string): void;
  /** a line for people on standard error, after the command's name */
  say(text: string): void;
}

/** What a job ends with, for people and for programs. */
export interface JobResult {
  /** what --json writes; null where it was written already */
  data: object | null;
  /** the result itself, one line each, where --json was not asked for */
  lines?: string[];
  /** the same as bytes, with no line's end added; instead of `lines` */
  raw?: Uint8Array;
  /** told with -v */
  details: string[];
  /** told always: the command succeeded, but not as the caller may think */
  notices: string[];
  /** where it is not the one of success */
  status?: number;
}

export interface Job {
  syntax: CommandSyntax;
  /** the exit statuses, which options can change; those of mount(8) where absent */
  statuses?: (isGiven: (key: string) => boolean) => Statuses;
  /** --json is for the result alone: steps go to standard error, with -v */
  hasPlainSteps?: boolean;
  /** standard output belongs to a program that it runs: what --json writes goes to standard error */
  leavesOutput?: boolean;
  /** whether it runs until a signal ends it, which is then a success */
  endsBySignal?: (args: Arguments) => boolean;
  run(args: Arguments, context: JobContext): Promise<JobResult>;
}

/** How the native module is got; only at the last moment, since it is the dearest part of a start. */
export type LoadNative = () => Promise<Native>;

const loadModule: LoadNative = async () => (await import("../native.ts")).loadNative();

export function statusesOf(job: Job, isGiven: (key: string) => boolean): Statuses {
  return job.statuses?.(isGiven) ?? mountStatuses;
}

/** Runs a job to its end and tells about it. Never throws; returns the exit status. */
export async function perform(
  job: Job,
  args: Arguments,
  outside: Terminal,
  load: LoadNative = loadModule,
): Promise<number> {
  const { reporter, resultLine } = await import("./report.ts");
  const { watchSignals } = await import("./signals.ts");
  const terminal = job.leavesOutput === true ? { ...outside, out: outside.err } : outside;
  const statuses = statusesOf(job, args.flag);
  const style = { name: job.syntax.name, verbose: args.count("verbose") > 0, json: args.flag("json") };
  const say = (text: string): void => terminal.err(`${style.name}: ${text}`);
  const isEndless = job.endsBySignal?.(args) ?? false;
  const watch = watchSignals(say, isEndless);
  try {
    const native = await load();
    const onStep = reporter({ ...style, json: style.json && job.hasPlainSteps !== true }, terminal);
    const result = await job.run(args, {
      native,
      signal: watch.signal,
      onStep,
      passSignals: watch.passTo,
      out: terminal.out,
      say,
    });
    for (const notice of result.notices) say(notice);
    const status = result.status ?? statuses.success;
    if (style.json) {
      if (result.data !== null) terminal.out(resultLine(result.data, status));
    } else {
      for (const line of result.lines ?? []) terminal.out(line);
      if (result.raw !== undefined) terminal.write(result.raw);
      if (style.verbose) for (const detail of result.details) terminal.out(`${style.name}: ${detail}`);
    }
    return status;
  } catch (error) {
    // What was looked at when the signal came was given up with either of these.
    const isGivenUp = isCode(error, "O2CB_ABORTED") || error === watch.signal.reason;
    if (isEndless && watch.signal.aborted && isGivenUp) return statuses.success;
    const { tellFailure } = await import("./failure.ts");
    return await tellFailure(error, statuses.of(error), style, terminal);
  } finally {
    watch.release();
  }
}

/** The volume's type as mount(8) passes it: `ocfs2`, or `ocfs2` with a subtype. */
export function checkType(args: Arguments): void {
  const type = args.value("type");
  if (type !== null && !/^ocfs2(\..+)?$/.test(type))
    throw new UsageError(`the type is '${type}', and this command is for ocfs2`);
}

/** Option -N: a process number stands for that process's namespace. */
export function namespacePath(args: Arguments): string | null {
  const namespace = args.value("namespace");
  if (namespace === "") throw new UsageError("option -N needs a path or a process number");
  return namespace !== null && /^\d+$/.test(namespace) ? `/proc/${namespace}/ns/mnt` : namespace;
}
