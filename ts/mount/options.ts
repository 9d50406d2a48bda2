// The option string of a mount: what is for mount(2)'s flags, for the kernel's file system, and for nobody below us.
//
// Facts relied on: the form in which libmount hands options to a helper (commands 1.1; lists with quotes, `rw` or `ro` first,
// user-space words among them); the kernel's rule of exactly one heartbeat option, or the stack's label (commands 1.2,
// kernel-abi 7.1); remount (commands 1.4); mount(2) reads one page of data and cuts off the rest.
//
// Pure: nothing is read and nothing is asked. The C tool's translation of user names in uid= is left out, since OCFS2 has no
// such option; so is its question on `nocluster`: whoever mounts decides what the flag means.
import { quoted } from "../words.ts";
import { badOption, checkOcfs2Option, isOcfs2Option, oppositeOf, optionName } from "./options-ocfs2.ts";
import { flagWords, impliedFlags, isUserSpace, MS, securityNames, treeWords } from "./options-table.ts";

export { flagsAsWords } from "./options-table.ts";

export interface ParsedMountOptions {
  /** MS_* bits */
  flags: number;
  remount: boolean;
  /** the file system's options in order, each of OCFS2's own at most once; neither heartbeat= nor cluster_stack= */
  data: string[];
  /** as the caller wrote it; the volume decides (kernelOptions) */
  heartbeat: HeartbeatOption | null;
  clusterStack: string | null;
  noCluster: boolean;
  /** words for programs in user space, left out here */
  dropped: string[];
  /** what OCFS2 does not know, left out because the caller asked to be sloppy */
  ignored: string[];
}

export type HeartbeatOption = "none" | "local" | "global";

/** What decides about the heartbeat option. */
export interface VolumeKind {
  /** formatted for one node */
  local: boolean;
  /** the device itself refuses writes */
  hardReadOnly: boolean;
  /** the label on the disk; null or `o2cb` for the classic stack */
  stackLabel: string | null;
  globalHeartbeat: boolean;
}

/** Bytes of data that reach the file system: a page less its final NUL (linux fs/namespace.c, copy_mount_options). */
const DATA_BYTES_MAX = 4095;
/** What a kernel shows among a superblock's options but takes as flags, or not at all (commands 1.2). */
const SHOWN_ONLY = new Set([
  "rw",
  "ro",
  "sync",
  "dirsync",
  "mand",
  "lazytime",
  "_netdev",
  "seclabel",
  "cluster_stack=o2cb",
]);
const CLASSIC_LABEL = "o2cb";

/**
 * Reads an option string as it stands after `-o`. Of contrary words the last one holds; `nouser` and the like do not lift
 * the flags that `user` implied (libmount does not either), `exec`, `suid` and `dev` do.
 *
 * `sloppy` (mount -s): names that neither OCFS2 nor a security module knows are left out instead of being refused by the
 * kernel. A wrong value of a known name is refused all the same: leaving it out would change what the mount does.
 *
 * Errors: O2CB_BAD_MOUNT_OPTION; TypeError where `text` is no string.
 */
export function parseMountOptions(text: string, { sloppy }: { sloppy: boolean }): ParsedMountOptions {
  if (typeof text !== "string") throw new TypeError("parseMountOptions: the options must be a string");
  refuseControlCharacters(text);
  const parsed: ParsedMountOptions = {
    flags: 0,
    remount: false,
    data: [],
    heartbeat: null,
    clusterStack: null,
    noCluster: false,
    dropped: [],
    ignored: [],
  };
  for (const token of split(text)) take(parsed, token, sloppy);
  parsed.remount = (parsed.flags & MS.REMOUNT) !== 0;
  if ((parsed.flags & MS.BIND) !== 0 && !parsed.remount) throw notAVolume("bind");
  refuseExcess(parsed.data);
  return parsed;
}

