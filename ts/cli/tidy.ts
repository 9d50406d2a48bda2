// What a process that stays does about its memory when it comes to rest.
//
// Facts relied on: V8 collects old objects when it needs room, or by its memory reducer, a timer that would wake a process at rest (the launcher
// turns it off). Without either some 1.5 MB of garbage of the last work stay for as long as nothing happens (measured in the lab).
import { getHeapStatistics } from "node:v8";

/** in bytes; less than that is not worth a collection, some 10 ms */
const WORTH_IT = 256 * 1024;

const usedBytes = (): number => getHeapStatistics().used_heap_size;

/** Collects what has become garbage since the last time; does nothing in a node that was started without `--expose-gc`. */
export function tidier(collect: (() => void) | undefined = globalThis.gc, used = usedBytes): () => void {
  let left = 0;
  return () => {
    if (collect === undefined || used() < left + WORTH_IT) return;
    collect();
    left = used();
  };
}
