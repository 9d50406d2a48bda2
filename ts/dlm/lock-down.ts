// The proof that a volume is mounted nowhere, and its lock until it is given back: what the original calls ocfs2_lock_down_cluster.
//
// Facts relied on: group-api 8.3, K18 and K19: the super block's lock EX, tried; then the inode lock of each slot's journal EX, tried and given up
// at once; the super block's lock is kept. A node that has the volume mounted holds its journal's, so all of them free, under the super block's, prove
// that none has, and a mount waits for that one. Names are 31 characters: a letter, six zeros, 16 digits of the block, 8 of the generation.
//
// A lock can be refused though nobody holds it: a program that was killed on another node leaves it cached there, in a domain of which that
// node stays a member (surprise 2). From here that looks like a program at work. To queue for it would tell the two apart, but ends with the
// grant alone: with a program at work this node would stay in the domain for as long. So that is done only where the caller asks for it.
import { isCode, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import type { Volume } from "../volume.ts";
import { whoHolds } from "./busy-volume.ts";
import type { HeldLock } from "./held-lock.ts";
import type { Dlm } from "./initialize.ts";

/** Block of the super block, in file system blocks (disk-format 1.1). */
const SUPER_BLOCK = 2n;

export interface LockDownOptions {
  /**
   * Queue for so many milliseconds for a lock that no mount explains, which frees what a killed program left cached on another node. Where a
   * program is at work after all, this node stays in the domain until that has ended. Default 0: never.
   */
  queueMs?: number | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

const held = new WeakMap<Dlm, HeldLock>();

/** The lock's name of the super block. */
export function superLockName(): string {
  return lockName("S", SUPER_BLOCK, 0);
}

/** The lock's name of an inode, such as a journal's. */
export function inodeLockName(block: bigint, generation: number): string {
  return lockName("M", block, generation);
}

function lockName(type: string, block: bigint, generation: number): string {
  return `${type}000000${block.toString(16).padStart(16, "0")}${generation.toString(16).padStart(8, "0")}`;
}

/**
 * Locks the volume of a DLM domain against every mount and every other program that locks it so.
 * Errors: O2CB_VOLUME_IN_USE (with who, where known), O2CB_BAD_DIRECTORY, O2CB_ABORTED, those of a lock.
 */
export async function lockDownCluster(
  native: Native,
  dlm: Dlm,
  options: LockDownOptions = {},
): Promise<void> {
  const { volume } = dlm;
  const { signal, onStep } = options;
  if (held.has(dlm))
    throw new O2cbError("O2CB_LOCK_BUSY", `'${volume.device}' is locked by this program already`, {
      operation: "lock-down",
      region: volume.uuid,
    });
  const { journals } = await native.inspectVolume(volume.device, { signal });
  const superLock = await take(native, dlm, superLockName(), options);
  try {
    for (const { block, generation } of journals)
      await (await take(native, dlm, inodeLockName(block, generation), options)).unlock();
  } catch (error) {
    try {
      await superLock.unlock();
    } catch (rollbackError) {
      if (error instanceof O2cbError) error.rollbackError ??= rollbackError;
    }
    throw error;
  }
  held.set(dlm, superLock);
  emit(onStep, { step: "lock-down", region: volume.uuid, journals: journals.length });
}

/** Gives the volume back. Without a lock of it, does nothing. */
export async function releaseCluster(
  dlm: Dlm,
  { onStep }: { onStep?: OnStep | undefined } = {},
): Promise<void> {
  const lock = held.get(dlm);
  if (lock === undefined) return;
  held.delete(dlm);
  await lock.unlock();
  emit(onStep, { step: "release-cluster", region: dlm.volume.uuid });
}

async function take(native: Native, dlm: Dlm, name: string, options: LockDownOptions): Promise<HeldLock> {
  const { signal, onStep, queueMs = 0 } = options;
  const answer = await dlm.locks.attempt(name, { level: "EX", signal, onStep });
  if (typeof answer === "object") return answer;
  if (answer !== "node") throw inUse(dlm.volume, "another program on this node is at work on it");
  const { isMounted, sentence } = await whoHolds(native, dlm.volume, signal);
  // A lock of fs/dlm belongs to its process: one of this node is refused as one of another is.
  const unknown =
    dlm.locks.transport.kind === "fsdlm" ? "a program on this node or another is at work on it" : null;
  const who = sentence ?? unknown;
  if (isMounted || queueMs === 0) throw inUse(dlm.volume, who);
  try {
    return await dlm.locks.lock(name, { level: "EX", signal, onStep, queueAfterMs: 0, timeoutMs: queueMs });
  } catch (error) {
    if (!isCode(error, "O2CB_TIMEOUT")) throw error;
    const { outcome, settled } = error as O2cbError;
    throw inUse(dlm.volume, who, { cause: error, outcome, settled });
  }
}

function inUse(
  volume: Volume,
  who: string | null,
  fields: { cause?: unknown; outcome?: O2cbError["outcome"]; settled?: Promise<unknown> | undefined } = {},
): O2cbError {
  const isElsewhere = who?.includes("used without a mount") ?? false;
  return new O2cbError(
    "O2CB_VOLUME_IN_USE",
    who?.startsWith("'")
      ? `the volume is in use: ${who}`
      : `the volume on '${volume.device}' is in use: ${who ?? "a node holds it, and nothing on the disk says which"}`,
    {
      operation: "lock-down",
      region: volume.uuid,
      path: volume.device,
      remedy: isElsewhere
        ? `wait for the program there; where none runs, one was killed: run 'ocfs2_hb_ctl --reap -u ${volume.uuid}' on that node`
        : undefined,
      ...fields,
    },
  );
}
