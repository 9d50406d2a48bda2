// What a path of the fake machine can lead to. Kernel trees (sysfs, procfs, configfs) are directories whose content is computed
// from the kernel's state at each look, so nothing has to be kept in step.
import type { DeviceNumber } from "../../../ts/native-types.ts";
import { WatchedMap, type DirectoryEvents } from "./directory-events.ts";
import { refuse } from "./errors.ts";
import type { BlockDevice } from "./device.ts";
import type { MountNamespace } from "./vfs.ts";

/** The process that looks: /proc/self is its own. */
export interface Viewer {
  readonly pid: number;
  readonly ipc: number;
}

export interface FileNode {
  readonly kind: "file";
  /** the text; missing: cannot be opened for reading */
  readonly read?: (viewer: Viewer) => string;
  /** one write(2); missing: cannot be opened for writing */
  readonly write?: (value: string, viewer: Viewer) => void;
  /** the volume inside an image file */
  readonly image?: BlockDevice;
  /** permission bits, where somebody chose them */
  readonly mode?: number;
}

export interface LinkNode {
  readonly kind: "link";
  readonly target: string;
  /** leads to the root of this mount namespace, whatever `target` reads (/proc/PID/root) */
  readonly into?: MountNamespace;
}

export interface BlockNode {
  readonly kind: "block";
  readonly device: BlockDevice;
}

export interface CharacterNode {
  readonly kind: "character";
  readonly number: DeviceNumber;
}

export interface DirectoryNode {
  readonly kind: "directory";
  names(viewer: Viewer): string[];
  get(name: string, viewer: Viewer): TreeNode | undefined;
  /** mkdir(2) of an entry that does not exist; missing: EPERM */
  make?(name: string, viewer: Viewer): void;
  /** rmdir(2) of an entry that is a directory; missing: EPERM */
  remove?(name: string, viewer: Viewer): void | Promise<void>;
  /** missing: nothing is ever told of it */
  readonly events?: DirectoryEvents | undefined;
}

export type TreeNode = (FileNode | LinkNode | BlockNode | CharacterNode | DirectoryNode) & {
  readonly events?: DirectoryEvents | undefined;
};

export function textFile(text: string): FileNode {
  return { kind: "file", read: () => text };
}

/** A file as on a disk: what is written is what is read. */
export function plainFile(content: string, mode?: number): FileNode {
  let text = content;
  return {
    kind: "file",
    ...(mode !== undefined && { mode }),
    read: () => text,
    write: (value) => void (text = value),
  };
}

export function link(target: string): LinkNode {
  return { kind: "link", target };
}

/** A directory as on a disk. */
export class PlainDirectory implements DirectoryNode {
  readonly kind = "directory";
  readonly entries = new WatchedMap<TreeNode>();

  get events(): DirectoryEvents {
    return this.entries.events;
  }

  names(_viewer?: Viewer): string[] {
    return [...this.entries.keys()];
  }

  get(name: string, _viewer?: Viewer): TreeNode | undefined {
    return this.entries.get(name);
  }

  make(name: string): void {
    this.entries.set(name, new PlainDirectory());
  }

  remove(name: string, viewer: Viewer): void {
    const entry = this.entries.get(name);
    if (entry?.kind === "directory" && entry.names(viewer).length > 0) refuse("ENOTEMPTY");
    this.entries.delete(name);
  }

  /** The directory below, made with its parents where missing. */
  directory(path: string): PlainDirectory {
    const [first = "", ...rest] = path.split("/").filter((part) => part !== "");
    if (first === "") return this;
    let next = this.entries.get(first);
    if (next === undefined) this.entries.set(first, (next = new PlainDirectory()));
    if (!(next instanceof PlainDirectory))
      throw new TypeError(`'${first}' is no plain directory of the fake machine`);
    return next.directory(rest.join("/"));
  }

  /** Takes an entry away, whatever is below it. */
  take(path: string): void {
    const cut = path.lastIndexOf("/");
    this.directory(path.slice(0, Math.max(cut, 0))).entries.delete(path.slice(cut + 1));
  }

  /** Puts an entry there, with the directories above it. */
  put(path: string, node: TreeNode): void {
    const cut = path.lastIndexOf("/");
    this.directory(path.slice(0, Math.max(cut, 0))).entries.set(path.slice(cut + 1), node);
  }
}

export type Entries = Record<string, TreeNode | undefined | false>;

/** A directory of the kernel's with fixed entries. */
export function directory(entries: Entries): DirectoryNode {
  return computedDirectory(() => entries);
}

/** A directory whose entries follow from the kernel's state; undefined and false are absent. */
export function computedDirectory(
  entries: (viewer: Viewer) => Entries,
  more: Pick<DirectoryNode, "make" | "remove" | "events"> = {},
): DirectoryNode {
  const present = (viewer: Viewer): [string, TreeNode][] =>
    Object.entries(entries(viewer)).filter(
      (entry): entry is [string, TreeNode] => entry[1] !== undefined && entry[1] !== false,
    );
  return {
    kind: "directory",
    names: (viewer) => present(viewer).map(([name]) => name),
    get: (name, viewer) => present(viewer).find(([found]) => found === name)?.[1],
    ...more,
  };
}
