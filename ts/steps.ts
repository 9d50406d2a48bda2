// What a join, a mount or an unmount is doing, as typed steps, so that a caller can show it. Emitting a step never fails the
// operation: an exception in a listener is the listener's own (it is rethrown on the next tick, where Node reports it).
//
// A step is told when it begins; `milliseconds` on the steps that end something is the time it took.

export type Step =
  | { step: "read-volume"; device: string }
  | {
      step: "volume";
      device: string;
      uuid: string;
      label: string;
      stack: string;
      cluster: string | null;
      mode: HeartbeatMode | "none";
    }
  | { step: "load-module"; module: string }
  | { step: "set-stack"; stack: string }
  /** a userspace stack has no heartbeat of the kernel's, and may not tell which node this is */
  | {
      step: "cluster";
      cluster: string;
      mode: HeartbeatMode | "none";
      node: string | null;
      nodeNumber: number | null;
    }
  /** another mount or unmount of this volume on this node is under way */
  | { step: "wait-volume-lock"; region: string; path: string }
  | { step: "volume-lock-unavailable"; region: string; path: string; reason: string }
  /** a join is not noted in /run: what it leaves behind, should it be killed, will be less well explained */
  | { step: "record-unavailable"; region: string; path: string; reason: string }
  /** references of mounts that are gone, left by a command that was killed or by an unmount without one */
  | { step: "drop-stale"; region: string; references: number; reason: string }
  | { step: "reap"; region: string; reason: string }
  /** another process holds the region's mutex (it may be starting the heartbeat) */
  | { step: "wait-region-lock"; region: string; holder: number | null; waitedMs: number }
  | { step: "create-region"; region: string }
  | { step: "discard-region"; region: string; reason: string }
  | { step: "adopt-region"; region: string; references: number; reason: string }
  /** the kernel now watches the heartbeat area until it is steady; expectedMs follows from its own rule */
  | { step: "start-heartbeat"; region: string; device: string; expectedMs: number; reason: string }
  | { step: "heartbeat"; region: string; milliseconds: number }
  /** these nodes beat on the disk, or did a moment ago, and this kernel does not see them yet */
  | { step: "wait-nodes"; region: string; nodes: readonly number[] }
  | { step: "reference"; region: string; references: number; persistent: boolean }
  /** the volume is mounted already: the new mount point shares its superblock and its one reference */
  | { step: "additional-mount"; region: string; references: number }
  /** an earlier command died between mount(2) and its confirmation: its reference is put back */
  | { step: "repair-reference"; region: string }
  | { step: "mount"; device: string; directory: string; options: readonly string[]; readOnly: boolean }
  | { step: "mounted"; device: string; directory: string; milliseconds: number }
  | { step: "complete"; region: string; result: number }
  | { step: "undo"; region: string | null; reason: string }
  | { step: "unmount"; directory: string; device: string; lazy: boolean }
  | { step: "unmounted"; directory: string; milliseconds: number }
  | { step: "remount-read-only"; directory: string }
  /** the superblock lives on (another mount point, a lazy unmount's last user, another namespace): nothing to leave yet */
  | { step: "still-in-use"; region: string | null; device: string; reason: string }
  /** hb_ctl_path names a program: the kernel's call-out leaves, not we */
  | { step: "kernel-leaves"; region: string | null; program: string }
  | { step: "leave"; region: string; references: number }
  | { step: "stop-heartbeat"; region: string; milliseconds: number }
  /** one copy of the superblock; the old bytes are in the undo file */
  | { step: "write-superblock"; device: string; offset: number; isBackup: boolean }
  | { step: "undo-file"; path: string }
  /** nobody can be asked for a lock: claim, heartbeat and slot map have to do */
  | { step: "claim-instead-of-lock"; device: string; reason: string }
  | { step: "io-priority"; region: string; pid: number }
  | { step: "join-domain"; domain: string; path: string }
  | { step: "leave-domain"; domain: string; milliseconds: number }
  /** where the holder is: another process of this node, another node; or the kernel now queues for it, which only a grant ends */
  | {
      step: "wait-lock";
      domain: string;
      lock: string;
      holder: "process" | "node";
      isQueued: boolean;
      waitedMs: number;
    }
  /** processes of this node are not kept apart: /run cannot be written */
  | { step: "exclusion-unavailable"; domain: string; path: string; reason: string }
  /** every lock that a mount would hold is free */
  | { step: "lock-down"; region: string; journals: number }
  | { step: "release-cluster"; region: string }
  | { step: "claim-volume"; device: string }
  /** the stack's control daemon has not answered yet: a request of its protocol, such as MOUNT */
  | { step: "wait-daemon"; region: string; request: string; waitedMs: number }
  /** mount(2) of a userspace stack waits, or will: this node's partition has no quorum */
  | { step: "wait-quorum"; region: string }
  /** the same: these nodes have to be fenced before the lock manager lets anybody in; none where dlm_controld does not say which */
  | { step: "wait-fencing"; region: string; nodes: readonly number[] }
  /** the same: the members of the volume's lock space are being agreed on, or a file system's daemon has to say that it is done */
  | { step: "wait-members"; region: string; nodes: readonly number[]; reason: string }
  | { step: "waiting-for-kernel"; operation: string; reason: string }
  /** one change of the kernel's state or of a file, as it begins; with `isDryRun` it is only told */
  | { step: "change"; action: string; path: string; value: string | null; isDryRun: boolean }
  /** something is not done, as it is not needed or not possible here */
  | { step: "skip"; what: string; reason: string }
  | { step: "warning"; code: string; message: string };

export type HeartbeatMode = "local" | "global";

export type OnStep = (step: Step) => void;

/** Calls the listener, if there is one, and keeps its failures away from the operation. */
export function emit(onStep: OnStep | undefined, step: Step): void {
  if (onStep === undefined) return;
  try {
    onStep(step);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
