// What was written, or would be, in order: to files and to the kernel.
//
// The published form of --json: {"result": {"dryRun": …, "writes": [{"action": "mkdir", "path": …, "value": null}, …]}, "status": 0}.
import type { KernelWrite } from "../cluster/writes.ts";
import type { JobResult } from "./job.ts";

/** `write PATH VALUE`, `mkdir PATH`: a line for each, also where the value is a whole file. */
export function writeLine({ action, path, value }: KernelWrite): string {
  if (value === null) return `${action} ${path}`;
  const plain = value.replace(/\n$/, "");
  return `${action} ${path} ${/^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/.test(plain) ? plain : JSON.stringify(value)}`;
}

/** Silent on success, as the C tool is; a dry run lists what it would write. */
export function written(dryRun: boolean, writes: readonly KernelWrite[], details: string[] = []): JobResult {
  return {
    data: { dryRun, writes },
    lines: dryRun ? writes.map(writeLine) : [],
    details: dryRun ? [] : details,
    notices: [],
  };
}
