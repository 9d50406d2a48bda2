// The record of what was placed, kept beside it: uninstalling restores exactly that, and nothing that changed since.
// It is written before the first change, so an installation that was cut off can be undone or finished too.
import { InstallError } from "./errors.ts";
import { type Found, type Tree } from "./tree.ts";

export const runtimeDirectory = "/usr/lib/ocfs2-group";
export const manifestPath = `${runtimeDirectory}/manifest.json`;

export interface Placed {
  /** in the tree, links followed */
  path: string;
  found: Found;
}

/** A file of somebody else that was put aside. */
export interface Saved {
  path: string;
  to: string;
  how: "dpkg-divert" | "rename";
  /** the spelling that dpkg knows, where it is a diversion */
  diverted: { from: string; to: string } | null;
  /** the package, or null for a file of nobody's */
  owner: string | null;
}

export interface Manifest {
  format: 1;
  version: string;
  placed: Placed[];
  saved: Saved[];
  /** made by us, the outermost first */
  directories: string[];
}

export function readManifest(tree: Tree): Manifest | null {
  const path = tree.locate(manifestPath);
  if (!tree.exists(path)) return null;
  const broken = (cause?: unknown) =>
    new InstallError(
      "CHANGED_SINCE",
      `${path} cannot be understood; restore it, or remove ${runtimeDirectory} by hand`,
      {
        cause,
      },
    );
  let manifest: Manifest;
  try {
    manifest = JSON.parse(tree.read(path)) as Manifest;
  } catch (error) {
    throw broken(error);
  }
  const lists = [manifest.placed, manifest.saved, manifest.directories];
  if (manifest.format !== 1 || !lists.every((list) => Array.isArray(list))) throw broken();
  return manifest;
}

export function writeManifest(tree: Tree, manifest: Manifest): void {
  const data = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
  tree.place(tree.locate(manifestPath), { kind: "file", data, mode: 0o644 });
}
