// `o2cb audit` and `o2cb reap`: actions of ocfs2_hb_ctl, under the name where people look for them.
import type { Arguments } from "./argv.ts";
import { hbCtlJob } from "./hb-ctl-job.ts";
import { hbCtlRequest } from "./hb-ctl-request.ts";
import { hbCtlSyntax } from "./hb-ctl-syntax.ts";
import type { Job } from "./job.ts";
import type { Subcommand } from "./o2cb-syntax.ts";

export function reapCommands(job: Job = hbCtlJob()): readonly Subcommand[] {
  return [
    alias(job, "audit", "tell what each heartbeat region is, who holds it, and how that is known", []),
    alias(job, "reap", "drop stale references and stop regions that nobody uses", ["dryRun", "force"]),
  ];
}

function alias(job: Job, word: string, summary: string, keys: readonly string[]): Subcommand {
  const shared = ["devices", "uuids", "json", "verbose"];
  const asked = (args: Arguments): Arguments => ({
    ...args,
    flag: (key) => key === word || args.flag(key),
    operands: () => [],
  });
  return {
    word,
    job: {
      ...job,
      syntax: {
        name: `o2cb ${word}`,
        summary,
        details: `The same as \`${hbCtlSyntax.name} --${word}\`.`,
        operands: [],
        options: hbCtlSyntax.options.filter(({ key }) => [...keys, ...shared].includes(key)),
        examples: [],
      },
      run: (args, context) => job.run(asked(args), context),
    },
    check: (args) => void hbCtlRequest(asked(args)),
  };
}
