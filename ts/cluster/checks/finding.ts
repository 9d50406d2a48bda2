// What a check of the doctor says, and what it is given to look with: plain data, the vocabulary of all files in this directory.
//
// A check looks at one subject and changes nothing. What it throws is turned into a warning that says so (doctor.ts), so a check may
// simply read; it catches only where absence is an answer.
import type { Native } from "../../native-types.ts";

/** `failure`: it does not work this way. `warning`: it may not, or could not be looked at. `good`: as it should be. */
export type FindingState = "good" | "warning" | "failure";

export interface Finding {
  /** stable name of the check */
  check: string;
  /** which device, node or file of several; null where there is one only */
  subject: string | null;
  state: FindingState;
  /** one sentence with the facts */
  evidence: string;
  /** what to do, as an imperative phrase; null where nothing is to be done */
  remedy: string | null;
}

export interface CheckContext {
  native: Native;
  /** devices that were named */
  devices: readonly string[];
  peersReachable: boolean;
  configPath: string;
  signal: AbortSignal | undefined;
  /** waits between two looks at a heartbeat area */
  pause: (milliseconds: number) => Promise<void>;
}

export interface Check {
  /** the check that a failure to look is reported as */
  id: string;
  look: (context: CheckContext) => Promise<readonly Finding[]>;
}

export function good(check: string, evidence: string, subject: string | null = null): Finding {
  return { check, subject, state: "good", evidence, remedy: null };
}

export function warning(
  check: string,
  evidence: string,
  remedy: string | null,
  subject: string | null = null,
): Finding {
  return { check, subject, state: "warning", evidence, remedy };
}

export function failure(
  check: string,
  evidence: string,
  remedy: string | null,
  subject: string | null = null,
): Finding {
  return { check, subject, state: "failure", evidence, remedy };
}
