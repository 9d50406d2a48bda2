// mount(2) of the kernel's own file systems on the fake machine: configfs, debugfs, dlmfs.
//
// Facts relied on: mount(2) loads the module of a file system that it does not know, where there is one; a second mount of the same tree
// on the same point is EBUSY; kernel-abi 5 (dlmfs).
import type { MountRequest } from "../../../ts/native-types.ts";
import { Dlmfs } from "./dlmfs.ts";
import { refuse } from "./errors.ts";
import type { FakeKernel } from "./kernel.ts";
import { configfsTree, debugfsTree } from "./machine-tree.ts";
import { isMountRoot, type FileSystem, type Place } from "./vfs.ts";

const MODULES: Record<string, string | null> = {
  configfs: "configfs",
  debugfs: null,
  ocfs2_dlmfs: "ocfs2_dlmfs",
};

export function isPseudo(type: string): boolean {
  return Object.hasOwn(MODULES, type);
}

/** Attaches the tree of the request's type at the place. */
export function mountPseudo(kernel: FakeKernel, target: Place, request: MountRequest): void {
  const module = MODULES[request.type] ?? null;
  if (module !== null && !kernel.hasModule(module) && !kernel.loadModule(module)) refuse("ENODEV");
  if (request.type === "debugfs" && !kernel.features.debugfs) refuse("ENODEV");
  if (target.node.kind !== "directory") refuse("ENOTDIR");
  if (isMountRoot(target) && target.mount.fileSystem.type === request.type) refuse("EBUSY");
  target.namespace.attach(target, {
    fileSystem: treeOf(kernel, request.type),
    source: request.source,
    options: "rw,relatime",
    root: "/",
    rootNode: treeOf(kernel, request.type).root,
  });
}

const trees = new WeakMap<FakeKernel, Map<string, FileSystem>>();

/** One tree of a type on a machine, however often it is mounted. */
function treeOf(kernel: FakeKernel, type: string): FileSystem {
  let known = trees.get(kernel);
  if (known === undefined) trees.set(kernel, (known = new Map()));
  let tree = known.get(type);
  if (tree === undefined) {
    if (type === "ocfs2_dlmfs") tree = new Dlmfs(kernel);
    else tree = type === "configfs" ? configfsTree(kernel) : debugfsTree(kernel);
    known.set(type, tree);
  }
  return tree;
}
