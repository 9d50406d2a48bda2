// tmpfs: /run, where the locks and records of commands are.
//
// Facts relied on: tmpfs(5); statfs(2) for the type's number.
import { PlainDirectory } from "./tree.ts";
import type { FileSystem } from "./vfs.ts";

const TMPFS_MAGIC = 0x0102_1994;

export interface Tmpfs extends FileSystem {
  readonly root: PlainDirectory;
}

/** `fails`: read-only, full, or neither, asked at each change. */
export function tmpfs(
  minor: number,
  root: PlainDirectory = new PlainDirectory(),
  fails: () => "EROFS" | "ENOSPC" | null = () => null,
): Tmpfs {
  return {
    type: "tmpfs",
    magic: TMPFS_MAGIC,
    number: { major: 0, minor },
    root,
    superOptions: "rw",
    refuses: (what) => (fails() === "ENOSPC" && what === "change" ? null : fails()),
  };
}
