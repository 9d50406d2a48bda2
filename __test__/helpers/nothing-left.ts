// Nothing is held: no region, set, mount, claim or lock is left. Notes may be, where forgetting them was what failed; the next reap
// takes them away, and changes nothing else.
import type { ExecutionContext } from "ava";
import { audit } from "../../ts/region/audit.ts";
import { planReap, reap } from "../../ts/region/reap.ts";
import type { FakeKernel, FakeNative } from "./fake-native.ts";

export async function assertNothingLeft(t: ExecutionContext, kernel: FakeKernel, title = ""): Promise<void> {
  const held = kernel
    .leftovers()
    .filter((what) => !what.startsWith("record ") && !what.startsWith("half-written"));
  t.deepEqual(held, [], title);
  const native = kernel.process();
  const { actions } = planReap(await audit(native, { probe: true }));
  t.deepEqual(
    actions.filter(({ drop, stop, removeSet }) => drop > 0 || stop || removeSet),
    [],
    title,
  );
  await reap(native, { time: "", actions, kept: [] });
  native.exit();
  t.deepEqual(kernel.leftovers(), [], `${title}: after a reap`);
}

/** For walks of kills: the next process can do the same from begin to end, and leaves nothing. */
export function nextWorks(
  t: ExecutionContext,
  whole: (native: FakeNative) => Promise<unknown>,
): (point: { kernel: FakeKernel; title: string }) => Promise<void> {
  return async ({ kernel, title }) => {
    const next = kernel.process();
    await whole(next);
    next.exit();
    await assertNothingLeft(t, kernel, title);
  };
}

/** Reaps as a command would, later. */
export async function reapAll(kernel: FakeKernel): Promise<void> {
  const native = kernel.process();
  await reap(native, planReap(await audit(native, { probe: true })));
  native.exit();
}
