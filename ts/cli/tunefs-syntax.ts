// The command line of tunefs.ocfs2.
//
// Facts relied on: the names of the C tool's options (its --help, 1.8.7; -M is not in there, and works). -U takes a value only where it is written at once.
import type { CommandSyntax, OptionSyntax } from "./syntax.ts";

const flag = (key: string, short: string | null, long: string, description: string): OptionSyntax => ({
  ...{ key, short, long, description },
  kind: "flag",
});

const value = (key: string, short: string | null, long: string, description: string): OptionSyntax => ({
  ...{ key, short, long, description },
  kind: "value",
});

/** What the C tool does beyond a change of the superblock. */
const refused = (short: string | null, long: string, what: string): OptionSyntax => ({
  ...{ key: long, short, long, description: "" },
  kind: "optional",
  refused: `(${what}) is none of this command's: use the tunefs.ocfs2 of ocfs2-tools, which install-helpers --divert keeps as tunefs.ocfs2.distrib`,
});

export const tunefsSyntax: CommandSyntax = {
  name: "tunefs.ocfs2",
  summary: "change the label, the UUID or the cluster of an OCFS2 volume",
  details:
    "The volume is locked in its cluster while it is changed, and must be mounted nowhere. The old bytes are kept in a file below " +
    "/var/lib/ocfs2-group/undo first, for --undo. A cluster stack is updated without a lock, since there is none to be had: nobody may " +
    "use the volume, which is looked for and has to be confirmed. -Q locks nothing. " +
    "-Q knows %B block size, %T cluster size, %N slots, %R %Y %P blocks of the root directory, the system directory and the first cluster group, " +
    "%V label, %U UUID, %M %H %O compatible, incompatible and read-only compatible features. " +
    "The exit status is 0 where the volume is as wanted, or somebody answered no; 25 where the volume is in use, 21 or 19 where its heartbeat mode or stack " +
    "is not the running one, 8 without an OCFS2 volume, 2 on a failure of the disk, and 1 for everything else.",
  operands: [{ key: "device", label: "DEVICE" }],
  forms: [
    "tunefs.ocfs2 [-L LABEL] [-U[UUID]] [-M local|cluster] [--update-cluster-stack] [--undo-file PATH | --no-undo] [--dry-run] [-y | -n] DEVICE",
    "tunefs.ocfs2 --undo FILE [--dry-run] [-y | -n] DEVICE",
    "tunefs.ocfs2 -Q FORMAT DEVICE",
    "tunefs.ocfs2 -h | --help | -V | --version",
  ],
  options: [
    value("label", "L", "label", "give the volume this label, up to 64 bytes"),
    {
      key: "uuid",
      short: "U",
      long: "uuid-reset",
      kind: "optional",
      description: "give the volume a random UUID, or this one",
    },
    value("mount", "M", "mount", "make it a volume for one node (`local`) or for the running `cluster`"),
    flag(
      "updateClusterStack",
      null,
      "update-cluster-stack",
      "give the volume the stamp of the running cluster, of o2cb or of a user stack",
    ),
    value("query", "Q", "query", "write what the format asks for"),
    value("undo", null, "undo", "put back what a change kept in this file"),
    value("undoFile", null, "undo-file", "keep the old bytes in this file"),
    flag("noUndo", null, "no-undo", "keep the old bytes nowhere"),
    flag("dryRun", null, "dry-run", "tell each write, and write nothing"),
    { ...flag("yes", "y", "yes", "answer yes to every question"), group: "answer" },
    { ...flag("no", "n", "no", "answer no to every question"), group: "answer" },
    flag("help", "h", "help", "this text"),
    flag("json", null, "json", "write the result as JSON"),
    flag("progress", "p", "progress", "accepted; nothing takes long here"),
    { key: "quiet", short: "q", long: "quiet", kind: "count", description: "say nothing but errors" },
    {
      key: "verbose",
      short: "v",
      long: "verbose",
      kind: "count",
      description: "say each step, and more about errors",
    },
    refused("i", "interactive", "asking before each step"),
    refused("N", "node-slots", "more or fewer slots"),
    refused("S", "volume-size", "another size"),
    refused("J", "journal-options", "other journals"),
    refused(null, "list-sparse", "files with holes"),
    refused(null, "fs-features", "other features"),
    refused(null, "backup-super", "backups of the superblock"),
    refused(null, "cloned-volume", "another UUID without a lock"),
    refused(null, "usrquota-sync-interval", "quotas"),
    refused(null, "grpquota-sync-interval", "quotas"),
  ],
  examples: [
    ["Give a volume another label", "tunefs.ocfs2 -L backup /dev/sdb1"],
    ["See what a new UUID would change", "tunefs.ocfs2 -U --dry-run /dev/sdb1"],
    ["Take a volume over into the running cluster", "tunefs.ocfs2 --update-cluster-stack /dev/sdb1"],
    ["Ask for a label and the slots", 'tunefs.ocfs2 -Q "%V has %N slots\\n" /dev/sdb1'],
  ],
};
