// The whole of a file made anew, or nothing changed: what replaceFile of the native module does, step by step.
//
// Facts relied on: rename(2) is atomic; a failure or a death before it leaves the old content, and a death leaves the temporary file too
// (`.NAME.PID.N.tmp`). Directories that were missing stay. Where only the last step fails, the fsync of the directory, the new
// content is there.
import { posix } from "node:path";
import { refuse, refuseWithCode } from "./errors.ts";
import type { Task } from "./task.ts";
import { plainFile, PlainDirectory } from "./tree.ts";
import { checkWritable } from "./vfs.ts";

const MAX_LINKS = 40;

export interface Replacement {
  task: Task;
  path: string;
  content: string;
  mode: number;
  /** tells one temporary file of a process from the next */
  number: number;
  /** asked with the temporary file there and the old content untouched */
  diesHalfway(): boolean;
}

/** False where the process died halfway. */
export function replaceFile(replacement: Replacement): boolean {
  const { task, content, mode } = replacement;
  const { directory, name } = placeOf(task, replacement.path);
  const temporary = `.${name}.${task.pid}.${replacement.number}.tmp`;
  directory.entries.set(temporary, plainFile("", mode));
  if (replacement.diesHalfway()) return false;
  directory.entries.delete(temporary);
  directory.entries.set(name, plainFile(content, mode));
  return true;
}

/** Where the file belongs: links at the path followed, directories made. */
function placeOf(task: Task, path: string, links = 0): { directory: PlainDirectory; name: string } {
  if (links > MAX_LINKS) refuse("ELOOP");
  makeDirectories(task, posix.dirname(path));
  const { directory, name, entry } = task.namespace.parentOf(path, task);
  if (entry?.kind === "link") return placeOf(task, posix.resolve(directory.path, entry.target), links + 1);
  if (entry !== undefined && entry.kind !== "file")
    refuseWithCode("O2CB_INTERNAL_FAILURE", "it is no regular file");
  if (!(directory.node instanceof PlainDirectory)) refuse("EACCES", { syscall: "open" });
  checkWritable(directory, "grow");
  return { directory: directory.node, name };
}

function makeDirectories(task: Task, path: string): void {
  if (path === "/") return;
  makeDirectories(task, posix.dirname(path));
  const { directory, name, entry } = task.namespace.parentOf(path, task);
  if (entry !== undefined) return;
  if (!(directory.node instanceof PlainDirectory)) refuse("EACCES", { syscall: "mkdir" });
  checkWritable(directory, "grow");
  directory.node.make(name);
}
