// Names of domains and locks, before they become paths; and where a lock's place is in the file that keeps this node's processes apart.
//
// Facts relied on: kernel-abi 5 (a domain's name has up to 63 bytes, a lock's up to 31 and no `$` at its beginning), group-api 8.6 and K18
// (names that begin with a dot are for the context locks of programs).
import { createHash } from "node:crypto";
import { O2cbError } from "../errors.ts";

const MAX_DOMAIN_BYTES = 63;
const MAX_LOCK_BYTES = 31;
/** places are below this (crates/sys, byte_range) */
const PLACES = 1n << 62n;

/** Errors: O2CB_INVALID_DOMAIN_NAME. */
export function checkDomain(domain: string): void {
  const problem =
    typeof domain !== "string" || domain === ""
      ? "it is empty"
      : Buffer.byteLength(domain) > MAX_DOMAIN_BYTES
        ? `it has more than ${MAX_DOMAIN_BYTES} bytes`
        : /[/\0]/.test(domain)
          ? "it holds a slash or a NUL"
          : domain === "." || domain === ".."
            ? "it is no name"
            : null;
  if (problem !== null)
    throw new O2cbError("O2CB_INVALID_DOMAIN_NAME", `'${domain}' cannot name a DLM domain: ${problem}`, {
      operation: "join-domain",
    });
}

/** Errors: O2CB_INVALID_LOCK_NAME. */
export function checkLockName(name: string): void {
  const problem =
    typeof name !== "string" || name === ""
      ? "it is empty"
      : Buffer.byteLength(name) > MAX_LOCK_BYTES
        ? `it has more than ${MAX_LOCK_BYTES} bytes`
        : /[/\0]/.test(name)
          ? "it holds a slash or a NUL"
          : /^[.$]/.test(name)
            ? "names that begin with '.' or '$' are not for programs"
            : null;
  if (problem !== null)
    throw new O2cbError("O2CB_INVALID_LOCK_NAME", `'${name}' cannot name a lock: ${problem}`, {
      operation: "lock",
    });
}

/** The same for every process; that two names meet is as good as impossible, and would only make one wait for the other. */
export function placeOf(name: string): bigint {
  return createHash("sha256").update(name).digest().readBigUInt64LE(0) % PLACES;
}
