// A question that a person answers at the terminal; anything but a yes is a no.
import { UsageError } from "./argv.ts";

/**
 * Asks on standard error and reads a line. What is piped in is no answer: it may be meant for something else, or end by itself.
 * @throws UsageError where nobody can be asked; the signal's reason
 */
export async function askPerson(question: string, signal: AbortSignal): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new UsageError("nobody can be asked, since standard input is no terminal: answer with -y or -n");
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^\s*y(es)?\s*$/i.test(await lines.question(`${question} [y/N] `, { signal }));
  } finally {
    lines.close();
  }
}
