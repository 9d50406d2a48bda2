// The text of --help, by clipanion from the command's class. The bundle holds the text instead of clipanion (scripts/bundle.mjs).
import { Cli, type CommandClass } from "clipanion";
import { MountCommand } from "./mount-command.ts";
import { UmountCommand } from "./umount-command.ts";

const commands: Record<string, CommandClass> = { "mount.ocfs2": MountCommand, "umount.ocfs2": UmountCommand };

/** The help of a command by its name. */
export function helpOf(name: string): string {
  const command = commands[name];
  if (command === undefined) throw new TypeError(`there is no command '${name}'`);
  return Cli.from(command, { binaryName: name }).usage(command, {
    colored: false,
    detailed: true,
    prefix: "",
  });
}
