// The settings of the o2cb service, in /etc/sysconfig/o2cb or /etc/default/o2cb: read without executing anything, changed in place.
//
// Facts relied on: the variables, their defaults and the least that the init script asks for (commands.md 4.1); the file is sourced by
// sh, so that the last assignment counts; what the kernel takes (group-api 4.5). O2CB_LEAVE and O2CB_FENCE_METHOD are this package's own.
//
// A value that only a shell could know, or that is no value, is told as a finding, and the default stands in its place: whoever acts on
// the values looks at the findings of severity `error` first.
import { exists } from "../attributes.ts";
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { placeOf } from "./cluster-conf.ts";
import type { Timeouts } from "./digest.ts";
import { changeText, readText, type ChangeOptions, type TextChange } from "./file.ts";
import { sortFindings, type Finding } from "./finding.ts";
import { clusterNameProblem } from "./names.ts";
import { parseShell, quoteWord, type ShellAssignment } from "./shell-words.ts";

export const SYSCONFIG_PATHS = ["/etc/sysconfig/o2cb", "/etc/default/o2cb"] as const;

export type Variable =
  | "O2CB_ENABLED"
  | "O2CB_STACK"
  | "O2CB_BOOTCLUSTER"
  | "O2CB_HEARTBEAT_THRESHOLD"
  | "O2CB_IDLE_TIMEOUT_MS"
  | "O2CB_KEEPALIVE_DELAY_MS"
  | "O2CB_RECONNECT_DELAY_MS"
  | "O2CB_FENCE_METHOD"
  | "O2CB_LEAVE";

export interface SysconfigValues extends Timeouts {
  enabled: boolean;
  stack: string;
  /** null: none is named */
  bootCluster: string | null;
  /** who leaves when a superblock ends: umount.ocfs2 and the monitor, or the kernel through ocfs2_hb_ctl */
  leave: "umount" | "kernel";
  /** what becomes of a host that loses its disks; null: as the kernel has it */
  fenceMethod: "reset" | "panic" | null;
}

export interface Sysconfig {
  path: string;
  exists: boolean;
  values: SysconfigValues;
  /** the variables that the file sets to something that can be used; the others are at their default */
  given: Variable[];
  findings: Finding[];
}

export const SYSCONFIG_DEFAULTS: Readonly<SysconfigValues> = {
  enabled: false,
  stack: "o2cb",
  bootCluster: null,
  heartbeatThreshold: 31,
  idleTimeoutMs: 30_000,
  keepaliveDelayMs: 2000,
  reconnectDelayMs: 2000,
  leave: "umount",
  fenceMethod: null,
};

interface NumberRule {
  field: keyof Timeouts;
  /** that the kernel takes */
  min: number;
  /** that the init script asks for */
  advised: number;
}

const NUMBERS: Partial<Record<Variable, NumberRule>> = {
  O2CB_HEARTBEAT_THRESHOLD: { field: "heartbeatThreshold", min: 3, advised: 7 },
  O2CB_IDLE_TIMEOUT_MS: { field: "idleTimeoutMs", min: 1, advised: 5000 },
  O2CB_KEEPALIVE_DELAY_MS: { field: "keepaliveDelayMs", min: 1, advised: 1000 },
  O2CB_RECONNECT_DELAY_MS: { field: "reconnectDelayMs", min: 1, advised: 2000 },
};
const VARIABLES: readonly Variable[] = [
  ...(["O2CB_ENABLED", "O2CB_STACK", "O2CB_BOOTCLUSTER", "O2CB_FENCE_METHOD", "O2CB_LEAVE"] as const),
  ...(Object.keys(NUMBERS) as Variable[]),
];
const MAX = 4_294_967_294;

/** The file that is there, else the one that this distribution would have. */
export async function sysconfigPath(native: Native, signal?: AbortSignal): Promise<string> {
  const [first, second] = SYSCONFIG_PATHS;
  if (await exists(native, first, signal)) return first;
  if (await exists(native, second, signal)) return second;
  return (await exists(native, "/etc/sysconfig", signal)) ? first : second;
}

/** Errors: what the kernel says of the file; a missing one says nothing, and all is at its default. */
export async function readSysconfig(
  native: Native,
  options: { path?: string | undefined; signal?: AbortSignal | undefined } = {},
): Promise<Sysconfig> {
  const path = options.path ?? (await sysconfigPath(native, options.signal));
  const text = await readText(native, path, options.signal);
  return { path, exists: text !== null, ...parseSysconfig(text ?? "") };
}

/** Errors: O2CB_CONFIGURATION_ERROR, O2CB_TIMEOUT, what the kernel says of the file. */
export function changeSysconfig(
  native: Native,
  path: string,
  changes: Partial<Record<Variable, string>>,
  options: ChangeOptions = {},
): Promise<TextChange> {
  return changeText(native, path, (text) => editSysconfig(text, path, changes), options);
}

