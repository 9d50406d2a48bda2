// The first SIGTERM, SIGINT, SIGHUP or SIGQUIT gives the command up; what was begun is then undone, and that is not interrupted.
// For a command that runs until it is told to end, the same is its normal end.
//
// Facts relied on: systemd sends SIGTERM and later SIGKILL; a terminal SIGINT and SIGHUP. Handlers do not disturb a heartbeat that
// starts: the calls that block run on threads that mask these signals (architecture, rule 5). SIGKILL is met by SEM_UNDO.

import { setMaxListeners } from "node:events";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const;

export interface SignalWatch {
  signal: AbortSignal;
  /** From now on signals, and these besides, are for `receiver`, until the function returned is called. */
  passTo(receiver: (name: NodeJS.Signals) => void, ...more: NodeJS.Signals[]): () => void;
  /** gives the signals their default meaning back */
  release(): void;
}

/** Watches until released; `say` gets a line for each signal, but none for the one that is the normal end. */
export function watchSignals(say: (line: string) => void, isNormalEnd = false): SignalWatch {
  const controller = new AbortController();
  // Calls side by side listen to it; Node would warn of more than ten on standard error, as if they were a leak.
  setMaxListeners(0, controller.signal);
  let first: NodeJS.Signals | null = null;
  let passing: ((name: NodeJS.Signals) => void) | null = null;
  const onSignal = (name: NodeJS.Signals): void => {
    if (passing !== null) {
      passing(name);
      return;
    }
    if (first !== null) {
      const what = isNormalEnd ? "completed" : "undone";
      say(`${name} changes nothing: ${first} is being handled, and what was begun has to be ${what}`);
      return;
    }
    first = name;
    if (!isNormalEnd) say(`${name}: giving up and undoing what was begun`);
    controller.abort(new Error(`received ${name}`));
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  return {
    signal: controller.signal,
    passTo(receiver, ...more) {
      passing = receiver;
      for (const name of more) process.on(name, receiver);
      return () => {
        passing = null;
        for (const name of more) process.removeListener(name, receiver);
      };
    },
    release() {
      for (const name of SIGNALS) process.removeListener(name, onSignal);
    },
  };
}
