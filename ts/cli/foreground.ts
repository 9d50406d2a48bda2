// A program in the foreground of a command, with the command's streams and terminal: the signals that the command gets are passed on.
//
// Facts relied on: a terminal sends SIGINT, SIGQUIT, SIGWINCH and SIGTSTP to its whole foreground process group, which the program is in
// as well (termios(3), setpgid(2)): passed on they would come twice, and a second SIGINT often means another thing. SIGTSTP and SIGCONT are
// left as they are: both stop, and both go on; what the kernel holds for this process it holds meanwhile. SIGUSR1 would start node's debugger.
import { constants } from "node:os";
import { throwIfAborted } from "../membership.ts";
import type { ForegroundProgram, Native, ProgramRequest } from "../native-types.ts";
import { processFacts } from "../process.ts";
import type { SignalWatch } from "./signals.ts";

/** What a command passes on besides the signals that would end it. */
const MORE: readonly NodeJS.Signals[] = ["SIGUSR1", "SIGUSR2", "SIGWINCH"];
const FROM_TERMINAL: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT", "SIGWINCH"];

/** Runs it to its end: its exit status, 128+n where signal n ended it. Errors: those of Native.startProgram, O2CB_ABORTED. */
export async function runInForeground(
  native: Native,
  request: ProgramRequest,
  passSignals: SignalWatch["passTo"],
  signal: AbortSignal,
): Promise<number> {
  const early: NodeJS.Signals[] = [];
  let program: ForegroundProgram | null = null;
  const pass = async (name: NodeJS.Signals): Promise<void> => {
    if (program === null) early.push(name);
    else if (!FROM_TERMINAL.includes(name) || !(await isInForeground(native)))
      program.kill(constants.signals[name]);
  };
  const stop = passSignals((name) => void pass(name), ...MORE);
  try {
    // Whatever comes from here on is the program's; what came before has given the command up.
    throwIfAborted(signal, "exec");
    program = await native.startProgram(request);
    for (const name of early) void pass(name);
    return await program.ended();
  } finally {
    stop();
  }
}

async function isInForeground(native: Native): Promise<boolean> {
  return (await processFacts(native, "self"))?.isInForeground ?? false;
}
