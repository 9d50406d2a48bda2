// What the monitor remembers of one region between two looks: what it has told, what it watches, and when it looks again.
// Nothing here is needed to be right, only to be quiet and prompt: a monitor that is killed and started again finds the rest in
// the kernel's state and in the records.
import type { MonitorEvent, RegionAudit } from "../region/audit-types.ts";
import type { Growth } from "./references.ts";

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2000;
/** Something over a minute of looking often; what is not decided by then waits for a person, or for a disk. */
const OFTEN = 40;
const SELDOM_MS = 30_000;

export class TrackedRegion {
  readonly name: string;
  /** whether its directory in configfs was there at the last look */
  present = false;
  disk: string | null = null;
  /** the id of the watch on its superblock */
  watch: number | null = null;
  /** whether a live superblock was told, and its end not yet */
  told = false;
  /** the watch has said that the superblock died; not looked at yet */
  died = false;
  /** a superblock has died, and what it held is not known to be gone */
  leaving = false;
  /** a reference of its superblock could not be written down yet */
  isUnnoted = false;
  /** to compare the count with; null where this monitor's first look saw the region already */
  growth: Growth | null;
  /** what waits before it is told or removed, so that what is only passing by is left alone */
  readonly #settling = new Map<string, { what: string; since: number; told: boolean }>();
  #looks = 0;
  #nextLook = 0;

  constructor(name: string, growth: Growth | null) {
    this.name = name;
    this.growth = growth;
  }

  /** Something is undecided: when to look again, milliseconds since 1970; later with each time that has passed in vain. */
  later(now: number, scale: number): number {
    if (now >= this.#nextLook) {
      const pause =
        this.#looks < OFTEN ? Math.min(FIRST_PAUSE_MS * 2 ** this.#looks, LONGEST_PAUSE_MS) : SELDOM_MS;
      this.#looks += 1;
      this.#nextLook = now + pause * scale;
    }
    return this.#nextLook;
  }

  /** When it was last asked to wait until; in the past where nothing waits. */
  get waitsUntil(): number {
    return this.#nextLook;
  }

  /** Whether it has been undecided for so long that somebody should hear of it. */
  get isStuck(): boolean {
    return this.#looks > OFTEN / 2;
  }

  /** All is decided: the next time begins with short pauses. */
  decided(): void {
    this.#looks = 0;
    this.#nextLook = 0;
  }

  /** Since when `what` holds of this kind, which is now if it held something else before. */
  since(kind: string, what: string, now: number): number {
    const entry = this.#settling.get(kind);
    if (entry?.what === what) return entry.since;
    this.#settling.set(kind, { what, since: now, told: false });
    return now;
  }

  /** True once for each thing that `since` was told of. */
  tellOnce(kind: string): boolean {
    const entry = this.#settling.get(kind);
    if (entry === undefined || entry.told) return false;
    entry.told = true;
    return true;
  }

  settled(kind: string): void {
    this.#settling.delete(kind);
  }

  /** The directory came or went. */
  appearance(seen: RegionAudit | null): MonitorEvent[] {
    const was = this.present;
    this.present = seen !== null && seen.directory !== null;
    this.disk = seen?.disk ?? this.disk;
    if (was === this.present) return [];
    return [{ event: this.present ? "region" : "region-gone", region: this.name }];
  }

  /** The superblock that was told is no more. */
  end(): MonitorEvent[] {
    const wasTold = this.told || this.died;
    this.told = false;
    this.died = false;
    return wasTold ? [{ event: "superblock-gone", region: this.name, disk: this.disk }] : [];
  }
}
