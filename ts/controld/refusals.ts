// What a number of ocfs2_controld's means: one table of causes and remedies, and the error made of a refusal. Its own words are quoted beside it.
//
// Facts relied on: userspace-stack 1.3 (the numbers, and where each comes from), 2.3 (what refuses a request), 2.6 (dlm_controld's refusal).
// A number is a positive errno; a negative one is an error of corosync's, which is no errno. Numbers that the table does not know are said as they are.
import type { ErrorCode } from "../error-codes.ts";
import { errnoName, O2cbError, type O2cbErrorFields } from "../errors.ts";
import type { Status } from "./connection.ts";
import { FRAME_BYTES } from "./frame.ts";
import type { Keyword } from "./messages.ts";
import { quoted } from "../words.ts";

interface Meaning {
  cause: string;
  remedy: string;
  /** default O2CB_DAEMON_REFUSED */
  code?: ErrorCode;
}

type Request = Extract<Keyword, "MOUNT" | "MRESULT" | "UNMOUNT" | "LISTFS" | "LISTCLUSTERS" | "DUMP">;

const LOOK_AT_LOG = "look at the daemon's log (journalctl -u ocfs2-controld)";

/** By number; the first meaning that is of the request, or of any. */
const meanings: Readonly<Record<number, readonly (Meaning & { of?: Request })[]>> = {
  2: [
    {
      of: "MOUNT",
      cause: "it cannot find the device",
      remedy: "check that the daemon runs in the host's own mount namespace and sees the device's path",
    },
    { cause: "it knows no such join", remedy: LOOK_AT_LOG },
  ],
  5: [{ cause: "it could not do its part", remedy: LOOK_AT_LOG }],
  11: [{ cause: "corosync could not take it now", remedy: "try it again" }],
  16: [
    {
      of: "MOUNT",
      cause:
        "another mount or unmount of this volume is under way on this node, or a program of this name uses it",
      remedy:
        "wait for its end; what a program left that was killed is removed with ocfs2_hb_ctl -K -u UUID SERVICE",
      code: "O2CB_JOIN_IN_PROGRESS",
    },
    {
      cause: "a mount of this volume is under way on this node",
      remedy: "wait for its end, and try it again",
      code: "O2CB_JOIN_IN_PROGRESS",
    },
  ],
  22: [
    {
      of: "MOUNT",
      cause: "it uses the volume through another device, or belongs to another cluster",
      remedy:
        "mount it by the device that is mounted already, and compare the volume's cluster with the running one",
    },
    { of: "MRESULT", cause: "it takes another connection for the one that mounts", remedy: LOOK_AT_LOG },
    {
      of: "LISTFS",
      cause: "it belongs to another cluster",
      remedy: "ask for the volumes of the cluster that runs here",
    },
    { cause: "it does not accept the request", remedy: LOOK_AT_LOG },
  ],
  34: [{ cause: "it cannot hold the number it was given", remedy: LOOK_AT_LOG }],
  36: [{ cause: "the volume's UUID is too long for it", remedy: LOOK_AT_LOG }],
  71: [{ cause: "its cluster or its kernel does not do what it should", remedy: LOOK_AT_LOG }],
  93: [
    {
      cause: "the daemons of the cluster's nodes do not speak the same version",
      remedy: "run the same version of ocfs2_controld on every node",
    },
  ],
  95: [
    {
      cause: "dlm_controld takes no registration of a file system",
      remedy:
        "use the ocfs2_controld of this package, or start dlm_controld with --enable_fscontrol=1 for another daemon",
    },
  ],
  107: [
    {
      cause: "it has lost dlm_controld",
      remedy: "see whether dlm_controld runs (dlm_tool status); the node may have to be restarted",
      code: "O2CB_SERVICE_UNAVAILABLE",
    },
  ],
  108: [
    {
      cause: "it is ending",
      remedy: "start it again: systemctl start ocfs2-controld",
      code: "O2CB_SERVICE_UNAVAILABLE",
    },
  ],
  110: [{ cause: "its time has passed", remedy: LOOK_AT_LOG, code: "O2CB_TIMEOUT" }],
  112: [
    {
      cause: "a node that used the volume has died, and nobody can recover it",
      remedy: "unmount the volume on every node, and restart the daemons",
    },
  ],
};

/** Not in Node's table, or there under its other name. */
const names: Readonly<Record<number, string>> = { 95: "EOPNOTSUPP", 108: "ESHUTDOWN", 112: "EHOSTDOWN" };

/** `EBUSY`, or `the number -15` */
function numberName(number: number): string {
  const name = number > 0 ? (names[number] ?? errnoName({ errno: number })) : undefined;
  return name ?? `the number ${number}`;
}

/** `EBUSY: 'it is being joined'` */
export function statusWords({ number, text }: Status): string {
  return text === "" ? numberName(number) : `${numberName(number)}: ${quoted(text, FRAME_BYTES)}`;
}

function meaningOf(request: Request, number: number): Meaning {
  if (number < 0)
    return {
      cause: "corosync's process groups failed",
      remedy: "see whether corosync runs: corosync-cfgtool -s",
    };
  const all = meanings[number] ?? [];
  return (
    all.find(({ of }) => of === undefined || of === request) ?? {
      cause: "it gives a reason that this version does not know",
      remedy: LOOK_AT_LOG,
    }
  );
}

/** `what` could not be done: `the volume 'U' cannot be joined`. The code is O2CB_DAEMON_REFUSED where no other says it better. */
export function refusal(request: Request, status: Status, what: string, fields: O2cbErrorFields): O2cbError {
  const { cause, remedy, code } = meaningOf(request, status.number);
  return new O2cbError(
    code ?? "O2CB_DAEMON_REFUSED",
    `${what}: ocfs2_controld refused, ${cause} (${statusWords(status)})`,
    { remedy, ...fields, errno: status.number > 0 ? -status.number : undefined },
  );
}
