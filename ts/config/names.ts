// What names, numbers and addresses of a cluster may be: for what people ask for, and for the linter.
//
// Facts relied on: cluster names are 1 to 16 letters and digits, node names up to 64 bytes, numbers 0 to 254, ports 1 to 65534, addresses
// dotted quads (group-api 5.3, Appendix D); names become directories in configfs (9.2, B26). The kernel's o2net speaks IPv4 only.
//
// A file may say more than this and be read (model.ts): these are the rules for writing, and for the kernel.
import type { ErrorCode } from "../error-codes.ts";
import { O2cbError } from "../errors.ts";
import { quoted } from "./finding.ts";
import { isRegionName, regionName } from "../volume.ts";

export const MAX_NODES = 255;
/** of global heartbeat */
export const MAX_REGIONS = 32;
export const MAX_NUMBER = 254;
export const MAX_PORT = 65_534;
export const DEFAULT_PORT = 7777;

/** Each says what was expected, to follow `... is 'x'; `; null where nothing is wrong. */
export function clusterNameProblem(name: string): string | null {
  return /^[A-Za-z0-9]{1,16}$/.test(name) ? null : "expected are 1 to 16 letters and digits";
}

export function nodeNameProblem(name: string): string | null {
  if (name === "") return "expected is the host's name";
  if (name === "." || name === ".." || name.includes("/"))
    return "expected is a name that can be a directory: no slash, not '.' and not '..'";
  if (Buffer.byteLength(name) > 64) return "expected are at most 64 bytes";
  return unwritableProblem(name);
}

export function addressProblem(address: string): string | null {
  if (isDottedQuad(address)) return null;
  if (/^[0-9a-f]*:[0-9a-f:.]*(%\w+)?$/i.test(address))
    return "expected is an IPv4 address: the kernel's o2net has no IPv6";
  return "expected is an IPv4 address of four decimal numbers without leading zeros, like 10.0.0.1";
}

export function portProblem(port: number): string | null {
  return isWhole(port, 1, MAX_PORT) ? null : `expected is a number from 1 to ${MAX_PORT}`;
}

export function numberProblem(number: number): string | null {
  return isWhole(number, 0, MAX_NUMBER) ? null : `expected is a number from 0 to ${MAX_NUMBER}`;
}

export function regionProblem(region: string): string | null {
  return isRegionName(region)
    ? null
    : "expected is the volume's UUID as 32 upper-case hexadecimal digits, as blkid and mounted.ocfs2 -d tell it";
}

/** What a line of the file cannot carry, or would carry changed (group-api 6.1). */
export function unwritableProblem(value: string): string | null {
  // oxlint-disable-next-line no-control-regex
  if (/[\0-\x1f\x7f]/.test(value)) return "expected is a text without control characters";
  if (/^ | $/.test(value)) return "expected is a text without spaces at its ends";
  if (value.endsWith("\\")) return "expected is a text without a backslash at its end";
  if (/\p{Surrogate}|\ufffd/u.test(value)) return "expected is a text that UTF-8 can hold";
  return null;
}

/** Errors: O2CB_INVALID_CLUSTER_NAME. */
export function validateClusterName(name: string): string {
  return checked("cluster's name", name, clusterNameProblem(name), "O2CB_INVALID_CLUSTER_NAME");
}

/** Errors: O2CB_CONFIGURATION_ERROR. */
export function validateNodeName(name: string): string {
  return checked("node's name", name, nodeNameProblem(name), "O2CB_CONFIGURATION_ERROR");
}

/** Errors: O2CB_CONFIGURATION_ERROR. */
export function validateAddress(address: string): string {
  return checked("node's address", address, addressProblem(address), "O2CB_CONFIGURATION_ERROR");
}

/** Errors: O2CB_CONFIGURATION_ERROR. */
export function validatePort(port: number): number {
  return checked("node's port", port, portProblem(port), "O2CB_CONFIGURATION_ERROR");
}

/** Errors: O2CB_INVALID_NODE_NUM. */
export function validateNumber(number: number): number {
  return checked("node's number", number, numberProblem(number), "O2CB_INVALID_NODE_NUM");
}

/** A volume's UUID in any usual form, as the region's name. Errors: O2CB_INVALID_REGION_NAME. */
export function validateRegion(uuid: string): string {
  return regionName(uuid);
}

function checked<T extends string | number>(
  what: string,
  value: T,
  problem: string | null,
  code: ErrorCode,
): T {
  if (problem === null) return value;
  throw new O2cbError(code, `the ${what} cannot be ${quoted(String(value))}: ${problem}`, {
    operation: "check-configuration",
    remedy: "give another one",
  });
}

function isDottedQuad(text: string): boolean {
  const part = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  return new RegExp(`^${part}(?:\\.${part}){3}$`).test(text);
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
