// ocfs2_controld: the control daemon of a userspace stack, in the foreground, until a signal comes while no volume is in use through it.
//
// Facts relied on: in the mode without recovery callbacks the kernel restarts the machine when this process ends while a volume is mounted
// (userspace-stack 3.1). So no signal ends it then, each gets a sentence instead, and what would end it is told before it does.
//
// The published form of --json is docs/schemas/controld.json: each event as a line.
import type { DaemonEvent } from "../controld-daemon/daemon-events.ts";
import type { DaemonOptions } from "../controld-daemon/daemon.ts";
import { isCode, type ErrorCode } from "../errors.ts";
import { throwIfAborted } from "../membership.ts";
import type { Native } from "../native-types.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { eventOptions } from "./event-options.ts";
import type { Statuses } from "./exit-status.ts";
import type { Job } from "./job.ts";
import { tellReady } from "./service-manager.ts";
import type { CommandSyntax } from "./syntax.ts";

export const controldSyntax: CommandSyntax = {
  name: "ocfs2_controld",
  summary: "keep the mount groups of a userspace cluster stack (pcmk, cman)",
  details:
    "One for each host, between corosync, dlm_controld, the kernel and the programs that mount. It stays in the foreground, and ignores " +
    "signals while a volume is in use through it. With dlm_controld in its default mode it keeps mount groups, and recovery is the kernel's. " +
    "With dlm_controld --enable_fscontrol=1 a node's death has to be told to the kernel, which crashes most kernels: then it " +
    "starts only where the kernel is known to survive that, or with --without-recovery.",
  operands: [],
  forms: ["ocfs2_controld [--foreground] [--stack LABEL] [--without-recovery] [-v] [--json]"],
  options: [
    {
      key: "foreground",
      short: null,
      long: "foreground",
      kind: "flag",
      description: "stay in the foreground, which is what it does in any case",
    },
    {
      key: "stack",
      short: null,
      long: "stack",
      kind: "value",
      description: "the stack to serve; another one that runs is refused. Default: the one that runs",
    },
    {
      key: "withoutRecovery",
      short: null,
      long: "without-recovery",
      kind: "flag",
      description:
        "never tell the kernel of a death: a volume of which a node has died stands still on all nodes, and nobody is let in any more",
    },
    ...eventOptions,
  ],
  examples: [["See what it does", "ocfs2_controld --foreground -v"]],
};

/** As systemd and init scripts have them (LSB): 2 wrong usage, 6 not configured for it, which another start does not change. */
const controldStatuses: Statuses = {
  success: 0,
  usage: 2,
  internal: 1,
  of: (error) => (isCode(error, ...needAPerson) ? 6 : 1),
};

const needAPerson: readonly ErrorCode[] = [
  "O2CB_UNSAFE_KERNEL",
  "O2CB_INVALID_STACK_NAME",
  "O2CB_INVALID_CLUSTER_NAME",
  "O2CB_BAD_VERSION",
  "O2CB_ALREADY_RUNNING",
];

export function checkControld(args: Arguments): void {
  const stack = args.value("stack");
  if (stack !== null && Buffer.byteLength(stack) !== 4)
    throw new UsageError(`the stack is '${stack}', and a label has 4 characters, such as pcmk`);
  if (stack === "o2cb") throw new UsageError("the classic stack 'o2cb' has no control daemon");
}

/** What the job runs. */
export interface DaemonLibrary {
  ControlDaemon: new (
    native: Native,
    options: DaemonOptions,
  ) => {
    run(): Promise<void>;
    stop(signal: string): void;
  };
}

/** Errors of `run`: those of ControlDaemon.run. */
export function controldJob(
  load: () => Promise<DaemonLibrary> = () => import("../controld-daemon/daemon.ts"),
): Job {
  return {
    syntax: controldSyntax,
    statuses: () => controldStatuses,
    hasPlainSteps: true,
    endsBySignal: () => true,
    async run(args, { native, signal, passSignals, out, say }) {
      const { ControlDaemon } = await load();
      const { alwaysTold, eventText } = await import("../controld-daemon/daemon-events.ts");
      const [isJson, isVerbose] = [args.flag("json"), args.count("verbose") > 0];
      const onEvent = (event: DaemonEvent): void => {
        if (isJson) out(JSON.stringify(event));
        else if (isVerbose || alwaysTold.includes(event.event)) say(eventText(event));
        if (event.event === "ready") void tellReady(say);
      };
      throwIfAborted(signal, "start-controld");
      const daemon = new ControlDaemon(native, {
        stack: args.value("stack") ?? undefined,
        withoutRecovery: args.flag("withoutRecovery"),
        onEvent,
      });
      const release = passSignals((name) => daemon.stop(name));
      try {
        await daemon.run();
      } finally {
        release();
      }
      return { data: null, details: [], notices: [] };
    },
  };
}
