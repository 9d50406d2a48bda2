// Interleavings: calls of several processes take effect in an order drawn from a seed, so a failure can be repeated.
import type { FakeKernel } from "./kernel.ts";

const MAX_TURNS = 4;

/** From now on each call waits for 0 to 3 turns of the event loop before its effect. */
export function shuffleTurns(kernel: FakeKernel, seed: number): void {
  let state = seed >>> 0 || 1;
  kernel.turn = async () => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    for (let turns = (state >>> 0) % MAX_TURNS; turns > 0; turns -= 1)
      await new Promise((resolve) => setImmediate(resolve));
  };
}
