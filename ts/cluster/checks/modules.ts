// Can the running kernel do OCFS2 at all: are its modules loaded, or there to be loaded?
//
// Facts relied on: users 1.2, C11 (the package differs), kernel-abi 0 (the modules and what each is for). /sys/module/NAME exists for a
// loaded module; modules.builtin names those in the kernel itself; a package of modules for a given kernel (kmp, dkms) puts them below
// `updates`, `extra` or `weak-updates`. Nothing is loaded here and no program is run.
import { exists, readHint } from "../../attributes.ts";
import { kernelRelease } from "../../kernel-release.ts";
import type { Native } from "../../native-types.ts";
import { failure, good, warning, type Check } from "./finding.ts";
import { hostUserStack } from "./host-stack.ts";
import { distribution, moduleRemedy } from "./os-release.ts";

const ID = "kernel-modules";
/** Without these no volume of the classic stack can be mounted. */
const CLASSIC = ["ocfs2_nodemanager", "ocfs2_stack_o2cb", "ocfs2"] as const;
/** The same of a user stack; dlm comes with its plugin. */
const USER = ["ocfs2_stackglue", "ocfs2_stack_user", "ocfs2"] as const;
/** Where the kernel's own build puts modules, and where packages of others do; how deep they are looked for. */
const PLACES: readonly [string, number][] = [
  ["kernel/fs/ocfs2", 1],
  ["updates", 3],
  ["extra", 3],
  ["weak-updates", 4],
];

export const moduleChecks: readonly Check[] = [
  {
    id: ID,
    look: async ({ native, signal }) => {
      const isUser = (await hostUserStack(native, signal)) !== null;
      const needed = isUser ? USER : CLASSIC;
      const loaded = await Promise.all(needed.map((name) => exists(native, `/sys/module/${name}`)));
      if (loaded.every(Boolean)) return [good(ID, `the modules ${needed.join(", ")} are loaded`)];
      // Drivers of the 1.2 era have no stack modules (kernel-abi 8).
      if (!isUser && loaded[0] && loaded[2] && !(await exists(native, "/sys/fs/ocfs2")))
        return [good(ID, "the modules ocfs2_nodemanager and ocfs2 are loaded, of a driver without stacks")];
      const release = await kernelRelease(native);
      if (release === null)
        return [
          warning(ID, "no ocfs2 module is loaded, and which kernel runs cannot be read", "mount /proc"),
        ];
      const directory = `/lib/modules/${release.text}`;
      if (!(await exists(native, directory)))
        return [
          failure(
            ID,
            `the modules of ocfs2 are not all loaded, and there is no ${directory} to load them from`,
            `boot a kernel that is still installed, or ${moduleRemedy(await distribution(native), release.text)}`,
          ),
        ];
      const present = await modulesBelow(native, directory);
      const missing = needed.filter((name, index) => !loaded[index] && !present.has(name));
      if (missing.length === 0)
        return [good(ID, `the modules ${needed.join(", ")} are installed for kernel ${release.text}`)];
      return [
        failure(
          ID,
          `kernel ${release.text} has no module ${missing.join(", ")} in ${directory}`,
          moduleRemedy(await distribution(native), release.text),
        ),
      ];
    },
  },
];

async function modulesBelow(native: Native, directory: string): Promise<Set<string>> {
  const found = new Set<string>();
  const builtin = (await readHint(native, `${directory}/modules.builtin`)) ?? "";
  for (const [, name] of builtin.matchAll(/\/(ocfs2\w*)\.ko$/gm)) if (name !== undefined) found.add(name);
  const walk = async (path: string, depth: number): Promise<void> => {
    for (const file of await native.listFiles(path).catch(() => [])) {
      const name = /^(ocfs2\w*)\.ko(\.\w+)?$/.exec(file)?.[1];
      if (name !== undefined) found.add(name);
    }
    if (depth === 0) return;
    const below = await native.listDirectories(path).catch(() => []);
    await Promise.all(below.map((name) => walk(`${path}/${name}`, depth - 1)));
  };
  await Promise.all(PLACES.map(([place, depth]) => walk(`${directory}/${place}`, depth)));
  return found;
}
