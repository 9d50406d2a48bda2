// Mounts, mount namespaces and the way from a path to what it leads to.
//
// Facts relied on: mounts form a tree, a mount sits on a path of the mount below, and of several on one path the last is seen
// (proc(5), mountinfo); links are followed up to 40 times; a detached mount lives while files in it are open (umount2(2)).
// File systems of type ocfs2 come from ocfs2.ts; here they are like any other.
import { refuse } from "./errors.ts";
import type { DeviceNumber } from "../../../ts/native-types.ts";
import type { DirectoryNode, TreeNode, Viewer } from "./tree.ts";

const MAX_LINKS = 40;
const MAX_NAME = 255;

export interface FileSystem {
  readonly type: string;
  readonly magic: number;
  readonly number: DeviceNumber;
  readonly root: DirectoryNode;
  readonly superOptions: string;
  /** the errno that a change gets now: `grow` needs room, `change` does not; null: none */
  refuses?(what: "grow" | "change"): string | null;
  /** called for each mount that begins and ends; the last end may be the superblock's */
  hold?(): void;
  release?(): void | Promise<void>;
}

export interface MountSettings {
  fileSystem: FileSystem;
  source: string;
  options: string;
  /** path within the file system that is mounted */
  root: string;
  rootNode: DirectoryNode;
}

export class Mount implements MountSettings {
  readonly id: number;
  readonly parent: Mount | null;
  readonly target: string;
  readonly fileSystem: FileSystem;
  readonly source: string;
  readonly options: string;
  readonly root: string;
  readonly rootNode: DirectoryNode;
  openFiles = 0;
  attached = true;

  constructor(id: number, parent: Mount | null, target: string, settings: MountSettings) {
    this.id = id;
    this.parent = parent;
    this.target = target;
    this.fileSystem = settings.fileSystem;
    this.source = settings.source;
    this.options = settings.options;
    this.root = settings.root;
    this.rootNode = settings.rootNode;
    this.fileSystem.hold?.();
  }
}

/** Where a path leads. */
export interface Place {
  /** another than the viewer's behind /proc/PID/root */
  readonly namespace: MountNamespace;
  readonly mount: Mount;
  readonly node: TreeNode;
  /** without links */
  readonly path: string;
  /** the path within the file system */
  readonly inner: string;
  readonly name: string;
  /** the directory that holds it; null for the root */
  readonly directory: DirectoryNode | null;
}

export class MountNamespace {
  readonly name: string;
  readonly inode: number;
  readonly #nextId: () => number;
  /** called at each change of the mount table */
  readonly listeners = new Set<() => void>();
  mounts: Mount[] = [];

  constructor(name: string, inode: number, nextId: () => number) {
    this.name = name;
    this.inode = inode;
    this.#nextId = nextId;
  }

  /** Whoever polls mountinfo hears of it. */
  touch(): void {
    for (const listener of [...this.listeners]) listener();
  }

