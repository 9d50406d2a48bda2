// `o2cb set-stack LABEL|DEVICE`: this node's cluster stack, by its label or as a volume wants it.
//
// Facts relied on: a label has four characters and no slash (kernel-abi 4), a path of a device begins with one.
//
// The published form of --json is docs/schemas/o2cb-set-stack.json.
import type { SetStackResult } from "../cluster/set-stack.ts";
import { quoted } from "../words.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { answer, dryRun, subcommand, type Subcommand } from "./o2cb-syntax.ts";
import { writeLine } from "./o2cb-writes.ts";

export function stackCommands(): readonly Subcommand[] {
  return [
    subcommand("set-stack", {
      summary: "make a cluster stack this node's, as the label says or as a volume wants it",
      details:
        "The kernel's plugin for it is loaded and the label is set: o2cb, pcmk, cman. It refuses, and names them, while mounts, DLM domains or heartbeats " +
        "use another stack. What is missing still, a service or the cluster of the volume, is told, and the exit status is 0: the stack is set. " +
        "It lasts until the next start of the host, or another change: a mount sets the stack that its volume wants; `o2cb configure --stack` sets that of `o2cb online`.",
      operands: [{ key: "what", label: "LABEL|DEVICE" }],
      options: [dryRun],
      examples: [
        ["Before the first mount of a volume of Pacemaker's cluster", "o2cb set-stack /dev/sdb1"],
        ["Back to the kernel's own", "o2cb set-stack o2cb"],
      ],
      check: (args) => void wanted(args),
      async run(args, { native, signal, onStep }) {
        const { setStack } = await import("../cluster/set-stack.ts");
        const isDry = args.flag("dryRun");
        const result = await setStack(native, { ...wanted(args), dryRun: isDry, signal, onStep });
        return answer({ dryRun: isDry, ...result }, isDry ? result.writes.map(writeLine) : [], {
          details: isDry ? [] : [said(result)],
          notices: result.missing.map(({ message, remedy }) =>
            remedy === null ? message : `${message}: ${remedy}`,
          ),
        });
      },
    }),
  ];
}

/** @throws UsageError */
function wanted(args: Arguments): { stack: string } | { device: string } {
  const what = args.operand("what");
  if (what.includes("/")) return { device: what };
  if (/^[!-.0-~]{4}$/.test(what)) return { stack: what };
  throw new UsageError(
    `${quoted(what)} is neither a stack's label, which has four characters, nor the path of a device`,
  );
}

function said({ stack, previous, cluster }: SetStackResult): string {
  const before = previous === null || previous === stack ? "" : `, and was '${previous}'`;
  return `this node's cluster stack is '${stack}'${cluster === null ? "" : `, cluster '${cluster}'`}${before}`;
}
