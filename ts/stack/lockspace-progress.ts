// What a mount(2) of a userspace stack waits for, told while it waits: quorum, fencing, the other members. Only looks, and can never fail or
// hold up the mount: whoever cannot be asked tells nothing.
//
// Facts relied on: userspace-stack 6.1 (the wait is inside the kernel and reaches no signal, so it can only be looked at from beside); dlm_controld
// tells of each change of a lockspace's members what it waits for (native-stack-types, LockspaceState). Nothing announces a change to us.
import type { LockspaceState, Native } from "../native-types.ts";
import { pause } from "../pause.ts";
import { emit, type OnStep, type Step } from "../steps.ts";
import { askNodesToFence } from "./dlm-status.ts";

/** A mount that is not held up ends within this (measured: 0.2 to 0.5 s under emulation). */
const FIRST_LOOK_MS = 1000;
const EVERY_MS = 1000;

export interface ProgressOptions {
  onStep: OnStep;
  firstMs?: number | undefined;
  everyMs?: number | undefined;
}

/** Looks at the lockspace of a volume until the function given is called, and tells of each wait that is not the last one. */
export function tellLockspaceWaits(native: Native, region: string, options: ProgressOptions): () => void {
  const { onStep, firstMs = FIRST_LOOK_MS, everyMs = EVERY_MS } = options;
  const end = new AbortController();
  const watch = async (): Promise<void> => {
    let told = "";
    for (let wait = firstMs; !end.signal.aborted; wait = everyMs) {
      await pause(wait, end.signal);
      if (end.signal.aborted) return;
      const step = await look(native, region, end.signal);
      const now = step === null ? "" : JSON.stringify(step);
      if (step !== null && now !== told && !end.signal.aborted) emit(onStep, step);
      told = now;
    }
  };
  void watch();
  return () => end.abort();
}

/** Never throws. Null where nothing is waited for, or nobody tells. */
async function look(native: Native, region: string, signal: AbortSignal): Promise<Step | null> {
  const state = await native.lockspaceState(region, { signal }).catch(() => null);
  const known = state === null ? null : waitOf(region, state);
  if (known?.step === "wait-fencing" && known.nodes.length === 0)
    return { ...known, nodes: await askNodesToFence(native, signal) };
  // A lockspace that runs: the mount is at work on the disk.
  if (known !== null || state?.isJoining === false) return known;
  // Not yet in dlm_controld's list, or waiting for messages only: without quorum that is the reason.
  const isQuorate = await native.isQuorate({ signal }).catch(() => null);
  if (isQuorate === false) return { step: "wait-quorum", region };
  return isQuorate === null || state === null ? null : members(region, state, "the others have to answer");
}

function members(region: string, { members: nodes }: LockspaceState, reason: string): Step {
  return { step: "wait-members", region, nodes, reason };
}

function waitOf(region: string, state: LockspaceState): Step | null {
  switch (state.waitsFor) {
    case "quorum":
      return { step: "wait-quorum", region };
    case "fencing":
      return { step: "wait-fencing", region, nodes: state.fencing };
    case "ring":
      return members(region, state, "corosync is agreeing on who is in the cluster");
    case "filesystem":
      return members(region, state, "the control daemon of another node has to deal with a dead node");
    case null:
      return null;
  }
}
