// The options that OCFS2 itself reads, and what their values may be.
//
// Facts relied on: the token table of linux fs/ocfs2/super.c (commands 1.2, kernel-abi 7.1), the same in 6.1, 6.12 and 7.2.
// Numbers are read as in C (0x and 0 prefixes) into an int. The kernel ignores reservation levels above 8 and
// slots that do not exist without a word; here they are refused. Only what is wrong on every kernel is refused.
import { quoted } from "../words.ts";
import { O2cbError } from "../errors.ts";

const INT_MAX = 2 ** 31 - 1;
/** OCFS2 has 255 slots at most, counted from 0. */
const LAST_SLOT = 254;

type Rule = { words: readonly string[] } | { least: number; most: number } | { bytes: number };

const valued: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["heartbeat", { words: ["none", "local", "global"] }],
  ["cluster_stack", { bytes: 4 }],
  ["data", { words: ["ordered", "writeback"] }],
  ["errors", { words: ["remount-ro", "panic", "continue"] }],
  ["coherency", { words: ["full", "buffered"] }],
  ["barrier", { least: 0, most: 1 }],
  ["atime_quantum", { least: 0, most: INT_MAX }],
  ["preferred_slot", { least: 0, most: LAST_SLOT }],
  ["commit", { least: 0, most: INT_MAX }],
  ["localalloc", { least: 0, most: INT_MAX }],
  ["resv_level", { least: 0, most: 8 }],
  ["dir_resv_level", { least: 0, most: 8 }],
]);

const plain: ReadonlySet<string> = new Set(
  [
    ["intr", "nointr", "localflocks", "user_xattr", "nouser_xattr", "acl", "noacl"],
    ["inode64", "usrquota", "grpquota", "journal_async_commit"],
  ].flat(),
);

const pairs = ["intr", "user_xattr", "acl"];
const opposites: ReadonlyMap<string, string> = new Map(
  pairs.flatMap((name): [string, string][] => [
    [name, `no${name}`],
    [`no${name}`, name],
  ]),
);

/** Whether OCFS2 knows an option of this name. */
export function isOcfs2Option(name: string): boolean {
  return valued.has(name) || plain.has(name);
}

/** `acl` for `noacl` and the other way round; undefined where an option has no contrary. */
export function oppositeOf(name: string): string | undefined {
  return opposites.get(name);
}

/** The part before `=`. */
export function optionName(option: string): string {
  const at = option.indexOf("=");
  return at < 0 ? option : option.slice(0, at);
}

export function badOption(message: string, remedy?: string): O2cbError {
  return new O2cbError("O2CB_BAD_MOUNT_OPTION", message, { operation: "parse-options", remedy });
}

/**
 * Checks one of OCFS2's own options; `value` is null where there is no `=`.
 * Errors: O2CB_BAD_MOUNT_OPTION for what no kernel takes, or takes and ignores.
 */
export function checkOcfs2Option(name: string, value: string | null): void {
  const rule = valued.get(name);
  if (rule === undefined) {
    if (value !== null) throw badOption(`option '${name}' takes no value, but was given ${quoted(value)}`);
    return;
  }
  if (value === null || value === "")
    throw badOption(`option '${name}' needs a value`, `write ${name}=${expected(rule)}`);
  if (!fits(rule, value)) {
    throw badOption(`option '${name}' cannot be ${quoted(value)}`, `write ${name}=${expected(rule)}`);
  }
}

function fits(rule: Rule, value: string): boolean {
  if ("words" in rule) return rule.words.includes(value);
  if ("bytes" in rule) return Buffer.byteLength(value) === rule.bytes;
  const number = kernelNumber(value);
  return number >= rule.least && number <= rule.most;
}

function expected(rule: Rule): string {
  if ("words" in rule) return rule.words.join(" or ");
  if ("bytes" in rule) return `a label of ${rule.bytes} characters`;
  return `a number from ${rule.least}${rule.most === INT_MAX ? " on" : ` to ${rule.most}`}`;
}

/** As the kernel's kstrtoint with base 0 reads it; NaN for what that refuses. */
function kernelNumber(text: string): number {
  if (/^0x[0-9a-f]{1,8}$/i.test(text)) return Number.parseInt(text.slice(2), 16);
  if (/^0[0-7]{1,11}$/.test(text)) return Number.parseInt(text, 8);
  return /^(0|[1-9]\d{0,9})$/.test(text) ? Number(text) : Number.NaN;
}
