// The way of a command from argv to the exit status. What needs nothing (the version, a wrong command line) is answered
// before anything else is loaded: mount(8) runs a command often, and node's own start is most of what it takes.
//
// Facts relied on: in the bundle, `import()` evaluates a module when it is reached and not before (scripts/bundle.mjs).
import { parseArguments, usageLine, UsageError, type Arguments } from "./argv.ts";
import { exitStatus } from "./exit-status.ts";
import { perform, type Job, type LoadNative } from "./job.ts";
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
  if (argv[0] === "--version" || argv[0] === "-V") {
    terminal.out(`${name} (ocfs2-group) ${version}`);
    return exitStatus.success;
  }
  if (argv[0] === "--help" || argv[0] === "-h") return tellHelp(program, terminal);
  try {
    const args = parseArguments(program.job.syntax, argv);
    program.check(args);
    return perform(program.job, args, terminal, load);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    terminal.err(usageLine(name, error));
    return exitStatus.usage;
  }
}

async function tellHelp(program: Program, terminal: Terminal): Promise<number> {
  terminal.out((await program.help()).trimEnd());
  return exitStatus.success;
}

/** Runs the program on this process's arguments and ends the process with its status. */
export function main(program: Program, load?: LoadNative): void {
  const { name } = program.job.syntax;
  const fail = (what: string): never => {
    systemTerminal.err(`${name}: unexpected failure: ${what}`);
    process.exit(exitStatus.internal);
  };
  // Node's own answer to what nobody caught is status 1, which mount(8) takes for wrong usage.
  process.on("uncaughtException", (error) =>
    fail(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  );
  const status = runCli(program, process.argv.slice(2), systemTerminal, load);
  if (typeof status === "number") {
    process.exitCode = status;
    return;
  }
  // And where nothing is left that could settle what is waited for, it is status 0.
  process.on("beforeExit", () => fail("ended without a result"));
  // All lines are written already; a thread that the kernel holds must not keep a process that has ended its work.
  void status.then((final) => process.exit(final));
}
