// The words of `-o` that never reach the file system: flags of mount(2), and what concerns only programs in user space.
//
// Facts relied on: bit values are the kernel's ABI (mount(2); linux include/uapi/linux/mount.h). What libmount hands to a
// helper, and in which order, was measured with util-linux 2.38.1 (commands 1.1): `user` stays in the string, the flags it
// implies stand before it, and `exec`, `suid` or `dev` after it where the administrator allowed them.

/** Bits of mount(2)'s flags argument. */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  SYNCHRONOUS: 16,
  REMOUNT: 32,
  MANDLOCK: 64,
  DIRSYNC: 128,
  NOSYMFOLLOW: 256,
  NOATIME: 1024,
  NODIRATIME: 2048,
  BIND: 4096,
  SILENT: 32768,
  RELATIME: 1 << 21,
  I_VERSION: 1 << 23,
  STRICTATIME: 1 << 24,
  LAZYTIME: 1 << 25,
} as const;

export interface FlagWord {
  set: number;
  clear: number;
}

/** The three rules for access times exclude each other; the kernel would rank them instead of taking the last. */
const ATIME = MS.NOATIME | MS.RELATIME | MS.STRICTATIME;
const SECURE = MS.NOSUID | MS.NODEV;

/** Every word that only changes flags. */
export const flagWords: ReadonlyMap<string, FlagWord> = new Map(
  Object.entries({
    ro: { set: MS.RDONLY, clear: 0 },
    rw: { set: 0, clear: MS.RDONLY },
    nosuid: { set: MS.NOSUID, clear: 0 },
    suid: { set: 0, clear: MS.NOSUID },
    nodev: { set: MS.NODEV, clear: 0 },
    dev: { set: 0, clear: MS.NODEV },
    noexec: { set: MS.NOEXEC, clear: 0 },
    exec: { set: 0, clear: MS.NOEXEC },
    sync: { set: MS.SYNCHRONOUS, clear: 0 },
    async: { set: 0, clear: MS.SYNCHRONOUS },
    dirsync: { set: MS.DIRSYNC, clear: 0 },
    remount: { set: MS.REMOUNT, clear: 0 },
    bind: { set: MS.BIND, clear: 0 },
    mand: { set: MS.MANDLOCK, clear: 0 },
    nomand: { set: 0, clear: MS.MANDLOCK },
    nosymfollow: { set: MS.NOSYMFOLLOW, clear: 0 },
    symfollow: { set: 0, clear: MS.NOSYMFOLLOW },
    noatime: { set: MS.NOATIME, clear: ATIME },
    atime: { set: 0, clear: MS.NOATIME },
    relatime: { set: MS.RELATIME, clear: ATIME },
    norelatime: { set: 0, clear: MS.RELATIME },
    strictatime: { set: MS.STRICTATIME, clear: ATIME },
    nostrictatime: { set: 0, clear: MS.STRICTATIME },
    nodiratime: { set: MS.NODIRATIME, clear: 0 },
    diratime: { set: 0, clear: MS.NODIRATIME },
    lazytime: { set: MS.LAZYTIME, clear: 0 },
    nolazytime: { set: 0, clear: MS.LAZYTIME },
    silent: { set: MS.SILENT, clear: 0 },
    quiet: { set: MS.SILENT, clear: 0 },
    loud: { set: 0, clear: MS.SILENT },
    iversion: { set: MS.I_VERSION, clear: 0 },
    noiversion: { set: 0, clear: MS.I_VERSION },
  }),
);

/** Who else may mount: user space decides that, but each implies flags, which later words may lift again. */
export const impliedFlags: ReadonlyMap<string, number> = new Map([
  ["user", SECURE | MS.NOEXEC],
  ["users", SECURE | MS.NOEXEC],
  ["pamconsole", SECURE | MS.NOEXEC],
  ["owner", SECURE],
  ["group", SECURE],
]);

/** Words for fstab, mount(8), systemd and tools of the past: no meaning below them. */
const userSpaceWords = new Set(
  [
    [
      "defaults",
      "auto",
      "noauto",
      "nofail",
      "fail",
      "_netdev",
      "no_netdev",
      "loop",
      "noloop",
      "comment",
      "nocomment",
    ],
    ["nouser", "nousers", "noowner", "nogroup", "nopamconsole", "kudzu", "nokudzu", "managed", "nomanaged"],
  ].flat(),
);
const userSpaceNames = new Set([
  "user",
  "uhelper",
  "helper",
  "comment",
  "loop",
  "offset",
  "sizelimit",
  "encryption",
  "speed",
  "vfs",
]);

/** Whether a word concerns programs in user space only. `value` is null where the word has no `=`. */
export function isUserSpace(name: string, value: string | null): boolean {
  if (/^[xX]-/.test(name)) return true;
  return value === null ? userSpaceWords.has(name) : userSpaceNames.has(name);
}

/** Requests that concern the tree of mounts, not a volume; mount(8) never brings them here. */
export const treeWords: ReadonlySet<string> = new Set(
  ["rbind", "move", "shared", "private", "slave", "unbindable"].flatMap((word) => [word, `r${word}`]),
);

/** What a security module takes out of the options before the file system sees them: never left out, not even sloppily. */
export const securityNames: ReadonlySet<string> = new Set(
  [
    ["context", "fscontext", "defcontext", "rootcontext", "seclabel"],
    ["smackfsdef", "smackfsroot", "smackfshat", "smackfsfloor", "smackfstransmute"],
  ].flat(),
);

const flagNames = [
  [MS.NOSUID, "nosuid"],
  [MS.NODEV, "nodev"],
  [MS.NOEXEC, "noexec"],
  [MS.SYNCHRONOUS, "sync"],
  [MS.REMOUNT, "remount"],
  [MS.MANDLOCK, "mand"],
  [MS.DIRSYNC, "dirsync"],
  [MS.NOSYMFOLLOW, "nosymfollow"],
  [MS.NOATIME, "noatime"],
  [MS.NODIRATIME, "nodiratime"],
  [MS.BIND, "bind"],
  [MS.SILENT, "silent"],
  [MS.RELATIME, "relatime"],
  [MS.I_VERSION, "iversion"],
  [MS.STRICTATIME, "strictatime"],
  [MS.LAZYTIME, "lazytime"],
] as const;

/** Flags as the words that set them, `rw` or `ro` first. */
export function flagsAsWords(flags: number): string[] {
  const words = flagNames.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  return [(flags & MS.RDONLY) === 0 ? "rw" : "ro", ...words];
}
