// What a command line can be made of, and those of mount.ocfs2 and umount.ocfs2: one table each, from which the parser, the
// help and the clipanion classes are made. The other commands' tables are in hb-ctl-syntax.ts and beside their jobs.
//
// Facts relied on: what mount(8) and umount(8) pass (commands 1.1, 2.1): operands first, then short options; `-t` only for a
// type with a dot, no `-o` twice, and no operand at all when something is to be remounted that is not mounted (toolchain 7.2).

/**
 * How an option is given: alone, alone and repeated, with a value (the last holds), with a value (all hold), with a value that is written
 * at once (`-UVALUE`, `--uuid-reset=VALUE`) or none.
 */
export type OptionKind = "flag" | "count" | "value" | "list" | "optional";

export interface OptionSyntax {
  key: string;
  short: string | null;
  long: string | null;
  kind: OptionKind;
  description: string;
  /** the C tool has it and this command does not: why, as a clause. It is in no help. */
  refused?: string;
  /** of the options with the same word here only the one given last counts */
  group?: string;
}

/** How often an operand is given; only the last of a command can be anything but `one`, which is the default. */
export type Arity = "one" | "optional" | "many";

export interface OperandSyntax {
  key: string;
  label: string;
  arity?: Arity;
  /** whether it can be an empty word */
  mayBeEmpty?: boolean;
}

export interface CommandSyntax {
  name: string;
  summary: string;
  details: string;
  operands: readonly OperandSyntax[];
  /** how it is called, where a line made of operands and options would say too little */
  forms?: readonly string[];
  options: readonly OptionSyntax[];
  examples: readonly (readonly [what: string, line: string])[];
}

const common: readonly OptionSyntax[] = [
  {
    key: "verbose",
    short: "v",
    long: "verbose",
    kind: "count",
    description: "say each step, and more about errors",
  },
  {
    key: "noMtab",
    short: "n",
    long: "no-mtab",
    kind: "flag",
    description: "accepted; no mtab is ever written",
  },
  {
    key: "type",
    short: "t",
    long: "types",
    kind: "value",

    description: "ocfs2, or ocfs2 with a subtype",
  },
  {
    key: "namespace",
    short: "N",
    long: "namespace",
    kind: "value",

    description: "work in the mount namespace of a process number or at a path",
  },
  {
    key: "json",
    short: null,
    long: "json",
    kind: "flag",
    description: "write steps and result as JSON lines",
  },
];

export const mountSyntax: CommandSyntax = {
  name: "mount.ocfs2",
  summary: "mount an OCFS2 volume and join its group",
  details:
    "mount(8) runs this for volumes of the type ocfs2. Joining a cluster's volume takes the kernel some seconds: " +
    "on a terminal, and with -v, it says what it waits for.",
  operands: [
    { key: "device", label: "DEVICE" },
    { key: "directory", label: "DIRECTORY" },
  ],
  options: [
    {
      key: "options",
      short: "o",
      long: "options",
      kind: "list",

      description: "mount options, separated by commas",
    },
    { key: "fake", short: "f", long: "fake", kind: "flag", description: "do everything but join and mount" },
    {
      key: "sloppy",
      short: "s",
      long: null,
      kind: "flag",
      description: "leave out options that OCFS2 does not know",
    },
    ...common,
  ],
  examples: [
    ["Mount a volume", "mount -t ocfs2 /dev/sdb1 /vol"],
    ["Make it read-only", "mount -o remount,ro /vol"],
  ],
};

export const umountSyntax: CommandSyntax = {
  name: "umount.ocfs2",
  summary: "unmount an OCFS2 volume and leave its group",
  details:
    "umount(8) runs this for volumes of the type ocfs2. The group is left when the volume's last mount on this node has ended, " +
    "and not before.",
  operands: [{ key: "target", label: "TARGET" }],
  options: [
    {
      key: "lazy",
      short: "l",
      long: "lazy",
      kind: "flag",
      description: "detach now, end when the last user has",
    },
    {
      key: "force",
      short: "f",
      long: "force",
      kind: "flag",
      description: "passed on; OCFS2 has no forced unmount",
    },
    {
      key: "readOnly",
      short: "r",
      long: "read-only",
      kind: "flag",
      description: "make it read-only where it is in use",
    },
    ...common,
  ],
  examples: [["Unmount a volume", "umount /vol"]],
};
