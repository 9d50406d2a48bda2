// What every command has in common around its one action: signals, steps, the result or the failure, and the status.
import type { Native } from "../native-types.ts";
import type { OnStep } from "../steps.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { exitStatus } from "./exit-status.ts";
import type { CommandSyntax } from "./syntax.ts";
import type { Terminal } from "./terminal.ts";

export interface JobContext {
  native: Native;
  signal: AbortSignal;
  onStep: OnStep;
}

/** What a job ends with, for people and for programs. */
export interface JobResult {
  data: object;
  /** told with -v */
  details: string[];
  /** told always: the command succeeded, but not as the caller may think */
  notices: string[];
}

export interface Job {
  syntax: CommandSyntax;
  run(args: Arguments, context: JobContext): Promise<JobResult>;
}

/** How the native module is got; only at the last moment, since it is the dearest part of a start. */
export type LoadNative = () => Promise<Native>;

const loadModule: LoadNative = async () => (await import("../native.ts")).loadNative();

/** Runs a job to its end and tells about it. Never throws; returns the exit status. */
export async function perform(
  job: Job,
  args: Arguments,
  terminal: Terminal,
  load: LoadNative = loadModule,
): Promise<number> {
  const { reporter, resultLine } = await import("./report.ts");
  const { watchSignals } = await import("./signals.ts");
  const style = { name: job.syntax.name, verbose: args.count("verbose") > 0, json: args.flag("json") };
  const say = (text: string): void => terminal.err(`${style.name}: ${text}`);
  const watch = watchSignals(say);
  try {
    const native = await load();
    const result = await job.run(args, { native, signal: watch.signal, onStep: reporter(style, terminal) });
    for (const notice of result.notices) say(notice);
    if (style.json) terminal.out(resultLine(result.data, exitStatus.success));
    else if (style.verbose) for (const detail of result.details) terminal.out(`${style.name}: ${detail}`);
    return exitStatus.success;
  } catch (error) {
    const { tellFailure } = await import("./failure.ts");
    return await tellFailure(error, style, terminal);
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
