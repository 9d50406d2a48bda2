// What a look at a configuration file found: for people to read, and for programs to sort.
import type { Position } from "./cluster-conf.ts";

export interface Finding extends Position {
  /** `error`: a tool or the kernel refuses it, or the host cannot come online with it. `warning`: it works, but hardly as meant. */
  severity: "error" | "warning";
  key: string | null;
  message: string;
  remedy: string;
}

export function sortFindings(findings: Finding[]): Finding[] {
  return findings.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

/** A text from a file as a message can show it, on one line. */
export function quoted(text: string): string {
  return `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"')}'`;
}
