// The locks of DLM domains as one node sees them: what it caches and has open, what other nodes have, and who waits.
//
// Facts relied on: kernel-abi 5, the six surprises. Locks are the node's: all its opens get along. They stay cached after the last
// close, here and elsewhere, until a queued request of another node or an unlink; a trylock does not make another node give up what it only
// keeps cached. A queued open ends with the grant and not before. While another node waits for this one, an open here at a level that is
// not its own waits too.
//
// Other nodes are state that tests set: `hold`, `letGo`, `drop`, `ask`. Not modelled: lock masters, recovery, conversion deadlocks.
import type { LockLevel } from "../../../ts/native-types.ts";
import { deferred, type Deferred } from "./deferred.ts";

export const VALUE_BYTES = 64;

interface Other {
  level: LockLevel;
  /** else it only caches it */
  held: boolean;
}

function fit(one: LockLevel, other: LockLevel): boolean {
  return one === "PR" && other === "PR";
}

export class DlmLockState {
  readonly name: string;
  value = new Uint8Array(VALUE_BYTES);
  /** what this node has of it, held or cached */
  cached: LockLevel | null = null;
  readonly opens = new Set<LockLevel[]>();
  readonly others = new Map<string, Other>();
  /** what another node waits for */
  asked: { node: string; level: LockLevel } | null = null;
  #changed: Deferred<void> = deferred();

  constructor(name: string) {
    this.name = name;
  }

  /** settles at the next change */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  change(): void {
    const past = this.#changed;
    this.#changed = deferred();
    past.resolve();
  }

  // -- what tests do for other nodes

  /** Another node takes it, or caches it since it has closed it. */
  hold(node: string, level: LockLevel, held = true): void {
    this.others.set(node, { level, held });
    this.change();
  }

  /** Another node closes it and keeps it cached. */
  letGo(node: string): void {
    const other = this.others.get(node);
    if (other !== undefined) other.held = false;
    this.change();
  }

  /** Another node closes and unlinks it, or dies. */
  drop(node: string): void {
    this.others.delete(node);
    this.change();
  }

  /** Another node queues for it: this one gives up at once what it only caches, and is told of what it holds. */
  ask(node: string, level: LockLevel): void {
    this.asked = { node, level };
    this.#giveUp();
    this.change();
  }

  // -- what the kernel does

  /** While another node waits, an open that asks for more than that leaves waits too (surprise 4). */
  mustWait(level: LockLevel): boolean {
    return this.asked !== null && this.opens.size > 0 && !fit(this.asked.level, level);
  }

  /** Whether this node can have it now; a queued request makes others give up what they only cache. */
  grantable(level: LockLevel, queued: boolean): boolean {
    if (this.cached === "EX" || this.cached === level) return true;
    for (const [node, other] of this.others) {
      if (fit(level, other.level)) continue;
      if (other.held || !queued) return false;
      this.others.delete(node);
    }
    return true;
  }

  open(level: LockLevel): () => void {
    if (this.cached !== "EX") this.cached = level;
    const one = [level];
    this.opens.add(one);
    return () => {
      if (!this.opens.delete(one)) return;
      this.#giveUp();
      this.change();
    };
  }

  /** False while it is held. */
  unlink(): boolean {
    if (this.opens.size > 0) return false;
    this.cached = null;
    this.#grantOther();
    this.change();
    return true;
  }

  #giveUp(): void {
    if (this.asked === null) return;
    const { level } = this.asked;
    const left = [...this.opens].map(([own]) => own as LockLevel);
    if (left.some((own) => !fit(own, level))) return;
    this.cached = left.length > 0 ? "PR" : null;
    this.#grantOther();
  }

  #grantOther(): void {
    if (this.asked === null) return;
    this.others.set(this.asked.node, { level: this.asked.level, held: true });
    this.asked = null;
  }
}

/** The locks of every domain, whether this node is in it or not. */
export class DlmLocks {
  readonly #domains = new Map<string, Map<string, DlmLockState>>();

  lock(domain: string, name: string): DlmLockState {
    let locks = this.#domains.get(domain);
    if (locks === undefined) this.#domains.set(domain, (locks = new Map()));
    let lock = locks.get(name);
    if (lock === undefined) locks.set(name, (lock = new DlmLockState(name)));
    return lock;
  }
}
