// What the kernel says about a process, from /proc/PID/stat.
//
// Facts relied on (proc(5), proc_pid_stat): the second field is the name in parentheses and may hold anything, blanks and
// parentheses too, so the fields after it are counted from the last `)`. A process is the same one only if its start time is; numbers
// are used again. Flag 0x200000 marks a kernel thread (kernel include/linux/sched.h, PF_KTHREAD).
import { readHint } from "./attributes.ts";
import type { Native } from "./native-types.ts";

const KERNEL_THREAD = 0x200000;
/** A parent that is the kernel itself, or outside this PID namespace. */
const NO_PARENT = 0;

export interface ProcessFacts {
  pid: number;
  /** at most 15 bytes of it */
  name: string;
  parent: number;
  /** clock ticks since the host's start, as text */
  startTime: string;
  isKernelThread: boolean;
  /** whether it has a controlling terminal */
  hasTerminal: boolean;
  /** whether its process group is the one that its terminal's signals go to */
  isInForeground: boolean;
}

/** Null where there is no such process, or /proc does not tell. */
export async function processFacts(native: Native, pid: number | "self"): Promise<ProcessFacts | null> {
  const text = await readHint(native, `/proc/${pid}/stat`);
  const match = /^(\d+) \((.*)\) (\S.*)$/s.exec(text ?? "");
  if (match === null) return null;
  const [, number, name = "", rest = ""] = match;
  // state ppid pgrp session tty_nr tpgid flags …: the third field of the file is the first here.
  const field = (index: number): string => rest.trim().split(/\s+/)[index - 3] ?? "";
  const startTime = field(22);
  // A zombie holds nothing any more: its semaphores were undone when it ended.
  if (!/^\d+$/.test(startTime) || field(3) === "Z" || field(3) === "X") return null;
  return {
    pid: Number(number),
    name,
    parent: Number(field(4)) || NO_PARENT,
    startTime,
    isKernelThread: (Number(field(9)) & KERNEL_THREAD) !== 0,
    hasTerminal: Number(field(7)) !== 0,
    isInForeground: Number(field(7)) !== 0 && field(5) === field(8),
  };
}

/** Whether the kernel itself started this process, as it does with the program at hb_ctl_path. */
export async function isStartedByKernel(native: Native): Promise<boolean> {
  const self = await processFacts(native, "self");
  if (self === null) return false;
  if (self.parent === NO_PARENT) return true;
  return (await processFacts(native, self.parent))?.isKernelThread ?? false;
}

/** The host's start, as a name; null where /proc does not tell. */
export async function bootId(native: Native): Promise<string | null> {
  return (await readHint(native, "/proc/sys/kernel/random/boot_id"))?.trim() || null;
}
