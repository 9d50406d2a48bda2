// A program in the foreground of a fake process: one of the machine's programs, which ends with that process.
//
// Not modelled: its streams, its environment, descriptors that it inherits. A signal ends it, unless the machine's `onSignal` says otherwise.
import type { ForegroundProgram, ProgramRequest } from "../../../ts/native-types.ts";
import { deferred } from "./deferred.ts";
import { refuse } from "./errors.ts";
import type { FakeProcess } from "./process.ts";

const PATH = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

export function startProgram(process: FakeProcess, request: ProgramRequest): ForegroundProgram {
  const { kernel, task } = process;
  const places = request.file.includes("/") ? [request.file] : PATH.map((one) => `${one}/${request.file}`);
  const program = places.map((path) => kernel.programs.get(path)).find((one) => one !== undefined);
  if (program === undefined) return refuse("ENOENT");
  const { ipc, pidNamespace, namespace } = task;
  const child = kernel.task({ name: request.file, parent: task, ipc, pidNamespace, namespace });
  const ended = deferred<number>();
  let isOver = false;
  const end = (status: number): void => {
    isOver = true;
    forget();
    child.end();
    ended.resolve(status);
  };
  const forget = task.atExit("files", () => end(128 + 9));
  kernel.started.push(request);
  void (async () => end(await program(request.args, child)))();
  return {
    pid: child.pid,
    kill(signal) {
      if (isOver) return false;
      kernel.signals.push(signal);
      if (kernel.onSignal === null) end(128 + signal);
      else kernel.onSignal(signal);
      return true;
    },
    ended: () => process.call("ForegroundProgram.ended", [], undefined, () => ended.promise, null),
  };
}
