// One lock of a lock space, as this process has it: who holds it, who waits, and the one transport lock that they share.
//
// Facts relied on (kernel-abi 5): dlmfs keeps neither the holders of a process nor those of a node apart, so the queue here does the one and the
// transport's reservation the other. How a lock is come by is lock-acquisition.ts.
//
// A holder's end hands the transport lock to the next in this process without a system call, for a slice of time at the most where other
// nodes or processes want it. What a request was given up for, and what callers are told, is lock-space.ts.
import { isCode } from "../errors.ts";
import { HeldLock } from "./held-lock.ts";
import {
  acquire,
  NO_RESERVATION,
  type Acquired,
  type Demand,
  type LockHolder,
  type QueueSeats,
} from "./lock-acquisition.ts";
import type { LockLevel, Reservation, TransportLock } from "./lock-transport.ts";

/** How long a lock may go from holder to holder in this process while somebody else wants it. */
const SLICE_MS = 10;

export interface LockRequest {
  readonly level: LockLevel;
  readonly trylock: boolean;
  /** after so many milliseconds of trylocks the kernel queues */
  readonly queueAfterMs: number;
  grant(held: HeldLock): void;
  fail(error: unknown): void;
  /** refused at once, by whom */
  refuse(holder: LockHolder): void;
  waits(holder: LockHolder, isQueued: boolean): void;
}

/** What a resource asks of its space. */
export interface ResourceOwner extends QueueSeats {
  /** it is held by nobody and still open: close it soon */
  linger(resource: LockResource): void;
  /** nothing is left of it */
  forget(resource: LockResource): void;
}

const DONE = Promise.resolve();

export class LockResource {
  readonly name: string;
  readonly #owner: ResourceOwner;
  readonly #queue: LockRequest[] = [];
  #state: "idle" | "getting" | "held" | "ending" = "idle";
  /** of a getting: at its first attempt, waiting, or in the kernel's queue */
  #phase: "first" | "waiting" | "queued" = "first";
  #work: Promise<void> = DONE;
  #abandon = new AbortController();
  #lock: TransportLock | null = null;
  #reservation: Reservation = NO_RESERVATION;
  #holders = 0;
  /** one may be in the queue */
  #hasTrylocks = false;
  #isDropped = false;
  #sliceBegan = 0;
  /** others were in want of it: no overtaking them */
  #isPolite = false;
  #lingersSince: number | null = null;
  readonly watchers = new Set<AbortController>();

  constructor(name: string, owner: ResourceOwner) {
    this.name = name;
    this.#owner = owner;
  }

  get domain(): string {
    return this.#owner.transport.domain;
  }

  get canNotify(): boolean {
    return this.#owner.transport.canNotify;
  }

  get valueBytes(): number {
    return this.#owner.transport.valueBytes;
  }

  /** Whether the kernel queues for it, which nothing but the grant can end. */
  get endsWithGrant(): boolean {
    return this.isQueuedInKernel && this.#owner.transport.canCancel !== true;
  }

  get isQueuedInKernel(): boolean {
    return this.#state === "getting" && this.#phase === "queued";
  }

  /** Whether somebody still waits for it. */
  get isWanted(): boolean {
    return this.#queue.length > 0;
  }

  /** The lock that a holder was given, as long as that holds. */
  isStill(lock: TransportLock): boolean {
    return this.#lock === lock;
  }

