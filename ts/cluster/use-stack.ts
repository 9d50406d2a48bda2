// The node's cluster stack as the service sets it, and puts it back: through the record of writes, and on a dry run without doing it.
//
// Facts relied on: stack/setup.ts, which knows the rules. `o2cb` is the label that the kernel starts with (kernel-abi 4).
import { isErrno, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { MODPROBE, readLabel, STACK_FILE } from "../stack/detect.ts";
import { CLASSIC_PLUGIN, hasPlugin, setupStack, USER_PLUGIN } from "../stack/setup.ts";
import { stackHolderPhrases, stackHolders } from "../stack/stack-holders.ts";
import { emit } from "../steps.ts";
import { CLASSIC_STACK, type Volume } from "../volume.ts";
import type { KernelWrites } from "./writes.ts";

/** Makes the stack the running one. Errors: those of setupStack. */
export async function useStack(
  writes: KernelWrites,
  stack: string,
  options: { operation: string; volume?: Volume; loadModules?: boolean },
): Promise<void> {
  const { native, signal, onStep } = writes;
  if (!writes.dryRun) {
    await setupStack(native, stack, { ...options, signal, onStep });
    return;
  }
  const label = await readLabel(native, signal);
  if (options.loadModules !== false) await listModules(native, stack, label);
  if (label === null ? stack !== CLASSIC_STACK : label !== stack)
    await native.writeAttribute(STACK_FILE, stack);
}

/** What setupStack would load. */
async function listModules(native: Native, stack: string, label: string | null): Promise<void> {
  if (label === null) await native.runProgram(MODPROBE, ["-q", "ocfs2"]);
  if (await hasPlugin(native, stack)) return;
  await native.runProgram(MODPROBE, ["-q", stack === CLASSIC_STACK ? CLASSIC_PLUGIN : USER_PLUGIN]);
}

/**
 * Puts the label back where a user stack's is the running one; gives that stack, null where there is nothing to do.
 * Errors: O2CB_REGION_IN_USE with the names of those who use it.
 */
export async function leaveUserStack(
  writes: KernelWrites,
  options: {
    operation: string;
    /** on a dry run: nothing would be mounted by then */ assumeUnmounted?: boolean | undefined;
  },
): Promise<string | null> {
  const { native, signal } = writes;
  const label = await readLabel(native, signal);
  if (label === null || label === CLASSIC_STACK) return null;
  if (!(writes.dryRun && options.assumeUnmounted)) await requireUnused(writes, label, options.operation);
  emit(writes.onStep, { step: "set-stack", stack: CLASSIC_STACK });
  try {
    await native.writeAttribute(STACK_FILE, CLASSIC_STACK, { signal });
  } catch (error) {
    if (!isErrno(error, "EBUSY")) throw error;
    throw inUse(label, "something that cannot be seen from here", options.operation, error);
  }
  return label;
}

/** Errors: O2CB_REGION_IN_USE. */
async function requireUnused(writes: KernelWrites, label: string, operation: string): Promise<void> {
  const holders = await stackHolders(writes.native, writes.signal);
  // o2cb's heartbeat is no business of this stack.
  const phrases = stackHolderPhrases({ ...holders, regions: [] });
  if (phrases.length > 0) throw inUse(label, phrases.join("; "), operation);
}

function inUse(label: string, who: string, operation: string, cause?: unknown): O2cbError {
  return new O2cbError("O2CB_REGION_IN_USE", `the cluster stack '${label}' is in use by ${who}`, {
    operation,
    clusterStack: label,
    path: STACK_FILE,
    remedy: "o2cb drain unmounts the volumes; end the programs for the rest",
    cause,
  });
}
