// One listener for each signal, however many wait for it: Node warns of more than ten.

interface Waiting {
  works: Set<() => void>;
  listener(): void;
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/** Calls `work` when the signal fires, at once where it has; the function returned takes that back. */
export function onAbort(signal: AbortSignal, work: () => void): () => void {
  if (signal.aborted) {
    work();
    return () => {};
  }
  let one = waiting.get(signal);
  if (one === undefined) {
    const works = new Set<() => void>();
    one = { works, listener: () => works.forEach((each) => each()) };
    waiting.set(signal, one);
    signal.addEventListener("abort", one.listener, { once: true });
  }
  const { works, listener } = one;
  // The same function may wait twice, and is taken back once for each.
  const own = (): void => work();
  works.add(own);
  return () => {
    works.delete(own);
    if (works.size > 0 || waiting.get(signal)?.works !== works) return;
    waiting.delete(signal);
    signal.removeEventListener("abort", listener);
  };
}
