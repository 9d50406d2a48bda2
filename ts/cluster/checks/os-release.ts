// Which distribution runs, and which package of it holds the kernel's ocfs2 modules.
//
// Facts relied on: os-release(5) (shell-like assignments; ID, ID_LIKE); users 1.2, C11: Debian and Arch have the modules in the kernel's own
// package, Ubuntu in linux-modules-extra-RELEASE, SLES in ocfs2-kmp-FLAVOUR (High Availability extension), Oracle Linux only for
// its UEK, and Red Hat's kernel and its rebuilds are built without them.
import { readHint } from "../../attributes.ts";
import type { Native } from "../../native-types.ts";

export interface Distribution {
  id: string;
  like: readonly string[];
  /** for people */
  name: string;
}

/** Null where no os-release can be read. */
export async function distribution(native: Native): Promise<Distribution | null> {
  const text =
    (await readHint(native, "/etc/os-release")) ?? (await readHint(native, "/usr/lib/os-release")) ?? null;
  if (text === null) return null;
  const values = new Map(
    text.split("\n").flatMap((line): [string, string][] => {
      const [, key, value] = /^([A-Z_]+)=(.*)$/.exec(line.trim()) ?? [];
      return key === undefined || value === undefined ? [] : [[key, value.replace(/^(["'])(.*)\1$/, "$2")]];
    }),
  );
  const id = values.get("ID")?.toLowerCase() ?? "";
  return {
    id,
    like: (values.get("ID_LIKE") ?? "").toLowerCase().split(/\s+/).filter(Boolean),
    name: values.get("PRETTY_NAME") ?? (id || "this distribution"),
  };
}

/** What to do for modules that the running kernel lacks, as an imperative phrase. */
export function moduleRemedy(os: Distribution | null, release: string): string {
  const names = os === null ? [] : [os.id, ...os.like];
  const is = (...wanted: string[]): boolean => wanted.some((name) => names.includes(name));
  if (is("ubuntu")) return `install the package linux-modules-extra-${release}`;
  if (is("debian"))
    return `install the package linux-image-${release}, which holds the modules itself (a '-cloud' kernel has none)`;
  if (is("suse", "sles", "opensuse")) {
    const flavour = /-([a-z]+)$/.exec(release)?.[1] ?? "default";
    return `install the package ocfs2-kmp-${flavour}, from the High Availability extension on SLES`;
  }
  if (os?.id === "ol" || release.includes("uek"))
    return release.includes("uek")
      ? `install the packages kernel-uek-modules-${release} and kernel-uek-modules-extra-${release}, as far as this release has them`
      : "boot the Unbreakable Enterprise Kernel (package kernel-uek): the Red Hat compatible kernel has no ocfs2 modules";
  if (os?.id === "fedora") return `install the package kernel-modules-extra-${release}`;
  if (is("rhel", "centos", "fedora"))
    return `run a kernel that has them: the kernel of ${os?.name ?? "this distribution"} is built without ocfs2, and no package of it adds that`;
  if (is("alpine", "arch"))
    return `install the kernel's package for ${release} again, which holds the modules itself, and boot the newest kernel that is installed`;
  return `install the package that holds the modules ocfs2 and ocfs2_stack_o2cb for kernel ${release}`;
}