function take(parsed: ParsedMountOptions, token: string, sloppy: boolean): void {
  const name = optionName(token);
  const value = token.length === name.length ? null : token.slice(name.length + 1);
  if (name === "") throw badOption(`option ${quoted(token)} has no name`);
  const word = flagWords.get(name);
  if (word !== undefined) {
    if (value !== null) throw badOption(`option '${name}' takes no value, but was given ${quoted(value)}`);
    parsed.flags = (parsed.flags & ~word.clear) | word.set;
  } else if (value === null && impliedFlags.has(name)) {
    parsed.flags |= impliedFlags.get(name) ?? 0;
    parsed.dropped.push(token);
  } else if (isUserSpace(name, value)) {
    parsed.dropped.push(token);
  } else if (treeWords.has(name)) {
    throw notAVolume(name);
  } else if (name === "nocluster" && value === null) {
    parsed.noCluster = true;
  } else {
    takeForFileSystem(parsed, name, value, token, sloppy);
  }
}

function takeForFileSystem(
  parsed: ParsedMountOptions,
  name: string,
  value: string | null,
  token: string,
  sloppy: boolean,
): void {
  if (!isOcfs2Option(name)) {
    if (sloppy && !securityNames.has(name)) parsed.ignored.push(token);
    else if (name === "uid" || name === "gid") {
      throw badOption(
        `OCFS2 has no option '${name}': owners are stored on the volume`,
        "change owners with chown, once the volume is mounted",
      );
    } else parsed.data.push(token);
    return;
  }
  checkOcfs2Option(name, value);
  if (name === "heartbeat") parsed.heartbeat = value as HeartbeatOption;
  else if (name === "cluster_stack") parsed.clusterStack = value;
  else overlay(parsed.data, token);
}

/** Puts an option at the end, in place of what says the same or the contrary. */
function overlay(options: string[], token: string): void {
  const name = optionName(token);
  const opposite = oppositeOf(name);
  const kept = options.filter((option) => ![name, opposite].includes(optionName(option)));
  options.splice(0, options.length, ...kept, token);
}

/** Splits at commas outside of quotes and leaves out empty parts; quotes that protect no comma are taken off. */
function split(text: string): string[] {
  const tokens: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at <= text.length; at++) {
    if (text[at] === '"') isQuoted = !isQuoted;
    if (at < text.length && (isQuoted || text[at] !== ",")) continue;
    const token = text.slice(start, at);
    start = at + 1;
    if (token !== "") tokens.push(token.includes(",") ? token : token.replaceAll('"', ""));
  }
  if (isQuoted)
    throw badOption("the options have an opening quote without a closing one", 'close it: name="a,b"');
  return tokens.filter((token) => token !== "");
}

function refuseControlCharacters(text: string): void {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0x20 && code !== 0x7f) continue;
    throw badOption(
      `the options hold the control character 0x${code.toString(16).padStart(2, "0")} at position ${at}`,
    );
  }
}

function refuseExcess(options: readonly string[]): void {
  const bytes = Buffer.byteLength(options.join(","));
  if (bytes <= DATA_BYTES_MAX) return;
  throw badOption(
    `the options for the file system are ${bytes} bytes long, and the kernel takes ${DATA_BYTES_MAX} at most`,
    "leave some out",
  );
}

function notAVolume(word: string): Error {
  return badOption(
    `'${word}' changes the tree of mounts and concerns no volume`,
    `use mount --${/^r?(bind|move)$/.test(word) ? word : `make-${word}`}, which needs no helper`,
  );
}

/**
 * What the kernel is given as data: the caller's options and exactly one of heartbeat=MODE or cluster_stack=LABEL.
 *
 * A volume of another stack gets its label also on a read-only device, where the classic stack needs heartbeat=none: the
 * kernel compares the label before it looks whether the device can be written (linux fs/ocfs2/super.c,
 * ocfs2_verify_userspace_stack). The C tool passes heartbeat=none there.
 *
 * Errors: O2CB_BAD_MOUNT_OPTION where the caller's heartbeat=, cluster_stack= or nocluster disagrees with the volume, and
 * where the result is longer than the kernel takes.
 */
