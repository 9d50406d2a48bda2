// Command lines in getopt's manner: `-nvo a,b`, `-odata=ordered`, `-o -x`, `--options=a`, options after operands, `--`.
//
// Why not clipanion's parser: it misreads the first and refuses the second of these (toolchain 4.1), and loading it costs
// half of node's own start-up, which mount(8) pays at each mount. `canonical` writes a command line so that clipanion reads it
// as this file does; a test holds the two together. Long options cannot be shortened.
import { quoted } from "../words.ts";
import type { CommandSyntax, OperandSyntax, OptionSyntax } from "./syntax.ts";

/** A command line that cannot be meant: one clause, and exit status 1. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The one line about a wrong command line. */
export function usageLine(name: string, error: UsageError): string {
  return `${name}: ${error.message}; see ${name} --help`;
}

/** An option as it was met, with its value where it takes one; or an operand. */
type Token = { option: OptionSyntax; name: string; value: string | null } | { operand: string };

export interface Arguments {
  /** empty where it is optional and was not given */
  operand(key: string): string;
  /** all that were given for an operand that can be given often */
  operands(key: string): string[];
  flag(key: string): boolean;
  count(key: string): number;
  /** the last value given */
  value(key: string): string | null;
  /** all values given */
  values(key: string): string[];
}

/**
 * Reads a command line. Operands must be as many as the syntax wants, and not empty.
 * @throws UsageError
 */
export function parseArguments(syntax: CommandSyntax, argv: readonly string[]): Arguments {
  const given = new Map<string, string[]>();
  const operands: string[] = [];
  for (const token of lastOfGroups(tokens(syntax, argv))) {
    if ("operand" in token) operands.push(token.operand);
    else given.set(token.option.key, [...(given.get(token.option.key) ?? []), token.value ?? ""]);
  }
  checkOperands(syntax, operands);
  const values = (key: string): string[] => given.get(key) ?? [];
  const operandsOf = (key: string): string[] => {
    const at = syntax.operands.findIndex((operand) => operand.key === key);
    return operands.slice(at, isMany(syntax.operands[at]) ? undefined : at + 1);
  };
  return {
    operand: (key) => operandsOf(key)[0] ?? "",
    operands: operandsOf,
    flag: (key) => values(key).length > 0,
    count: (key) => values(key).length,
    value: (key) => values(key).at(-1) ?? null,
    values,
  };
}

/**
 * The keys of the options that a command line seems to have, whatever is wrong with it: how it is refused depends on them.
 * What is the value of another option may be taken for an option.
 */
export function glance(syntax: CommandSyntax, argv: readonly string[]): Set<string> {
  const keys = argv.flatMap((argument) => {
    try {
      // An empty value for one that takes it from the next argument.
      return tokens(syntax, [argument, ""]).map((token) => ("operand" in token ? "" : token.option.key));
    } catch {
      return [];
    }
  });
  return new Set(keys);
}

function isMany(operand: OperandSyntax | undefined): boolean {
  return operand?.arity === "many";
}

/** Without the options that a later one of their group takes the place of. */
function lastOfGroups(all: readonly Token[]): Token[] {
  const last = new Map<string, OptionSyntax>();
  for (const token of all) {
    if ("option" in token && token.option.group !== undefined) last.set(token.option.group, token.option);
  }
  return all.filter(
    (token) =>
      "operand" in token || token.option.group === undefined || last.get(token.option.group) === token.option,
  );
}

function checkOperands(syntax: CommandSyntax, operands: readonly string[]): void {
  const missing = syntax.operands
    .slice(operands.length)
    .filter(({ arity = "one" }) => arity === "one")
    .map((operand) => operand.label);
  if (missing.length > 0)
    throw new UsageError(`${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} missing`);
  const excess = isMany(syntax.operands.at(-1)) ? undefined : operands[syntax.operands.length];
  if (excess !== undefined) throw new UsageError(`${quoted(excess)} is one argument too many`);
  for (const [index, operand] of operands.entries()) {
    const meant = syntax.operands[Math.min(index, syntax.operands.length - 1)];
    if (operand === "" && meant?.mayBeEmpty !== true) throw new UsageError(`${meant?.label} is empty`);
  }
}

/**
 * The same command line in the one form that clipanion reads without error: each option by itself, a value after `=`.
 * @throws UsageError
 */
export function canonical(syntax: CommandSyntax, argv: readonly string[]): string[] {
  const all = lastOfGroups(tokens(syntax, argv));
  const options = all.flatMap((token) => {
    return "operand" in token ? [] : [token.value === null ? token.name : `${token.name}=${token.value}`];
  });
  return [...options, "--", ...all.flatMap((token) => ("operand" in token ? [token.operand] : []))];
}

function tokens(syntax: CommandSyntax, argv: readonly string[]): Token[] {
  const found: Token[] = [];
  let isEnded = false;
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? "";
    // Node replaces bytes that are no UTF-8: the path or option meant cannot be known any more.
    if (argument.includes("\uFFFD")) throw new UsageError(`${quoted(argument)} is not valid UTF-8`);
    /** takes the next argument as an option's value */
    const next = (name: string): string => {
      const value = argv[++at];
      if (value === undefined) throw new UsageError(`option ${name} needs a value`);
      if (value.includes("\uFFFD")) throw new UsageError(`${quoted(value)} is not valid UTF-8`);
      return value;
    };
    if (isEnded || argument === "-" || !argument.startsWith("-")) found.push({ operand: argument });
    else if (argument === "--") isEnded = true;
    else if (argument.startsWith("--")) found.push(longOption(syntax, argument, next));
    else found.push(...shortOptions(syntax, argument, next));
  }
  return found;
}

function longOption(syntax: CommandSyntax, argument: string, next: (name: string) => string): Token {
  const equals = argument.indexOf("=");
  const name = equals < 0 ? argument : argument.slice(0, equals);
  const option = syntax.options.find(({ long }) => `--${long}` === name);
  if (option === undefined) throw new UsageError(`there is no option ${quoted(name)}`);
  refuseOthers(option, name);
  if (option.kind === "optional") {
    if (equals === argument.length - 1) throw new UsageError(`option ${name} has an empty value`);
    return { option, name, value: equals < 0 ? null : argument.slice(equals + 1) };
  }
  if (takesValue(option))
    return { option, name, value: equals < 0 ? next(name) : argument.slice(equals + 1) };
  if (equals >= 0) throw new UsageError(`option ${name} takes no value`);
  return { option, name, value: null };
}

function shortOptions(syntax: CommandSyntax, argument: string, next: (name: string) => string): Token[] {
  const found: Token[] = [];
  for (let at = 1; at < argument.length; at++) {
    const letter = String.fromCodePoint(argument.codePointAt(at) ?? 0);
    const name = `-${letter}`;
    const option = syntax.options.find(({ short }) => short === letter);
    if (option === undefined) throw new UsageError(`there is no option ${quoted(name)}`);
    refuseOthers(option, name);
    if (option.kind === "optional") {
      const rest = argument.slice(at + 1);
      return [...found, { option, name, value: rest === "" ? null : rest }];
    }
    if (takesValue(option)) {
      const rest = argument.slice(at + 1);
      return [...found, { option, name, value: rest === "" ? next(name) : rest }];
    }
    found.push({ option, name, value: null });
  }
  return found;
}

/** @throws UsageError for an option of the C tool that this command does not have */
function refuseOthers({ refused }: OptionSyntax, name: string): void {
  if (refused !== undefined) throw new UsageError(`option ${name} ${refused}`);
}

function takesValue({ kind }: OptionSyntax): boolean {
  return kind === "value" || kind === "list";
}
