// The text of --help, by clipanion from the command's class. The bundle holds the texts instead of clipanion (scripts/bundle.mjs).
import { Cli, type CommandClass } from "clipanion";
import { commandOf } from "./base-command.ts";
import { controldJob, controldSyntax } from "./controld-job.ts";
import { hbCtlJob } from "./hb-ctl-job.ts";
import { hbCtlSyntax } from "./hb-ctl-syntax.ts";
import { MountCommand } from "./mount-command.ts";
import { mountedJob, mountedSyntax } from "./mounted-job.ts";
import { subcommands } from "./o2cb-commands.ts";
import type { CommandSyntax } from "./syntax.ts";
import { tunefsJob } from "./tunefs-job.ts";
import { tunefsSyntax } from "./tunefs-syntax.ts";
import { UmountCommand } from "./umount-command.ts";

const plain = { colored: false, detailed: true, prefix: "" };

/** The help of each command of a program by the command's name: the program itself, then its sub-commands. */
export function helpsOf(program: string): Record<string, string> {
  const command = single[program];
  if (command !== undefined) {
    const text = withValues(Cli.from(command, { binaryName: program }).usage(command, plain));
    const syntax = [controldSyntax, hbCtlSyntax, mountedSyntax, tunefsSyntax].find(
      ({ name }) => name === program,
    );
    return { [program]: syntax === undefined ? text : withForms(text, syntax) };
  }
  if (program !== "o2cb") throw new TypeError(`there is no program '${program}'`);
  const classes = subcommands.map(({ word, job }) => commandOf(job, [word]));
  const cli = Cli.from(classes, { binaryName: program });
  const texts = classes.map((one, index) =>
    withForms(withValues(cli.usage(one, plain)), subcommands[index]?.job.syntax),
  );
  return {
    [program]: overview(program),
    ...Object.fromEntries(subcommands.map(({ job }, index) => [job.syntax.name, texts[index] ?? ""])),
  };
}

/** The sub-commands in the table's order, which is that of their work; clipanion's list has all options of each. */
function overview(program: string): string {
  const width = Math.max(...subcommands.map(({ word }) => word.length));
  return [
    "Usage\n",
    `${program} [--config-file PATH] [-v] COMMAND [ARGUMENTS]`,
    `${program} COMMAND --help`,
    `${program} --help | --version`,
    "\nCommands\n",
    ...subcommands.map(({ word, job }) => `  ${word.padEnd(width)}  ${job.syntax.summary}`),
    "\nThe exit status is 0, or 1 for every failure; that of online-status is 0 for online, 1 for offline, 2 for an error; that of exec is COMMAND's, or 125 to 127.",
  ].join("\n");
}

/** clipanion writes `#0` for a value, and aligns with three spaces at least. */
function withValues(text: string): string {
  return text.replaceAll(/#0 {3}/g, "VALUE");
}

const single: Record<string, CommandClass> = {
  "mount.ocfs2": MountCommand,
  "umount.ocfs2": UmountCommand,
  ocfs2_controld: commandOf(controldJob()),
  ocfs2_hb_ctl: commandOf(hbCtlJob()),
  "mounted.ocfs2": commandOf(mountedJob()),
  "tunefs.ocfs2": commandOf(tunefsJob()),
};

/** clipanion writes `...` where operands or options are many. */
function withForms(text: string, syntax: CommandSyntax | undefined): string {
  const forms = syntax?.forms;
  if (forms === undefined) return text;
  return text.replace(/^(Usage\n\n).*$/m, (_, title: string) => title + forms.join("\n"));
}

/** The help of a command by its whole name: `mount.ocfs2`, `o2cb`, `o2cb monitor`. */
export function helpOf(name: string): string {
  const help = helpsOf(name.split(" ", 1)[0] ?? "")[name];
  if (help === undefined) throw new TypeError(`there is no command '${name}'`);
  return help;
}
