// Waiting for heartbeat regions, and watching them: what `ocfs2_hb_ctl -I --wait` and `--watch` are made of.
//
// Facts relied on: configfs tells inotify of a directory that is made or removed with mkdir and rmdir, as all do who start and
// stop regions (kernel-abi 1.6); the kernel sets `dev` without telling anybody, and a module that brings the cluster directory
// itself tells nobody either, so that these two are looked at again after a pause. Counts are in semaphores, which tell nobody.
//
// Strictly read-only. What a region's state means is the audit's business, which is handed in.
import { readOptional } from "../attributes.ts";
import { isCode, isErrno, O2cbError } from "../errors.ts";
import type { EventWatch, Native } from "../native-types.ts";
import type { Audit, RegionAudit, Verdict } from "../region/audit-types.ts";
import { CONFIGFS_BASES } from "../stack/detect.ts";

/** While a region is there whose heartbeat is being started. */
const STARTING_MS = 500;
/** While the kernel has no cluster directory at all. */
const NO_CLUSTER_MS = 2000;
/** While there are regions whose counts may change. */
const COUNTS_MS = 3000;

export interface WaitOptions {
  /** names of regions; none: every region of this node, which only `gone` can mean */
  regions: readonly string[];
  /** `gone`: none of them exists; `active`: each of them has a disk it beats on */
  until: "gone" | "active";
  /** null: without limit */
  timeoutMs: number | null;
  signal?: AbortSignal | undefined;
}

/** Waits. Errors: O2CB_TIMEOUT, O2CB_ABORTED, what the kernel says of the directories. */
export async function waitForRegions(native: Native, options: WaitOptions): Promise<void> {
  const { until, timeoutMs, signal } = options;
  const began = performance.now();
  const tree = await RegionTree.open(native, signal);
  try {
    for (;;) {
      const { regions, hasCluster } = await tree.look(signal);
      const missing = unfinished(options, regions);
      if (missing.length === 0) return;
      const leftMs = timeoutMs === null ? null : timeoutMs - (performance.now() - began);
      if (leftMs !== null && leftMs <= 0) throw outOfTime(options, missing);
      let pauseMs: number | null = null;
      if (until === "active" && missing.some((name) => regions.has(name))) pauseMs = STARTING_MS;
      else if (until === "active" && !hasCluster) pauseMs = NO_CLUSTER_MS;
      await tree.next(leftMs === null ? pauseMs : Math.min(pauseMs ?? leftMs, leftMs), signal);
    }
  } finally {
    tree.release();
  }
}

/** The regions that are not yet as they are waited for. */
function unfinished({ regions: named, until }: WaitOptions, regions: ReadonlyMap<string, string>): string[] {
  if (until === "active") return named.filter((name) => (regions.get(name) ?? "") === "");
  return named.length === 0 ? [...regions.keys()] : named.filter((name) => regions.has(name));
}

function outOfTime({ until, timeoutMs }: WaitOptions, missing: readonly string[]): O2cbError {
  const what = until === "gone" ? "still exists" : "does not beat yet";
  const which = missing.length === 1 ? `region ${missing[0]}` : `each of the regions ${missing.join(", ")}`;
  return new O2cbError("O2CB_TIMEOUT", `${which} ${what} after ${(timeoutMs ?? 0) / 1000} s`, {
    operation: "wait-for-regions",
    region: missing[0],
    remedy:
      until === "gone"
        ? "see with ocfs2_hb_ctl --audit what uses it"
        : "see with ocfs2_hb_ctl --audit whether it is being started",
  });
}

export type RegionChange =
  /** it is there when the watch begins (`present`), it came, or its verdict or count is another one */
  | {
      change: "present" | "appeared" | "changed";
      region: string;
      verdict: Verdict;
      references: number | null;
      reason: string;
    }
  | { change: "disappeared"; region: string };

export interface WatchOptions {
  /** names of regions; none: all of this node */
  regions: readonly string[];
  audit(native: Native, options: { regions?: string[]; signal?: AbortSignal }): Promise<Audit>;
  /** how often the counts are looked at while there are regions */
  everyMs?: number;
  signal?: AbortSignal | undefined;
}

