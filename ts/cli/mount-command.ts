// mount.ocfs2 as a clipanion command.
import { Command } from "clipanion";
import { BaseCommand, usageOf } from "./base-command.ts";
import type { Job, LoadNative } from "./job.ts";
import { mountJob } from "./mount-job.ts";
import { mountSyntax } from "./syntax.ts";

export class MountCommand extends BaseCommand {
  static override paths = [Command.Default];
  static override usage = usageOf(mountSyntax);

  constructor(job: Job = mountJob(), load?: LoadNative) {
    super(job, load);
  }
}
