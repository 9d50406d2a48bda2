// Who made, removed or renamed what in a directory: the part of inotify that the fake machine has for directories.
//
// Facts relied on: inotify(7), and linux: fs/namei.c (vfs_mkdir and vfs_rmdir tell it for every file system, so configfs and dlmfs
// too). Directories whose content follows from state are told by the map that holds that state. sysfs and debugfs tell nothing here.

export type DirectoryEvent = { kind: "changed"; name: string } | { kind: "gone" };

export class DirectoryEvents {
  readonly #listeners = new Set<(event: DirectoryEvent) => void>();

  /** The function returned takes the listener back. */
  listen(listener: (event: DirectoryEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tell(event: DirectoryEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

/** What may be an entry: a directory that ends with its entry has events of its own. */
export interface Watchable {
  readonly events?: DirectoryEvents | undefined;
}

/** The entries of a directory; every change is told. */
export class WatchedMap<V extends Watchable> extends Map<string, V> {
  readonly events = new DirectoryEvents();

  override set(name: string, value: V): this {
    super.set(name, value);
    this.events.tell({ kind: "changed", name });
    return this;
  }

  override delete(name: string): boolean {
    const value = this.get(name);
    if (!super.delete(name)) return false;
    value?.events?.tell({ kind: "gone" });
    this.events.tell({ kind: "changed", name });
    return true;
  }
}