  /** A holder at once, where that needs nobody else; else null. */
  holdNow(level: LockLevel): HeldLock | null {
    if (this.#lock === null || this.#queue.length > 0 || this.#lock.level !== level) return null;
    if (this.#holders > 0 && level === "EX") return null;
    return this.#mustYield() ? null : this.#hold(this.#lock);
  }

  request(request: LockRequest): void {
    if (request.trylock && this.#refusesNow(request)) {
      request.refuse(this.#state === "getting" ? "node" : "here");
      return;
    }
    this.#queue.push(request);
    if (request.trylock) this.#hasTrylocks = true;
    this.#pump();
  }

  /** Takes a request back; false where it was answered. The last one ends what is under way for it, as far as that can be ended. */
  withdraw(request: LockRequest): boolean {
    const at = this.#queue.indexOf(request);
    if (at < 0) return false;
    this.#queue.splice(at, 1);
    if (this.#queue.length === 0 && this.#state === "getting") this.#abandon.abort();
    else this.#pump();
    return true;
  }

  /** Settles when nothing is under way any more; at once where nothing is. */
  async settled(): Promise<void> {
    while (this.#state === "getting" || this.#state === "ending") await this.#work;
  }

  /** Ends one holder. Rejects where the node could not be made to give the lock up; the holder has ended all the same. */
  release(keep: boolean): Promise<void> {
    this.#holders -= 1;
    if (!keep) this.#isDropped = true;
    if (this.#holders > 0) return DONE;
    if (this.#queue.length > 0) {
      this.#pump();
      return DONE;
    }
    if (this.#isDropped) return this.#end();
    this.#lingersSince = performance.now();
    this.#owner.linger(this);
    return DONE;
  }

  /** Closes a lock that nobody has taken again; false where it is not time yet. */
  closeIdle(now: number, lingerMs: number): boolean {
    if (this.#lingersSince === null) return true;
    if (now - this.#lingersSince < lingerMs) return false;
    this.#close();
    this.#pump();
    return true;
  }

  /** For the end of the space: everybody who waits is told, every holder ends. What the kernel queues for ends with its grant. */
  async endAll(error: () => unknown): Promise<void> {
    for (const request of this.#queue.splice(0)) request.fail(error());
    this.#abandon.abort();
    for (const watcher of this.watchers) watcher.abort();
    if (this.#state === "getting" && this.#phase === "queued" && !this.#owner.transport.canCancel) return;
    await this.settled();
    if (this.#lock === null) return;
    this.#holders = 0;
    await this.#end();
  }

  // -- the machine

  #refusesNow({ level }: LockRequest): boolean {
    if (this.#state === "getting") return this.#phase !== "first";
    if (this.#state !== "held" || this.#holders === 0) return false;
    return level === "EX" || this.#lock?.level === "EX" || this.#queue.length > 0;
  }

  #pump(): void {
    for (;;) {
      if (this.#state === "getting" || this.#state === "ending") return;
      const first = this.#queue[0];
      if (first === undefined) break;
      if (this.#lock === null) {
        this.#get(first.level);
        return;
      }
      const isFree = this.#holders === 0 || (first.level === "PR" && this.#lock.level === "PR");
      if (!isFree || (this.#holders > 0 && this.#mustYield())) {
        this.#refuseTrylocks("here");
        return;
      }
      if (this.#lock.level === first.level && !this.#mustYield()) {
        this.#queue.shift();
        first.grant(this.#hold(this.#lock));
      } else {
        this.#isPolite = true;
        this.#close();
      }
    }
    if (this.#lock === null) this.#owner.forget(this);
    // Granted when nobody wanted it any more.
    else if (this.#holders === 0 && this.#lingersSince === null) this.#end().catch(() => {});
  }

  #hold(lock: TransportLock): HeldLock {
    if (this.#holders === 0) {
      this.#isDropped = false;
      this.#lingersSince = null;
    }
    this.#holders += 1;
    return new HeldLock(this, lock);
  }

  #mustYield(): boolean {
    const now = performance.now();
    if (now - this.#sliceBegan < SLICE_MS) return false;
    if (this.#reservation.isAwaited() || this.#lock?.isBlocked?.() === true) return true;
    this.#sliceBegan = now;
    return false;
  }

  #get(level: LockLevel): void {
    this.#state = "getting";
    this.#phase = "first";
    this.#abandon = new AbortController();
    const { signal } = this.#abandon;
    this.#work = (async () => {
      let got: Acquired | null = null;
      try {
        got = await acquire(this.#owner, this.name, level, this.#demand(), signal);
      } catch (error) {
        // Given up for one who has withdrawn; whoever came meanwhile begins anew.
        const isWithdrawn = signal.aborted && isCode(error, "O2CB_ABORTED");
        if (!isWithdrawn) for (const request of this.#queue.splice(0)) request.fail(error);
      }
      if (got !== null) {
        this.#lock = got.lock;
        this.#reservation = got.reservation;
        this.#sliceBegan = performance.now();
      }
      this.#isPolite = false;
      this.#state = got === null ? "idle" : "held";
      this.#pump();
    })();
  }

  /** Those who wait, as the acquisition sees them. */
  #demand(): Demand {
    return {
      isPolite: this.#isPolite && this.#queue.some(({ trylock }) => !trylock),
      queueAfterMs: () => Math.min(...this.#queue.map((request) => request.queueAfterMs)),
      refused: (holder) => {
        this.#refuseTrylocks(holder);
        this.#phase = "waiting";
        for (const request of this.#queue) request.waits(holder, false);
        return this.#queue.length > 0;
      },
      queues: () => {
        this.#phase = "queued";
        for (const request of this.#queue) request.waits("node", true);
      },
    };
  }

  #refuseTrylocks(holder: LockHolder): void {
    // Asked at each handover: a long queue is looked through only where that can matter.
    if (!this.#hasTrylocks) return;
    this.#hasTrylocks = false;
    for (const request of this.#queue.filter(({ trylock }) => trylock)) {
      this.#queue.splice(this.#queue.indexOf(request), 1);
      request.refuse(holder);
    }
  }

  /** Only closes, at once. */
  #close(): void {
    this.#lock?.release({ drop: false }).catch(() => {});
    this.#lock = null;
    this.#reservation.release();
    this.#state = "idle";
    this.#lingersSince = null;
  }

  /** Closes, and makes the node give it up. */
  #end(): Promise<void> {
    const lock = this.#lock;
    const reservation = this.#reservation;
    this.#state = "ending";
    this.#lock = null;
    this.#lingersSince = null;
    const ended = (async () => {
      try {
        await lock?.release({ drop: true });
      } finally {
        // First of all: whoever waits for the end looks at the state, whatever the rest comes to.
        this.#state = "idle";
        try {
          reservation.release();
        } finally {
          this.#pump();
        }
      }
    })();
    this.#work = ended.catch(() => {});
    return ended;
  }
}