export function parseSysconfig(text: string): Pick<Sysconfig, "values" | "given" | "findings"> {
  const { assignments, odd, unclosed } = parseShell(text);
  const findings: Finding[] = [];
  const add: Add = (severity, offset, key, message, remedy) =>
    findings.push({ severity, ...placeOf(text, offset), key, message, remedy });
  if (unclosed !== null)
    add("error", unclosed, null, "a quote or an expansion that begins here has no end", "close it");
  for (const command of odd) {
    const about = VARIABLES.find((name) => mentions(command.text, name)) ?? null;
    const what = "this is no plain assignment: it is not understood, and never executed";
    const whose = about === null ? "" : `, so that the value of ${about} is not known`;
    add(about === null ? "warning" : "error", command.offset, about, `${what}${whose}`, "write NAME=value");
  }
  for (const one of assignments) {
    if (one.value !== null) continue;
    const isOurs = VARIABLES.includes(one.name as Variable);
    const what = `the value of ${one.name} has an expansion or a substitution: it is not understood, and never executed`;
    add(isOurs ? "error" : "warning", one.offset, one.name, what, "write the value itself");
  }
  const values = { ...SYSCONFIG_DEFAULTS };
  const given: Variable[] = [];
  for (const name of VARIABLES) {
    const last = assignments.findLast((one) => one.name === name);
    // Empty is as good as not set, to the script.
    if (last?.value == null || last.value === "") continue;
    if (take(values, name, last.value, (severity, what, fix) => add(severity, last.offset, name, what, fix)))
      given.push(name);
  }
  if (values.idleTimeoutMs <= values.keepaliveDelayMs) {
    const about = given.includes("O2CB_IDLE_TIMEOUT_MS") ? "O2CB_IDLE_TIMEOUT_MS" : "O2CB_KEEPALIVE_DELAY_MS";
    const place = assignments.findLast((one) => one.name === about)?.offset ?? 0;
    const what = `the idle timeout, ${values.idleTimeoutMs} ms, is not longer than the keepalive delay, ${values.keepaliveDelayMs} ms: the kernel refuses that`;
    add("error", place, about, what, "make the idle timeout longer");
  }
  return { values, given, findings: sortFindings(findings) };
}

/** The text with the variables set, everything else as it was. Errors: O2CB_CONFIGURATION_ERROR. */
export function editSysconfig(
  text: string,
  path: string,
  changes: Partial<Record<Variable, string>>,
): string {
  let result = text;
  for (const [name, value] of Object.entries(changes)) {
    // oxlint-disable-next-line no-control-regex
    if (/[\0-\x1f\x7f]/.test(value))
      throw new O2cbError("O2CB_CONFIGURATION_ERROR", `${name} cannot have control characters`, {
        operation: "edit-configuration",
        path,
        remedy: "give another value",
      });
    result = setVariable(result, path, name as Variable, value);
  }
  return result;
}

function setVariable(text: string, path: string, name: Variable, value: string): string {
  const { assignments, odd, unclosed } = parseShell(text);
  if (unclosed !== null) {
    const place = placeOf(text, unclosed);
    const message = `cannot set ${name} in '${path}': a quote in line ${place.line}, column ${place.column} has no end`;
    const fields = { operation: "edit-configuration", path, ...place, remedy: "close the quote" };
    throw new O2cbError("O2CB_CONFIGURATION_ERROR", message, fields);
  }
  const last = assignments.findLast((one) => one.name === name);
  const isLast = !odd.some((one) => one.offset > (last?.offset ?? 0) && mentions(one.text, name));
  if (last?.value === value && isLast) return text;
  const word = quoteWord(value);
  if (last !== undefined && isLast) return text.slice(0, last.start) + word + text.slice(last.end);
  const added = `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${name}=${word}\n`;
  if (lastValue(parseShell(added).assignments, name) === value) return added;
  const message = `cannot set ${name} in '${path}': its end is not understood`;
  const remedy = "write the file as plain lines NAME=value";
  throw new O2cbError("O2CB_CONFIGURATION_ERROR", message, { operation: "edit-configuration", path, remedy });
}

function lastValue(assignments: readonly ShellAssignment[], name: Variable): string | null | undefined {
  return assignments.findLast((one) => one.name === name)?.value;
}

function mentions(text: string, name: Variable): boolean {
  return new RegExp(`(?<!\\w)${name}(?!\\w)`).test(text);
}

type Add = (
  severity: Finding["severity"],
  offset: number,
  key: string | null,
  message: string,
  remedy: string,
) => void;
type Tell = (severity: Finding["severity"], message: string, remedy: string) => void;

/** Puts a variable's value among the values; false where it is none. */
function take(values: SysconfigValues, name: Variable, value: string, tell: Tell): boolean {
  const shown = `${name} is ${JSON.stringify(value)}`;
  const rule = NUMBERS[name];
  if (rule !== undefined) {
    const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= rule.min && number <= MAX)) {
      const expected = `expected is a number from ${rule.min} to ${MAX}`;
      tell("error", `${shown}; ${expected}`, `write ${name}=${SYSCONFIG_DEFAULTS[rule.field]}`);
      return false;
    }
    if (number < rule.advised)
      tell(
        "warning",
        `${shown}, which is less than the ${rule.advised} that is safe`,
        "write a higher value",
      );
    values[rule.field] = number;
    return true;
  }
  const fail = (expected: string): boolean => {
    tell("error", `${shown}; expected is ${expected}`, "correct the value");
    return false;
  };
  if (name === "O2CB_ENABLED") {
    if (value !== "true" && value !== "false") return fail("true or false");
    values.enabled = value === "true";
  } else if (name === "O2CB_LEAVE") {
    if (value !== "umount" && value !== "kernel") return fail("umount or kernel");
    values.leave = value;
  } else if (name === "O2CB_FENCE_METHOD") {
    if (value !== "reset" && value !== "panic") return fail("reset or panic");
    values.fenceMethod = value;
  } else if (name === "O2CB_STACK") {
    if (Buffer.byteLength(value) !== 4 || /\s/.test(value)) return fail("a name of four characters");
    values.stack = value;
  } else {
    const problem = clusterNameProblem(value);
    if (problem !== null) return fail(problem.replace("expected are ", ""));
    values.bootCluster = value;
  }
  return true;
}
