// The mount options of the ocfs2 driver: which it knows, and which it refuses together.
//
// Facts relied on: kernel-abi 7.1 (linux: fs/ocfs2/super.c, ocfs2_parse_options). What they mean for a volume is in ocfs2.ts.
import { refuse } from "./errors.ts";

const WORDS = [
  "intr",
  "nointr",
  "localflocks",
  "user_xattr",
  "nouser_xattr",
  "inode64",
  "acl",
  "noacl",
  "usrquota",
  "grpquota",
  "journal_async_commit",
];
const NUMBERS = [
  "barrier",
  "atime_quantum",
  "preferred_slot",
  "commit",
  "localalloc",
  "resv_level",
  "dir_resv_level",
];
const CHOICES: Record<string, readonly string[]> = {
  heartbeat: ["local", "global", "none"],
  errors: ["panic", "remount-ro", "continue"],
  data: ["ordered", "writeback"],
  coherency: ["full", "buffered"],
};

/** How the driver refuses a mount: EINVAL, and a line in the kernel log. */
export function invalid(message: string): never {
  return refuse("EINVAL", { kernelMessages: [message] });
}

/** Options that the kernel would refuse whatever the volume. */
export function checkOption(option: string): void {
  const cut = option.indexOf("=");
  const [name, value] = cut < 0 ? [option, null] : [option.slice(0, cut), option.slice(cut + 1)];
  const fine =
    value === null
      ? WORDS.includes(name)
      : (CHOICES[name]?.includes(value) ?? false) ||
        (NUMBERS.includes(name) && /^\d+$/.test(value)) ||
        (name === "cluster_stack" && Buffer.byteLength(value) === 4);
  if (!fine) invalid(`ocfs2: Unrecognized mount option "${option}" or missing value`);
}

/** The options of one mount together. */
export function checkSyntax(options: readonly string[]): void {
  for (const option of options) checkOption(option);
  const stack = stackOption(options);
  if (stack === "o2cb")
    invalid("ocfs2: cluster stack passed to mount, but this filesystem does not support it");
  const modes = new Set(options.filter((option) => option.startsWith("heartbeat=")));
  if (modes.size > 1 || (stack === null && modes.size !== 1))
    invalid("ocfs2: Invalid heartbeat mount options");
}

export function stackOption(options: readonly string[]): string | null {
  return (
    options.find((option) => option.startsWith("cluster_stack="))?.slice("cluster_stack=".length) ?? null
  );
}
