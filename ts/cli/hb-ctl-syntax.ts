// The command line of ocfs2_hb_ctl.
//
// Facts relied on: the C tool's letters, of which the last one of S K I P h counts (commands 3.1), and how it is called by the
// kernel (`-K -u UUID`, 3.2), by mount.ocfs2 of 1.2 (`-S -d DEVICE`, `-P -d DEVICE`, 5) and by the init scripts (`-I -u UUID`, 3.3).
import type { CommandSyntax, OptionSyntax } from "./syntax.ts";

function action(key: string, short: string | null, long: string, description: string): OptionSyntax {
  return { key, short, long, kind: "flag", description, group: "action" };
}

const flag = (key: string, long: string, description: string): OptionSyntax => ({
  key,
  short: null,
  long,
  kind: "flag",
  description,
});

export const hbCtlSyntax: CommandSyntax = {
  name: "ocfs2_hb_ctl",
  summary: "start, stop and look at the heartbeat of OCFS2 volumes",
  details:
    "One action, and the volume by its device or its UUID. A service that was started keeps the heartbeat alive until it is stopped. " +
    "-I writes `UUID: N refs` for each region, of all regions where none is named, and counts only the services that are named. " +
    "The exit status is 0, or 1 for every failure; with -q it is 0 for a region in use, 1 for an inactive one, 2 for an error, 3 for " +
    "an orphan that nobody uses, and of several the worst: error, orphan, inactive, in use. " +
    "What --reap clears away is what --audit shows as orphan, half-made or stale; " +
    "--force takes references that nothing accounts for, too.",
  operands: [{ key: "services", label: "SERVICE", arity: "many" }],
  forms: [
    "ocfs2_hb_ctl -S (-d DEVICE | -u UUID) SERVICE",
    "ocfs2_hb_ctl -K (-d DEVICE | -u UUID) SERVICE",
    "ocfs2_hb_ctl -I [-d DEVICE]... [-u UUID]... [-q | --json | --wait=WHAT | --watch] [SERVICE]...",
    "ocfs2_hb_ctl -P (-d DEVICE | -u UUID) [-n LEVEL]",
    "ocfs2_hb_ctl --audit [-d DEVICE]... [-u UUID]... [--json]",
    "ocfs2_hb_ctl --reap [-d DEVICE]... [-u UUID]... [--dry-run] [--force] [--json]",
    "ocfs2_hb_ctl -h | --version",
  ],
  options: [
    action(
      "start",
      "S",
      "start",
      "take a reference for the service, and start the heartbeat where it does not run",
    ),
    action("stop", "K", "stop", "drop a reference of the service, and stop the heartbeat with the last one"),
    action("info", "I", "info", "write how many references there are; --wait and --watch for what will be"),
    action("priority", "P", "priority", "give the heartbeat's thread real-time I/O priority"),
    action("audit", null, "audit", "tell what each region is, who holds it, and how that is known"),
    action("reap", null, "reap", "drop stale references and stop regions that nobody uses"),
    action("help", "h", "help", "this text"),
    {
      key: "devices",
      short: "d",
      long: "device",
      kind: "list",
      description: "the volume's device; for -I, --audit and --reap as often as wanted",
    },
    {
      key: "uuids",
      short: "u",
      long: "uuid",
      kind: "list",
      description: "the volume's UUID, in any case, with or without dashes; likewise",
    },
    {
      key: "level",
      short: "n",
      long: "priority-level",
      kind: "value",
      description: "with -P: 0, the highest and the default, to 7",
    },
    {
      key: "quiet",
      short: "q",
      long: "quiet",
      kind: "flag",
      description: "with -I: answer with the exit status",
    },
    {
      key: "wait",
      short: null,
      long: "wait",
      kind: "value",
      description: "with -I: wait until the regions are `gone`, or `active`",
    },
    {
      key: "timeout",
      short: null,
      long: "timeout",
      kind: "value",
      description: "with --wait: how many seconds at most; without limit where absent",
    },
    flag("watch", "watch", "with -I: write a line for each change, until a signal"),
    flag("dryRun", "dry-run", "with --reap: say what would be done"),
    flag("force", "force", "with --reap and -K: drop references that nothing accounts for, too"),
    flag("json", "json", "write the result as JSON"),
    {
      key: "verbose",
      short: "v",
      long: "verbose",
      kind: "count",
      description: "say each step, and more about errors",
    },
  ],
  examples: [
    ["How many use a volume's heartbeat", "ocfs2_hb_ctl -I -d /dev/sdb1"],
    ["Wait until nothing beats any more", "ocfs2_hb_ctl -I --wait=gone --timeout 60"],
    [
      "See what a crash left behind, and clear it away",
      "ocfs2_hb_ctl --reap --dry-run && ocfs2_hb_ctl --reap",
    ],
  ],
};
