// The end of a heartbeat region: references dropped, the directory removed, the semaphore set destroyed. Every function runs under the
// region's mutex.
//
// Facts relied on: group-api K4-K6 (kinds of references, when a set may go), B5 and B7 (what the C tools get wrong), kernel-abi 1.6 (rmdir
// gives EBUSY while a DLM domain of the same name lives).
import { readHint } from "../attributes.ts";
import { errnoName, isErrno, O2cbError } from "../errors.ts";
import type { Native, RegionLock } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";

/**
 * Removes a region's directory, which stops its heartbeat; absent is success.
 * Errors: O2CB_REGION_IN_USE while a DLM domain pins it, O2CB_HEARTBEAT_FAILED where removing it would crash the kernel.
 */
export async function removeRegion(native: Native, directory: string, region: string): Promise<void> {
  await refuseDeadThread(native, directory, region);
  try {
    await native.removeDirectory(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    if (isErrno(error, "EBUSY", "ENOTEMPTY")) {
      throw new O2cbError(
        "O2CB_REGION_IN_USE",
        `the heartbeat region '${region}' is pinned by a DLM domain of the same name`,
        {
          operation: "stop-heartbeat",
          region,
          path: directory,
          errno: (error as O2cbError).errno,
          syscall: "rmdir",
          cause: error,
        },
      );
    }
    throw error;
  }
}

/**
 * Kernels 5.10 and 6.1 keep pointing at the thread of a start that was interrupted, after the thread has ended: rmdir then stops a
 * task that is no more, which is an oops (seen in the lab, Debian 5.10.223 and 6.1.176: kthread_stop under
 * o2hb_heartbeat_group_drop_item), and a second write of `dev` never returns. 6.12.117 and 7.2.12 forget the thread. Its mark: no `dev`,
 * and a `pid` that is no heartbeat thread. A start of ours comes to this only where its writer is killed, too (crates/sys, write_apart).
 */
async function refuseDeadThread(native: Native, directory: string, region: string): Promise<void> {
  const pid = (await readHint(native, `${directory}/pid`)) ?? "";
  if (!/^[1-9]\d*$/.test(pid) || (await readHint(native, `${directory}/dev`)) !== "") return;
  if ((await readHint(native, `/proc/${pid}/comm`))?.startsWith("o2hb")) return;
  throw new O2cbError(
    "O2CB_HEARTBEAT_FAILED",
    `the start of heartbeat region '${region}' was interrupted, and this kernel would crash if its remains were removed`,
    {
      operation: "stop-heartbeat",
      region,
      path: directory,
      remedy: "restart this host before the volume is used on it again; everything else goes on working",
    },
  );
}

export interface DropResult {
  /** references that remain on the region */
  references: number;
  /** whether this call stopped the heartbeat */
  stopped: boolean;
}

/**
 * Drops references of one kind and, with the last of all, stops the heartbeat and removes the semaphore set. A reference that
 * somebody's undo took first counts as dropped. Where the region is pinned the references are put back.
 * Errors: O2CB_REGION_IN_USE, and what the kernel says.
 */
export async function dropReferences(
  native: Native,
  directory: string,
  lock: RegionLock,
  which: { count: number; undo: boolean },
  onStep?: OnStep,
): Promise<DropResult> {
  let taken = 0;
  for (let left = which.count; left > 0; left -= 1) if (lock.drop(which.undo).dropped) taken += 1;
  const references = lock.references();
  if (references > 0) {
    emit(onStep, { step: "leave", region: lock.region, references });
    return { references, stopped: false };
  }
  return stopUnreferenced(native, directory, lock, { count: taken, undo: which.undo }, onStep);
}

/** Stops a region that nobody holds; `restore` are the references to put back where it turns out to be pinned. */
export async function stopUnreferenced(
  native: Native,
  directory: string,
  lock: RegionLock,
  restore: { count: number; undo: boolean } | null,
  onStep?: OnStep,
): Promise<DropResult> {
  const began = Date.now();
  try {
    await removeRegion(native, directory, lock.region);
  } catch (error) {
    for (let left = restore?.count ?? 0; left > 0; left -= 1) lock.take(restore?.undo ?? false);
    throw error;
  }
  emit(onStep, { step: "leave", region: lock.region, references: 0 });
  emit(onStep, { step: "stop-heartbeat", region: lock.region, milliseconds: Date.now() - began });
  destroySet(lock, onStep);
  return { references: 0, stopped: true };
}

/** Removes the set with its mutex; once more where that fails, since an empty set left behind harms nobody but stays for ever. */
export function destroySet(lock: RegionLock, onStep?: OnStep): void {
  try {
    lock.destroy();
  } catch {
    try {
      lock.destroy();
    } catch (error) {
      emit(onStep, {
        step: "warning",
        code: "O2CB_BAD_SEM",
        message: `the empty semaphore set of region '${lock.region}' could not be removed (${errnoName(error) ?? "unknown"}), ignoring`,
      });
    }
  }
}
