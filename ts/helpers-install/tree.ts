// Files of a system that lies below a root directory: `/`, an image being made, or a test's directory.
//
// Paths are those the system itself would use (`/usr/sbin/mount.ocfs2`); links in it are followed as that system would
// follow them, so that no link leads out of the root. Each change is one rename: what was there is whole until then.
// Deliberately not done: protection from somebody who exchanges directories meanwhile. Only root writes there.
import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { InstallError } from "./errors.ts";

/** What stands at a path, as far as it can be compared and put back. */
export type Found =
  | { kind: "nothing" }
  | { kind: "file"; sha256: string; mode: number }
  | { kind: "link"; target: string }
  | { kind: "other" };

export type Content = { kind: "file"; data: Uint8Array; mode: number } | { kind: "link"; target: string };

export function describe(content: Content): Found {
  if (content.kind === "link") return content;
  return { kind: "file", sha256: sha256(content.data), mode: content.mode };
}

/** The mode is not compared: a file made stricter by hand is still ours. */
export function isSame(a: Found, b: Found): boolean {
  if (a.kind === "file" && b.kind === "file") return a.sha256 === b.sha256;
  if (a.kind === "link" && b.kind === "link") return a.target === b.target;
  return false;
}

function sha256(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");
}

export class Tree {
  readonly root: string;

  constructor(root: string) {
    this.root = path.resolve(root);
  }

  /** Whether it is the running system and not a directory beside it. */
  get isSystem(): boolean {
    return this.root === "/";
  }

  /** The path by which the running system reaches a path of the tree. */
  outside(inside: string): string {
    return path.join(this.root, inside);
  }

  /** Follows the links in the directory part of a path: `/sbin/x` is `/usr/sbin/x` where /sbin is a link to usr/sbin. */
  locate(inside: string): string {
    return path.join(this.#follow(path.dirname(inside)), path.basename(inside));
  }

  #follow(directory: string): string {
    let left = 40;
    let resolved = "/";
    const parts = directory.split("/").filter((part) => part !== "" && part !== ".");
    while (parts.length > 0) {
      const next = path.join(resolved, parts.shift() as string);
      const target = this.#linkTarget(next);
      if (target === null) {
        resolved = next;
        continue;
      }
      if (left-- === 0) throw new InstallError("BAD_ARGUMENT", `too many links on the way to ${directory}`);
      if (path.isAbsolute(target)) resolved = "/";
      parts.unshift(...target.split("/").filter((part) => part !== "" && part !== "."));
    }
    return resolved;
  }

  #linkTarget(inside: string): string | null {
    try {
      return readlinkSync(this.outside(inside));
    } catch (error) {
      if (isMissing(error) || (error as NodeJS.ErrnoException).code === "EINVAL") return null;
      throw error;
    }
  }

  /** What stands at a located path. */
  look(inside: string): Found {
    const outside = this.outside(inside);
    try {
      const stat = lstatSync(outside);
      if (stat.isSymbolicLink()) return { kind: "link", target: readlinkSync(outside) };
      if (!stat.isFile()) return { kind: "other" };
      return { kind: "file", sha256: sha256(readFileSync(outside)), mode: stat.mode & 0o7777 };
    } catch (error) {
      if (isMissing(error)) return { kind: "nothing" };
      throw error;
    }
  }

  exists(inside: string): boolean {
    return this.look(inside).kind !== "nothing";
  }

  read(inside: string): string {
    return readFileSync(this.outside(inside), "utf8");
  }

  /** The directories that lead to a located path and are not there yet, the outermost first. */
  missingDirectories(inside: string): string[] {
    const missing: string[] = [];
    for (let at = path.dirname(inside); at !== "/" && !this.exists(at); at = path.dirname(at))
      missing.unshift(at);
    return missing;
  }

  makeDirectory(inside: string): void {
    mkdirSync(this.outside(inside), { recursive: true, mode: 0o755 });
    chmodSync(this.outside(inside), 0o755);
  }

  /** Puts content at a located path, whatever file or link stood there. */
  place(inside: string, content: Content): void {
    const final = this.outside(inside);
    const temporary = path.join(path.dirname(final), `.${path.basename(final)}.${process.pid}.new`);
    rmSync(temporary, { force: true });
    try {
      if (content.kind === "link") symlinkSync(content.target, temporary);
      else writeWhole(temporary, content);
      renameSync(temporary, final);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  }

  move(from: string, to: string): void {
    renameSync(this.outside(from), this.outside(to));
  }

  remove(inside: string): void {
    rmSync(this.outside(inside), { force: true });
  }

  /** Removes a directory if nothing is left in it; returns whether it is gone. */
  removeEmptyDirectory(inside: string): boolean {
    try {
      rmdirSync(this.outside(inside));
    } catch (error) {
      if (["ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
      if (!isMissing(error)) throw error;
    }
    return true;
  }
}

/** On the disk before it gets its name: a crash leaves the old file or the new one, never an empty one. */
function writeWhole(outside: string, { data, mode }: { data: Uint8Array; mode: number }): void {
  const descriptor = openSync(outside, "wx", mode);
  try {
    for (let offset = 0; offset < data.length;) offset += writeSync(descriptor, data, offset);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  chmodSync(outside, mode);
}
