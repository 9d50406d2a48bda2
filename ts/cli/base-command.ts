// The commands as clipanion classes, made from their syntax: for the help, and for whoever registers several in one program.
//
// Facts relied on (toolchain 4): clipanion tells a thrown error on standard output and turns it into status 1, or 0 where
// `catch` is overridden. So `execute` throws nothing: it runs the job, which tells its own failures, and returns the status.
// clipanion lists only options that have a description; a `String` option reads `-o=x` and not `-ox` (argv.ts, canonical).
import { Command, Option, type BaseContext, type CommandClass, type Usage } from "clipanion";
import type { Arguments } from "./argv.ts";
import { perform, type Job, type LoadNative } from "./job.ts";
import type { CommandSyntax, OperandSyntax, OptionSyntax } from "./syntax.ts";
import type { Terminal } from "./terminal.ts";

export abstract class BaseCommand extends Command {
  readonly #job: Job;
  readonly #load: LoadNative | undefined;

  constructor(job: Job, load?: LoadNative) {
    super();
    this.#job = job;
    this.#load = load;
    const fields = this as unknown as Record<string, unknown>;
    for (const operand of job.syntax.operands) fields[operand.key] = declaredOperand(operand);
    // clipanion has a --help of its own.
    for (const option of job.syntax.options)
      if (option.key !== "help" && option.refused === undefined) fields[option.key] = declared(option);
  }

  execute(): Promise<number> {
    return this.run();
  }

  /** The job with what clipanion read. */
  run(): Promise<number> {
    return perform(this.#job, this.arguments(), terminalOf(this.context), this.#load);
  }

  /** What clipanion read, in the form that argv.ts gives. */
  arguments(): Arguments {
    const read = (key: string): unknown => (this as unknown as Record<string, unknown>)[key];
    const values = (key: string): string[] => {
      const value = read(key);
      if (Array.isArray(value)) return value as string[];
      if (typeof value === "number") return Array.from({ length: value }, () => "");
      return value === undefined || value === false ? [] : [value === true ? "" : String(value)];
    };
    return {
      operand: (key) => values(key)[0] ?? "",
      operands: values,
      flag: (key) => values(key).length > 0,
      count: (key) => values(key).length,
      value: (key) => values(key).at(-1) ?? null,
      values,
    };
  }
}

/** The class of a command that has no other; `words` are its path, none for a program's only command. */
export function commandOf(job: Job, words: readonly string[] = [], load?: LoadNative): CommandClass {
  return class extends BaseCommand {
    static override paths = words.length === 0 ? [Command.Default] : [[...words]];
    static override usage = usageOf(job.syntax);

    constructor() {
      super(job, load);
    }
  };
}

/** The help's texts of a command. */
export function usageOf({ summary, details, examples }: CommandSyntax): Usage {
  return { description: summary, details, examples: examples.map(([what, line]) => [what, line]) };
}

function declaredOperand({ label, arity = "one" }: OperandSyntax): unknown {
  return arity === "many"
    ? Option.Rest({ name: label })
    : Option.String({ name: label, required: arity === "one" });
}

function declared({ short, long, kind, description }: OptionSyntax): unknown {
  const names = [short === null ? [] : [`-${short}`], long === null ? [] : [`--${long}`]].flat().join(",");
  if (kind === "flag") return Option.Boolean(names, false, { description });
  if (kind === "count") return Option.Counter(names, 0, { description });
  if (kind === "optional") return Option.String(names, { description, tolerateBoolean: true });
  if (kind === "list") return Option.Array(names, { description });
  return Option.String(names, { description });
}

function terminalOf({ stdout, stderr }: BaseContext): Terminal {
  return {
    out: (line) => void stdout.write(`${line}\n`),
    write: (bytes) => void stdout.write(bytes),
    err: (line) => void stderr.write(`${line}\n`),
    isWatched: () => (stderr as Partial<NodeJS.WriteStream>).isTTY === true,
  };
}
