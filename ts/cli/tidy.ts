// What a process that stays does about its memory when it comes to rest.
//
// Facts relied on: V8 collects old objects when it needs room, or by its memory reducer, a timer that would wake a process at rest (the launcher
// turns it off): some garbage of the last work stays for as long as nothing happens. And node's code stays resident once it has run, more
// of it the more of node's file the host has in its page cache (measured in the lab: 44 to 46 MB in all); it comes back as it is needed.
import { getHeapStatistics } from "node:v8";
import type { Native } from "../native-types.ts";

export interface Tidying {
  /** absent in a node that was started without `--expose-gc` */
  collect: (() => void) | undefined;
  heapBytes(): number;
}

/** Growth in bytes that is worth a collection, some 10 ms. */
const WORTH_COLLECTING = 256 * 1024;

const ours: Tidying = { collect: globalThis.gc, heapBytes: () => getHeapStatistics().used_heap_size };

/**
 * Gives back what the start needed, code included, and later the garbage that has come since. The code only once: each event would have to
 * wait for what it needs of it. The function returned never throws.
 */
export function tidier(native: Pick<Native, "releaseCode">, tidying: Tidying = ours): () => void {
  const { collect, heapBytes } = tidying;
  let heap = 0;
  let hasStarted = false;
  return () => {
    if (collect !== undefined && heapBytes() >= heap + WORTH_COLLECTING) {
      collect();
      heap = heapBytes();
    }
    if (hasStarted) return;
    hasStarted = true;
    try {
      native.releaseCode();
    } catch {
      // Without /proc it stays as it is.
    }
  };
}