/** Tells what there is, and then each change, until the signal: it then throws O2CB_ABORTED. */
export async function* watchRegions(native: Native, options: WatchOptions): AsyncGenerator<RegionChange> {
  const { signal, everyMs = COUNTS_MS } = options;
  const asked = {
    ...(options.regions.length > 0 && { regions: [...options.regions] }),
    ...(signal !== undefined && { signal }),
  };
  const tree = await RegionTree.open(native, signal);
  let known: Map<string, RegionAudit> | null = null;
  try {
    for (;;) {
      // Before the audit, so that what changes meanwhile is an event.
      await tree.look(signal);
      const { regions } = await options.audit(native, asked);
      const now = new Map(regions.filter((one) => one.directory !== null).map((one) => [one.region, one]));
      yield* differences(known, now);
      known = now;
      await tree.next(now.size > 0 ? everyMs : null, signal);
    }
  } finally {
    tree.release();
  }
}

function* differences(
  before: ReadonlyMap<string, RegionAudit> | null,
  now: ReadonlyMap<string, RegionAudit>,
): Generator<RegionChange> {
  for (const region of before?.keys() ?? []) if (!now.has(region)) yield { change: "disappeared", region };
  for (const { region, verdict, references, reason } of now.values()) {
    const earlier = before?.get(region);
    if (earlier?.verdict === verdict && earlier.references === references) continue;
    const change = before === null ? "present" : earlier === undefined ? "appeared" : "changed";
    yield { change, region, verdict, references, reason };
  }
}

/** The cluster and heartbeat directories with an inotify watch on each. */
class RegionTree {
  readonly #native: Native;
  readonly #watch: EventWatch;
  /** the directories that are watched */
  readonly #watched = new Map<string, number>();

  static async open(native: Native, signal?: AbortSignal): Promise<RegionTree> {
    return new RegionTree(native, await native.watchEvents({ signal }));
  }

  private constructor(native: Native, watch: EventWatch) {
    this.#native = native;
    this.#watch = watch;
  }

  /** The regions there are, each with its `dev`. Whatever changes after this call ends the next `next`. */
  async look(signal?: AbortSignal): Promise<{ regions: Map<string, string>; hasCluster: boolean }> {
    const regions = new Map<string, string>();
    let hasCluster = false;
    for (const base of CONFIGFS_BASES) {
      for (const cluster of (await this.#list(`${base}/cluster`, signal)) ?? []) {
        hasCluster = true;
        const heartbeat = `${base}/cluster/${cluster}/heartbeat`;
        for (const name of (await this.#list(heartbeat, signal)) ?? []) {
          const dev = await readOptional(this.#native, `${heartbeat}/${name}/dev`, signal);
          // Gone between the list and the look.
          if (dev !== null) regions.set(name, dev);
        }
      }
      hasCluster ||= this.#watched.has(`${base}/cluster`);
    }
    return { regions, hasCluster };
  }

  /** Waits for an event, at most for `pauseMs`. Errors: O2CB_ABORTED. */
  async next(pauseMs: number | null, signal?: AbortSignal): Promise<void> {
    const end = new AbortController();
    const giveUp = (): void => end.abort(signal?.reason);
    const timer = pauseMs === null ? undefined : setTimeout(() => end.abort(), pauseMs);
    signal?.addEventListener("abort", giveUp, { once: true });
    if (signal?.aborted) giveUp();
    try {
      for (const event of await this.#watch.next({ signal: end.signal })) {
        if (event.kind === "lost") this.#forget(() => true);
        else if (event.kind === "gone") this.#forget((id) => id === event.id);
      }
    } catch (error) {
      if (!isCode(error, "O2CB_ABORTED") || signal?.aborted) throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    }
  }

  release(): void {
    this.#watch.release();
  }

  #forget(isMeant: (id: number) => boolean): void {
    for (const [path, id] of this.#watched) {
      if (!isMeant(id)) continue;
      this.#watch.remove(id);
      this.#watched.delete(path);
    }
  }

  /** The sub-directories, of a directory that is watched from before they are read; null where it does not exist. */
  async #list(path: string, signal?: AbortSignal): Promise<string[] | null> {
    try {
      if (!this.#watched.has(path)) this.#watched.set(path, await this.#watch.addDirectory(path, { signal }));
      return await this.#native.listDirectories(path, { signal });
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
      const id = this.#watched.get(path);
      if (id !== undefined) this.#forget((other) => other === id);
      return null;
    }
  }
}
