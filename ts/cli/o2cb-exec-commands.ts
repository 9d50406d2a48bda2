// o2cb exec: any program on a volume that nobody else uses meanwhile, on any node.
//
// Facts relied on: statuses as env(1) and timeout(1) have them. The kernel kills the program with this process (native-types.ts), so that it does not
// go on writing to a volume that is not locked any more. Its own children are not killed: they keep the locks' descriptors open, and
// with them the locks, until the last of them has ended (a lock belongs to the open file: group-api 8.8). The rest is the next command's.
import type { VolumeLockRequest, LockedVolume } from "../dlm/with-volume-locked.ts";
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { oneFailure, type Statuses } from "./exit-status.ts";
import type { JobContext, JobResult } from "./job.ts";
import { subcommand, value, type Subcommand } from "./o2cb-syntax.ts";

/** o2cb itself failed: COMMAND was not started, or the volume could not be unlocked. */
const OWN_FAILURE = 125;
const CANNOT_RUN = 126;
const NOT_FOUND = 127;
/** where the program's name cannot be a service's */
const SERVICE = "o2cb-exec";
const ENOENT = -2;

export type WithVolumeLocked = <T>(
  native: Native,
  request: VolumeLockRequest,
  work: (locked: LockedVolume) => Promise<T>,
) => Promise<T>;

const statuses: Statuses = {
  ...oneFailure(OWN_FAILURE),
  of: (error) => {
    if (!(error instanceof O2cbError) || error.operation !== "start-program") return OWN_FAILURE;
    return error.errno === ENOENT ? NOT_FOUND : CANNOT_RUN;
  },
};

/** `lock` is for tests. */
export function execCommands(lock: WithVolumeLocked = withVolumeLocked): readonly Subcommand[] {
  const { word, job } = subcommand("exec", {
    summary: "run a command on a volume that nobody else uses meanwhile, on any node",
    details:
      "The volume is locked against every node and tool while COMMAND runs, and must not be mounted anywhere. COMMAND has the " +
      "environment of o2cb with OCFS2_GROUP_DEVICE, OCFS2_GROUP_UUID and OCFS2_GROUP_CLUSTER besides, its input and output, and the signals that " +
      "o2cb gets. The exit status is COMMAND's, or 128+n where signal n ended it; " +
      "125 where o2cb failed itself, 126 where COMMAND cannot be run, 127 where it is not found. COMMAND is killed where o2cb is; what it leaves behind " +
      "keeps the volume locked until it has ended. --json writes to standard error.",
    operands: [
      { key: "device", label: "DEVICE" },
      { key: "command", label: "COMMAND" },
      { key: "args", label: "ARG", arity: "many", mayBeEmpty: true },
    ],
    options: [value("service", "service", "who joins the group; default: the name of COMMAND")],
    examples: [
      [
        "Copy a volume while no node changes it",
        "o2cb exec /dev/sdb1 -- dd if=/dev/sdb1 of=/backup/vol bs=1M",
      ],
    ],
    run: (args, context) => runLocked(args, context, lock),
  });
  const syntax = {
    ...job.syntax,
    forms: [`o2cb exec [--service NAME] [--json] [-v] DEVICE -- COMMAND [ARG]...`],
  };
  const own = { syntax, statuses: () => statuses, hasPlainSteps: false, leavesOutput: true };
  return [{ word, job: { ...job, ...own } }];
}

async function withVolumeLocked<T>(
  native: Native,
  request: VolumeLockRequest,
  work: (locked: LockedVolume) => Promise<T>,
): Promise<T> {
  return (await import("../dlm/with-volume-locked.ts")).withVolumeLocked(native, request, work);
}

async function runLocked(args: Arguments, context: JobContext, lock: WithVolumeLocked): Promise<JobResult> {
  const { native, signal, onStep, passSignals, say } = context;
  const [device, command] = [args.operand("device"), args.operand("command")];
  const service = await serviceOf(args.value("service"), command);
  const { runInForeground } = await import("./foreground.ts");
  let ended: number | null = null;
  try {
    const { volume, by } = await lock(native, { device, service, signal, onStep }, async (locked) => {
      const request = {
        file: command,
        args: args.operands("args"),
        environment: {
          OCFS2_GROUP_DEVICE: locked.volume.device,
          OCFS2_GROUP_UUID: locked.volume.uuid,
          OCFS2_GROUP_CLUSTER: locked.volume.cluster ?? "",
        },
        keepOpen: await lockPaths(native, locked),
      };
      ended = await runInForeground(native, request, passSignals, signal);
      return locked;
    });
    const status = ended ?? OWN_FAILURE;
    const data = { device, uuid: volume.uuid, by, service, command: [command, ...args.operands("args")] };
    return { data, lines: [], details: [`'${command}' ended with status ${status}`], notices: [], status };
  } catch (error) {
    // The lock could not be given up: the status says that, so the command's own is told here.
    if (ended !== null) say(`'${command}' had ended with status ${String(ended)}`);
    throw error;
  }
}

/** What the descriptors of the locks, or of the claim, have in their paths. */
async function lockPaths(native: Native, { volume, by }: LockedVolume): Promise<string[]> {
  // The domain's directory in dlmfs, the file that keeps processes apart, the lockspace's device: each has it in its name.
  if (by === "cluster") return [volume.uuid];
  return [(await native.inspectPath(volume.device, null)).realPath];
}

/** The service's name: as asked for, or the command's where it can be one. */
async function serviceOf(given: string | null, command: string): Promise<string> {
  const { isServiceName, MOUNT_SERVICE } = await import("../stack/cluster-stack.ts");
  const isUsable = (name: string): boolean => isServiceName(name) && name !== MOUNT_SERVICE;
  if (given !== null && !isUsable(given))
    throw new UsageError(`'${given}' cannot be the name of a service other than a mount`);
  const own = command.slice(command.lastIndexOf("/") + 1);
  return given ?? (isUsable(own) ? own : SERVICE);
}
