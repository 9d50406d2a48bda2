// umount.ocfs2 as a clipanion command.
import { Command } from "clipanion";
import { BaseCommand, usageOf } from "./base-command.ts";
import type { Job, LoadNative } from "./job.ts";
import { umountSyntax } from "./syntax.ts";
import { umountJob } from "./umount-job.ts";

export class UmountCommand extends BaseCommand {
  static override paths = [Command.Default];
  static override usage = usageOf(umountSyntax);

  constructor(job: Job = umountJob(), load?: LoadNative) {
    super(job, load);
  }
}
