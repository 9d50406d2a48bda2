// Open file description locks on places of a file, between the opens of it on this machine: readers share, a writer is alone, who
// waits comes in its turn. All of it is gone with its process.
import { deferred } from "./deferred.ts";
import type { TreeNode } from "./tree.ts";

interface Claim {
  exclusive: boolean;
  granted: () => void;
}

interface Place {
  held: Set<Claim>;
  waiting: Claim[];
}

export class RangeLocks {
  readonly #files = new Map<TreeNode, Map<bigint, Place>>();

  /** How many places are held, and how many wait. */
  count(): { held: number; waiting: number } {
    const places = [...this.#files.values()].flatMap((file) => Array.from(file.values()));
    const sum = (of: (place: Place) => number): number => places.reduce((all, place) => all + of(place), 0);
    return { held: sum(({ held }) => held.size), waiting: sum(({ waiting }) => waiting.length) };
  }

  /** Null where it is refused now, or `givenUp` came first. */
  async lock(
    file: TreeNode,
    number: bigint,
    how: { exclusive: boolean; wait: boolean },
    givenUp: Promise<void>,
  ): Promise<{ release: () => void; isAwaited: () => boolean } | null> {
    const place = this.#place(file, number);
    const turn = deferred<void>();
    const claim: Claim = { exclusive: how.exclusive, granted: () => turn.resolve() };
    if (this.#fits(place, claim) && (place.waiting.length === 0 || !how.wait)) place.held.add(claim);
    else if (!how.wait) return null;
    else {
      place.waiting.push(claim);
      await Promise.race([turn.promise, givenUp]);
      const at = place.waiting.indexOf(claim);
      if (at >= 0) {
        place.waiting.splice(at, 1);
        this.#next(place);
        return null;
      }
    }
    return {
      isAwaited: () => place.waiting.length > 0,
      release: () => {
        place.held.delete(claim);
        this.#next(place);
      },
    };
  }

  #place(file: TreeNode, number: bigint): Place {
    let places = this.#files.get(file);
    if (places === undefined) this.#files.set(file, (places = new Map()));
    let place = places.get(number);
    if (place === undefined) places.set(number, (place = { held: new Set(), waiting: [] }));
    return place;
  }

  #fits(place: Place, claim: Claim): boolean {
    return place.held.size === 0 || (!claim.exclusive && [...place.held].every((one) => !one.exclusive));
  }

  #next(place: Place): void {
    for (
      let first = place.waiting[0];
      first !== undefined && this.#fits(place, first);
      [first] = place.waiting
    ) {
      place.waiting.shift();
      place.held.add(first);
      first.granted();
    }
  }
}
