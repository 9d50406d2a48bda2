// The way of a command from argv to the exit status. What needs nothing (the version, a wrong command line) is answered
// before anything else is loaded: mount(8) runs a command often, and node's own start is most of what it takes.
//
// Facts relied on: in the bundle, `import()` evaluates a module when it is reached and not before (scripts/bundle.mjs).
import { glance, parseArguments, usageLine, UsageError, type Arguments } from "./argv.ts";
import { exitStatus, type Statuses } from "./exit-status.ts";
import { perform, statusesOf, type Job, type LoadNative } from "./job.ts";
import { systemTerminal, type Terminal } from "./terminal.ts";
import { version } from "./version.ts";

export interface Program {
  job: Job;
  /** throws UsageError for what is wrong in itself, before anything is loaded */
  check(args: Arguments): void;
  help(): string | Promise<string>;
}

/** The exit status; a number at once where nothing had to be waited for. */
export function runCli(
  program: Program,
  argv: readonly string[],
  terminal: Terminal = systemTerminal,
  load?: LoadNative,
): number | Promise<number> {
  const { name } = program.job.syntax;
  if (isVersion(argv)) return tellVersion(name, terminal);
  if (isHelp(argv)) return tellHelp(program, terminal);
  try {
    const args = parseArguments(program.job.syntax, argv);
    // For a command that has it among its actions (syntax.ts, group).
    if (args.flag("help")) return tellHelp(program, terminal);
    program.check(args);
    return perform(program.job, args, terminal, load);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    terminal.err(usageLine(name, error));
    const keys = glance(program.job.syntax, argv);
    return statusesOf(program.job, (key) => keys.has(key)).usage;
  }
}

export function isVersion([first]: readonly string[]): boolean {
  return first === "--version" || first === "-V";
}

export function isHelp([first]: readonly string[]): boolean {
  return first === "--help" || first === "-h";
}

export function tellVersion(name: string, terminal: Terminal): number {
  terminal.out(`${name} (ocfs2-group) ${version}`);
  return exitStatus.success;
}

export async function tellHelp(
  { help: program }: Pick<Program, "help">,
  terminal: Terminal,
): Promise<number> {
  terminal.out((await program()).trimEnd());
  return exitStatus.success;
}

/** Runs the program on this process's arguments and ends the process with its status. */
export function main(program: Program, load?: LoadNative): void {
  const argv = process.argv.slice(2);
  const { job } = program;
  const keys = (): Set<string> => glance(job.syntax, argv);
  runProcess(
    job.syntax.name,
    () => statusesOf(job, (key) => keys().has(key)),
    () => runCli(program, argv, systemTerminal, load),
  );
}

/** Ends the process with what `run` comes to, whatever happens. */
export function runProcess(
  name: string,
  statuses: () => Statuses,
  run: () => number | Promise<number>,
): void {
  const fail = (what: string): never => {
    systemTerminal.err(`${name}: unexpected failure: ${what}`);
    process.exit(statuses().internal);
  };
  // Node's own answer to what nobody caught is status 1, which mount(8) takes for wrong usage.
  process.on("uncaughtException", (error) =>
    fail(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  );
  const status = run();
  if (typeof status === "number") {
    process.exitCode = status;
    return;
  }
  // And where nothing is left that could settle what is waited for, it is status 0.
  process.on("beforeExit", () => fail("ended without a result"));
  // All lines are written already; a thread that the kernel holds must not keep a process that has ended its work.
  void status.then((final) => process.exit(final));
}
