// Puts the helpers in place: everything is looked at first, and refused before the first change; then one rename per file.
//
// Rules: what another package or person put there is never overwritten, only put aside where that is asked for; the
// same call again changes nothing; one that was cut off is finished by the next, or undone by uninstalling.
import type { Manifest, Placed, Saved } from "./manifest.ts";
import { manifestPath, readManifest, writeManifest } from "./manifest.ts";
import { InstallError } from "./errors.ts";
import type { PackageDatabase } from "./packages.ts";
import type { Wanted } from "./runtime.ts";
import { type Found, type Tree, describe, isSame } from "./tree.ts";
import { uninstall } from "./uninstall.ts";

export interface InstallOptions {
  version: string;
  /** put what stands in the way aside */
  divert: boolean;
  /** say what would be done */
  dryRun: boolean;
  /** one line for each change */
  say: (line: string) => void;
}

interface Plan {
  write: Wanted[];
  save: Saved[];
  /** from an earlier version, not wanted any more */
  obsolete: string[];
}

/** Places `wanted` in the tree; returns the number of changes. */
export function install(
  tree: Tree,
  packages: PackageDatabase,
  wanted: readonly Wanted[],
  options: InstallOptions,
): number {
  const earlier = readManifest(tree);
  const plan = look(tree, packages, wanted, earlier, options);
  const changes = plan.write.length + plan.obsolete.length;
  if (options.dryRun) {
    for (const line of sentences(plan)) options.say(`would ${line}`);
    return changes;
  }
  const placed = wanted.map(({ path, content }): Placed => ({ path, found: describe(content) }));
  const paths = [...wanted.map((one) => one.path), tree.locate(manifestPath)];
  const directories = [...new Set(paths.flatMap((path) => tree.missingDirectories(path)))];
  const manifest: Manifest = {
    format: 1,
    version: options.version,
    placed,
    saved: [...(earlier?.saved ?? []), ...plan.save],
    directories: [...new Set([...(earlier?.directories ?? []), ...directories])],
  };
  if (changes === 0 && earlier?.version === options.version) return 0;
  try {
    for (const directory of directories) tree.makeDirectory(directory);
    // Until the end, a file may be the earlier version's or the new one's.
    writeManifest(tree, { ...manifest, placed: [...placed, ...(earlier?.placed ?? [])] });
    carryOut(tree, packages, plan, options);
    writeManifest(tree, manifest);
  } catch (error) {
    if (earlier === null) undo(tree, packages, directories);
    throw error;
  }
  return changes;
}

function look(
  tree: Tree,
  packages: PackageDatabase,
  wanted: readonly Wanted[],
  earlier: Manifest | null,
  options: InstallOptions,
): Plan {
  const plan: Plan = { write: [], save: [], obsolete: [] };
  for (const one of wanted) {
    const found = tree.look(one.path);
    if (isSame(found, describe(one.content))) continue;
    plan.write.push(one);
    if (found.kind === "nothing" || isOurs(earlier, one.path, found)) continue;
    plan.save.push(makeRoom(tree, packages, one, found, earlier, options));
  }
  const paths = new Set(wanted.map((one) => one.path));
  for (const path of new Set((earlier?.placed ?? []).map((placed) => placed.path))) {
    if (!paths.has(path) && isOurs(earlier, path, tree.look(path))) plan.obsolete.push(path);
  }
  return plan;
}

export function isOurs(manifest: Manifest | null, path: string, found: Found): boolean {
  return (manifest?.placed ?? []).some((placed) => placed.path === path && isSame(placed.found, found));
}

/** How a file that is not ours is put aside; refuses where it may not be. */
function makeRoom(
  tree: Tree,
  packages: PackageDatabase,
  one: Wanted,
  found: Found,
  earlier: Manifest | null,
  options: InstallOptions,
): Saved {
  if (found.kind === "other") {
    throw new InstallError("FOREIGN_FILE", `${one.name} is neither a file nor a link; move it away first`);
  }
  if ((earlier?.saved ?? []).some((saved) => saved.path === one.path)) {
    throw new InstallError(
      "CHANGED_SINCE",
      `${one.name} was changed since it was put in place; move it away first`,
    );
  }
  const owner = packages.ownerOf([...new Set([one.name, one.path])]);
  const whose = owner === null ? "does not belong to any package" : `belongs to the package ${owner.package}`;
  if (!one.isHelper || !options.divert) {
    const remedy = one.isHelper ? "--divert puts it aside" : "move it away first";
    const code = owner === null ? "FOREIGN_FILE" : "OWNED_BY_PACKAGE";
    throw new InstallError(code, `${one.name} is there already and ${whose}; ${remedy}`);
  }
  const to = `${one.path}${owner?.manager === "dpkg" ? ".distrib" : ".ocfs2-group-saved"}`;
  if (tree.exists(to)) throw new InstallError("FOREIGN_FILE", `${to} is there already; move it away first`);
  return {
    path: one.path,
    to,
    how: owner?.manager === "dpkg" ? "dpkg-divert" : "rename",
    diverted: owner?.manager === "dpkg" ? { from: owner.path, to: `${owner.path}.distrib` } : null,
    owner: owner?.package ?? null,
  };
}

function sentences(plan: Plan): string[] {
  return [
    ...plan.write.map((one) => {
      const saved = plan.save.find((candidate) => candidate.path === one.path);
      return `put ${one.name} in place${saved === undefined ? "" : ` and keep what is there as ${saved.to}`}`;
    }),
    ...plan.obsolete.map((path) => `remove ${path}`),
  ];
}

function carryOut(tree: Tree, packages: PackageDatabase, plan: Plan, { say }: InstallOptions): void {
  for (const one of plan.write) {
    const saved = plan.save.find((candidate) => candidate.path === one.path);
    if (saved?.diverted) packages.divert(saved.diverted.from, saved.diverted.to);
    else if (saved !== undefined) tree.move(saved.path, saved.to);
    if (saved !== undefined) say(`${one.name}: what was there is now ${saved.to}`);
    tree.place(one.path, one.content);
    say(`${one.name}: put in place`);
  }
  for (const path of plan.obsolete) {
    tree.remove(path);
    say(`${path}: removed, it is not needed any more`);
  }
}

/** Best effort: the failure that led here is the one to report. */
function undo(tree: Tree, packages: PackageDatabase, directories: readonly string[]): void {
  try {
    uninstall(tree, packages, { force: false, dryRun: false, say: () => {} });
    for (const directory of directories.toReversed()) tree.removeEmptyDirectory(directory);
  } catch {
    // The manifest is still there: uninstalling later finds what is left.
  }
}