  /** Mounts on a place, or as the namespace's root. */
  attach(place: Place | null, settings: MountSettings): Mount {
    const mount = new Mount(this.#nextId(), place?.mount ?? null, place?.path ?? "/", settings);
    this.mounts.push(mount);
    this.touch();
    return mount;
  }

  /** A copy, as unshare(CLONE_NEWNS) makes it. */
  copy(name: string, inode: number): MountNamespace {
    const copy = new MountNamespace(name, inode, this.#nextId);
    const twins = new Map<Mount, Mount>();
    for (const mount of this.mounts) {
      const parent = mount.parent === null ? null : (twins.get(mount.parent) ?? null);
      const twin = new Mount(this.#nextId(), parent, mount.target, mount);
      twins.set(mount, twin);
      copy.mounts.push(twin);
    }
    return copy;
  }

  children(mount: Mount): Mount[] {
    return this.mounts.filter((other) => other.parent === mount);
  }

  /** Takes mounts out of the tree; each ends at once unless files in it are open. */
  async detach(mounts: readonly Mount[]): Promise<void> {
    this.mounts = this.mounts.filter((mount) => !mounts.includes(mount));
    this.touch();
    const ends = mounts.map(async (mount) => {
      mount.attached = false;
      if (mount.openFiles === 0) await mount.fileSystem.release?.();
    });
    await Promise.all(ends);
  }

  /** The mount and all that sits on it. */
  tree(mount: Mount): Mount[] {
    return [mount, ...this.children(mount).flatMap((child) => this.tree(child))];
  }

  /** Follows a path; ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG as path_resolution(7) has them. */
  walk(path: string, viewer: Viewer, followLast = true): Place {
    const found = this.#follow(path, viewer, followLast);
    if (found === null) refuse("ENOENT", { path });
    return found;
  }

  /** Where an entry of this path would be: its directory exists, the entry may not. */
  parentOf(path: string, viewer: Viewer): { directory: Place; name: string; entry: TreeNode | undefined } {
    const parts = path.split("/").filter((part) => part !== "");
    const name = parts.pop();
    if (name === undefined) refuse("EEXIST", { path });
    checkName(name, path);
    const directory = this.walk(`/${parts.join("/")}`, viewer);
    if (directory.node.kind !== "directory") refuse("ENOTDIR", { path });
    return { directory, name, entry: directory.node.get(name, viewer) };
  }

  #follow(path: string, viewer: Viewer, followLast: boolean): Place | null {
    if (path === "") return null;
    if (path.includes("\0")) refuse("EINVAL", { path });
    const trail: Place[] = [this.#bottom(path)];
    const here = (): Place => trail.at(-1) as Place;
    const pending = path.split("/").filter((part) => part !== "");
    for (let links = 0; pending.length > 0;) {
      const name = pending.shift() as string;
      const { node, mount } = here();
      if (node.kind !== "directory") refuse("ENOTDIR", { path });
      if (name === ".") continue;
      if (name === "..") {
        if (trail.length > 1) trail.pop();
        continue;
      }
      checkName(name, path);
      const next = node.get(name, viewer);
      if (next === undefined) return null;
      if (next.kind === "link" && (followLast || pending.length > 0)) {
        links += 1;
        if (links > MAX_LINKS) refuse("ELOOP", { path });
        if (next.into !== undefined) {
          trail.splice(0, trail.length, next.into.#bottom(path));
          continue;
        }
        // From another namespace, too, an absolute link leads to the root of the one who follows it.
        if (next.target.startsWith("/")) trail.splice(0, trail.length, this.#bottom(path));
        pending.unshift(...next.target.split("/").filter((part) => part !== ""));
        continue;
      }
      const { namespace, inner, path: at } = here();
      trail.push(
        namespace.#top({
          namespace,
          mount,
          node: next,
          path: at === "/" ? `/${name}` : `${at}/${name}`,
          inner: inner === "/" ? `/${name}` : `${inner}/${name}`,
          name,
          directory: node,
        }),
      );
    }
    if (path.endsWith("/") && here().node.kind !== "directory") refuse("ENOTDIR", { path });
    return here();
  }

  #bottom(path: string): Place {
    const mount = this.mounts[0] ?? refuse("ENOENT", { path });
    return this.#top({
      namespace: this,
      mount,
      node: mount.rootNode,
      path: "/",
      inner: mount.root,
      name: "",
      directory: null,
    });
  }

  /** What is seen at a place: the last mount on it, or on that one. */
  #top(place: Place): Place {
    const over = this.mounts.findLast((mount) => mount.parent === place.mount && mount.target === place.path);
    return over === undefined
      ? place
      : this.#top({ ...place, mount: over, node: over.rootNode, inner: over.root });
  }
}

/** Refuses a change that the file system of this place would refuse. */
export function checkWritable(place: Place, what: "grow" | "change"): void {
  const errno = place.mount.fileSystem.refuses?.(what) ?? null;
  if (errno !== null) refuse(errno);
}

function checkName(name: string, path: string): void {
  if (Buffer.byteLength(name) > MAX_NAME) refuse("ENAMETOOLONG", { path });
}

export function isMountRoot(place: Place): boolean {
  return place.node === place.mount.rootNode && place.path === place.mount.target;
}
