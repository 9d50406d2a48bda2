// The directories whose changes the monitor hears of: the clusters and their regions in configfs, and the records of joins.
//
// Facts relied on: configfs is at one of two places (kernel-abi 8); mkdir and rmdir in it are told to inotify like any others, but not
// what the kernel itself makes there, as it does when ocfs2_nodemanager is loaded. So while there is no `cluster` directory its
// coming has to be looked for now and then; everything below it is told. The mounting of configfs shows in the mount table.
import { isErrno } from "../errors.ts";
import type { EventWatch, Native } from "../native-types.ts";
import { RECORD_DIRECTORY } from "../region/record.ts";
import { CONFIGFS_BASES } from "../stack/detect.ts";

export interface PlacesWatched {
  /** whether there is a `cluster` directory, so that nothing of regions can go unheard */
  hasClusters: boolean;
  /** why one of the directories that are there is not watched */
  problem: unknown;
}

export class Places {
  readonly #native: Native;
  readonly #events: EventWatch;
  readonly #watched = new Map<string, number>();
  /** ids that were told to be gone before they were known here */
  readonly #goneEarly = new Set<number>();

  constructor(native: Native, events: EventWatch) {
    this.#native = native;
    this.#events = events;
  }

  has(path: string): boolean {
    return this.#watched.has(path);
  }

  /** A directory that was watched is no more. */
  gone(id: number): void {
    for (const [path, watched] of this.#watched) if (watched === id) return void this.#watched.delete(path);
    this.#goneEarly.add(id);
  }

  /** Watches what is there now; what is watched already stays so, unless `again`. */
  async update(again: boolean, signal: AbortSignal): Promise<PlacesWatched> {
    const wanted = new Set<string>();
    const found: PlacesWatched = { hasClusters: false, problem: null };
    const add = async (path: string, anew: boolean): Promise<boolean> => {
      try {
        await this.#add(path, anew, signal);
        wanted.add(path);
        return true;
      } catch (error) {
        if (signal.aborted) throw error;
        if (!isErrno(error, "ENOENT", "ENOTDIR")) found.problem ??= error;
        return false;
      }
    };
    for (const base of CONFIGFS_BASES) {
      const directory = `${base}/cluster`;
      if (await add(directory, again)) {
        found.hasClusters = true;
        for (const cluster of await this.#list(directory, signal))
          await add(`${directory}/${cluster}/heartbeat`, again);
        // Something may be mounted on it or taken away: only a new look tells which directory it is now.
      } else await add(base, true);
    }
    await add(RECORD_DIRECTORY, again);
    for (const [path, id] of this.#watched) {
      if (wanted.has(path)) continue;
      this.#watched.delete(path);
      this.#events.remove(id);
    }
    this.#goneEarly.clear();
    return found;
  }

  async #add(path: string, anew: boolean, signal: AbortSignal): Promise<void> {
    const before = this.#watched.get(path);
    if (before !== undefined && !anew) return;
    let id: number;
    try {
      id = await this.#events.addDirectory(path, { signal });
    } catch (error) {
      if (before !== undefined && this.#watched.delete(path)) this.#events.remove(before);
      throw error;
    }
    if (before !== undefined && before !== id) this.#events.remove(before);
    // It has come and gone: the next look, which its end has asked for, sees what is there then.
    if (this.#goneEarly.has(id)) this.#watched.delete(path);
    else this.#watched.set(path, id);
  }

  async #list(path: string, signal: AbortSignal): Promise<string[]> {
    try {
      return await this.#native.listDirectories(path, { signal });
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
      throw error;
    }
  }
}
