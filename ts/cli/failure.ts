// A failure as people and programs read it. The lines and the exit status come from the same error object.
import { errnoName, O2cbError } from "../errors.ts";
import { UsageError, usageLine } from "./argv.ts";
import type { Terminal } from "./terminal.ts";

export interface FailureStyle {
  /** the command's name, before the sentence */
  name: string;
  /** -v: the code, the errno, and what the kernel said */
  verbose: boolean;
  json: boolean;
}

/**
 * Tells why a command failed and returns its status, once it may end. A mount that was given up while the kernel was at work on it is waited
 * for: only then is it undone, and nobody else would do that.
 */
export async function tellFailure(
  error: unknown,
  status: number,
  style: FailureStyle,
  terminal: Terminal,
): Promise<number> {
  const isDebugged = process.env["OCFS2_GROUP_DEBUG"] === "1";
  for (const line of failureLines(error, style, isDebugged)) terminal.err(line);
  const settled = error instanceof O2cbError ? error.settled : undefined;
  if (settled !== undefined) {
    terminal.err(
      `${style.name}: waiting for the kernel's answer, however long that takes, to undo what was begun`,
    );
    try {
      await settled;
    } catch (rollbackError) {
      terminal.err(`${style.name}: undoing it failed: ${text(rollbackError)}`);
    }
  }
  if (style.json) terminal.out(JSON.stringify({ error: failureData(error), status }));
  return status;
}

/** What failed and why; then, on a line each, what to do, what undoing left behind, and what -v and debugging add. */
export function failureLines(error: unknown, style: FailureStyle, isDebugged: boolean): string[] {
  const stack = isDebugged ? stacks(error) : [];
  if (error instanceof UsageError) return [usageLine(style.name, error), ...stack];
  if (!(error instanceof O2cbError)) {
    const lines = [`${style.name}: unexpected failure: ${text(error)}`];
    if (isDebugged) return [...lines, ...stack];
    return [
      ...lines,
      "  what to do: run it again with OCFS2_GROUP_DEBUG=1 in the environment, and report what it says",
    ];
  }
  const lines = [`${style.name}: ${error.message}`];
  if (error.remedy !== undefined) lines.push(`  what to do: ${error.remedy}`);
  if (error.rollbackError !== undefined) lines.push(`  undoing it failed, too: ${text(error.rollbackError)}`);
  if (style.verbose)
    lines.push(`  ${technical(error)}`, ...error.kernelMessages.map((one) => `  kernel: ${one}`));
  return [...lines, ...stack];
}

function technical(error: O2cbError): string {
  const from = error.syscall === undefined ? "" : ` from ${error.syscall}`;
  const errno = error.errno === undefined ? "" : `, ${errnoName(error) ?? `errno ${-error.errno}`}${from}`;
  return `${error.code}${errno}, during ${error.operation}`;
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function stacks(error: unknown): string[] {
  const lines: string[] = [];
  for (let at: unknown = error; at instanceof Error && lines.length < 200; at = at.cause) {
    lines.push(...(at.stack ?? String(at)).split("\n").map((line) => `  ${line}`));
  }
  return lines;
}

/** The failure as plain data, for --json (see json.ts). */
export function failureData(error: unknown): Record<string, unknown> {
  if (!(error instanceof O2cbError)) return { code: null, message: text(error) };
  const {
    code,
    message,
    operation,
    errno,
    syscall,
    path,
    line,
    column,
    region,
    cluster,
    clusterStack,
    remedy,
    holder,
    outcome,
  } = error;
  return {
    ...{
      code,
      message,
      operation,
      errno,
      errnoName: errnoName(error),
      syscall,
      path,
      line,
      column,
      region,
      cluster,
      clusterStack,
    },
    ...{ remedy, holder, outcome, kernelMessages: error.kernelMessages },
    rollbackError: error.rollbackError === undefined ? undefined : text(error.rollbackError),
  };
}