export function kernelOptions(parsed: ParsedMountOptions, kind: VolumeKind): string[] {
  const label = kind.stackLabel === null || kind.stackLabel === "" ? CLASSIC_LABEL : kind.stackLabel;
  const wanted = clusterOption(kind, label);
  if (parsed.heartbeat !== null && wanted !== `heartbeat=${parsed.heartbeat}`) {
    throw badOption(
      `option 'heartbeat=${parsed.heartbeat}' does not fit the volume, which needs '${wanted}'`,
      "leave heartbeat= out: it follows from the volume",
    );
  }
  if (parsed.clusterStack !== null && parsed.clusterStack !== label) {
    throw badOption(
      `option ${quoted(`cluster_stack=${parsed.clusterStack}`)} does not fit the volume, whose stack is ${quoted(label)}`,
      "leave cluster_stack= out: it follows from the volume",
    );
  }
  if (parsed.noCluster && wanted !== "heartbeat=none") {
    throw badOption(
      "option 'nocluster' cannot be used: the kernel mounts a clustered volume only with its cluster",
      "bring the cluster online, or make the volume one node's own with tunefs.ocfs2 -M local while nobody has it mounted",
    );
  }
  const options = [...parsed.data, wanted];
  refuseExcess(options);
  return options;
}

/** The one option by which the kernel learns about the cluster. `cluster_stack=o2cb` is none: the kernel refuses it. */
function clusterOption(kind: VolumeKind, label: string): string {
  if (kind.local) return "heartbeat=none";
  if (label !== CLASSIC_LABEL) return `cluster_stack=${label}`;
  if (kind.hardReadOnly) return "heartbeat=none";
  return kind.globalHeartbeat ? "heartbeat=global" : "heartbeat=local";
}

/**
 * What the kernel is given as data on a remount: what holds now, as mountinfo shows it (`superOptions`), under what the
 * caller asked for. The kernel forgets every option that is not repeated, and refuses another heartbeat or data mode.
 *
 * Errors: O2CB_BAD_MOUNT_OPTION for a change that a mounted volume cannot make.
 */
export function remountOptions(superOptions: string, parsed: ParsedMountOptions): string[] {
  const shown = split(superOptions).filter((option) => !SHOWN_ONLY.has(option));
  // Of a userspace stack the kernel shows heartbeat=none, and refuses it on a remount: the mount was made without (userspace-stack 5).
  const isUserStack = shown.some((option) => option.startsWith("cluster_stack="));
  const options = shown.filter((option) => !(isUserStack && option === "heartbeat=none"));
  const current = (name: string): string | undefined => {
    return options.find((option) => optionName(option) === name)?.slice(name.length + 1);
  };
  refuseChange("heartbeat", isUserStack ? "none" : current("heartbeat"), parsed.heartbeat);
  refuseChange("cluster_stack", current("cluster_stack") ?? CLASSIC_LABEL, parsed.clusterStack);
  if (parsed.noCluster && (isUserStack || current("heartbeat") !== "none")) {
    throw badOption("option 'nocluster' cannot be used: the volume is mounted with its cluster");
  }
  for (const option of parsed.data) {
    const name = optionName(option);
    if (name === "data") refuseChange(name, current(name), option.slice("data=".length));
    if (name === "inode64" && !options.includes(name)) throw unchangeable(name);
    if (isOcfs2Option(name)) overlay(options, option);
    else if (!options.includes(option)) options.push(option);
  }
  refuseExcess(options);
  return options;
}

/** `now` is undefined where the mounted volume shows nothing: then the kernel decides. */
function refuseChange(name: string, now: string | undefined, wanted: string | null): void {
  if (wanted === null || now === undefined || now === wanted) return;
  throw unchangeable(`${name}=${wanted}`, `the volume is mounted with '${name}=${now}'`);
}

function unchangeable(option: string, fact = "the volume is mounted without it"): Error {
  return badOption(
    `a remount cannot set ${quoted(option)}: ${fact}`,
    "unmount the volume and mount it with the option",
  );
}
