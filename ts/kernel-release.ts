// Which kernel runs: for the few places where a known kernel's bug decides what may be done to it.
import { readHint } from "./attributes.ts";
import type { Native } from "./native-types.ts";

export interface KernelRelease {
  /** as uname -r prints it */
  text: string;
  major: number;
  minor: number;
}

/** Null where it cannot be read: then no bug is assumed. */
export async function kernelRelease(native: Pick<Native, "readAttribute">): Promise<KernelRelease | null> {
  const text = (await readHint(native, "/proc/sys/kernel/osrelease")) ?? "";
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  return major === undefined || minor === undefined
    ? null
    : { text, major: Number(major), minor: Number(minor) };
}
