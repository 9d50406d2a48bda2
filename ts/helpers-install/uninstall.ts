// Removes what was placed and puts back what was put aside. What was changed since is not deleted unless that is forced.
import { InstallError } from "./errors.ts";
import { type Manifest, type Saved, manifestPath, readManifest } from "./manifest.ts";
import type { PackageDatabase } from "./packages.ts";
import { type Tree, isSame } from "./tree.ts";

export interface UninstallOptions {
  /** delete what was changed since, too */
  force: boolean;
  dryRun: boolean;
  say: (line: string) => void;
}

/** Returns false where nothing is installed. */
export function uninstall(tree: Tree, packages: PackageDatabase, options: UninstallOptions): boolean {
  const manifest = readManifest(tree);
  if (manifest === null) return false;
  const present = presentFiles(tree, manifest, options.force);
  // What stands in /sbin goes first: a helper without its launcher would fail each mount.
  const isHelper = (path: string) => path.includes("/sbin/");
  const order = present.toSorted((a, b) => Number(isHelper(b)) - Number(isHelper(a)));
  if (options.dryRun) {
    for (const path of order) options.say(`would remove ${path}`);
    for (const saved of manifest.saved) options.say(`would move ${saved.to} back to ${saved.path}`);
    return true;
  }
  for (const path of order) {
    tree.remove(path);
    options.say(`${path}: removed`);
    const saved = manifest.saved.find((candidate) => candidate.path === path);
    if (saved !== undefined) restore(tree, packages, saved, options);
  }
  for (const saved of manifest.saved) {
    if (!order.includes(saved.path)) restore(tree, packages, saved, options);
  }
  tree.remove(tree.locate(manifestPath));
  for (const directory of manifest.directories.toReversed()) tree.removeEmptyDirectory(directory);
  return true;
}

function presentFiles(tree: Tree, manifest: Manifest, force: boolean): string[] {
  const present: string[] = [];
  const changed: string[] = [];
  for (const path of new Set(manifest.placed.map((placed) => placed.path))) {
    const found = tree.look(path);
    if (found.kind === "nothing") continue;
    const ours = manifest.placed.some((placed) => placed.path === path && isSame(placed.found, found));
    // Cut off before the file was put aside: it is still where its owner left it, and stays.
    const saved = manifest.saved.find((candidate) => candidate.path === path);
    if (!ours && saved !== undefined && !tree.exists(saved.to)) continue;
    if (!ours) changed.push(path);
    if (found.kind !== "other") present.push(path);
  }
  if (changed.length > 0 && !force) {
    const text = `${changed.join(", ")} was changed since it was put in place; look at it, then use --force to delete it`;
    throw new InstallError("CHANGED_SINCE", text);
  }
  return present;
}

function restore(tree: Tree, packages: PackageDatabase, saved: Saved, { say }: UninstallOptions): void {
  if (saved.diverted !== null) packages.endDivert(saved.diverted.from, saved.diverted.to);
  else if (tree.exists(saved.to) && !tree.exists(saved.path)) tree.move(saved.to, saved.path);
  if (tree.exists(saved.path)) say(`${saved.path}: what was there before is back`);
}
