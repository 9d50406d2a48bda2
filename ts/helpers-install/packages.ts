// Which package of the distribution owns a file, and how its file is put aside so that the package manager knows.
//
// Facts relied on: `dpkg-query -S PATH` compares names and does not follow links, so where /sbin is a link to usr/sbin a
// file can be registered under either spelling; it prints `package[:arch], …: path`, and for diversions lines that
// begin with `diversion by` or `local diversion`. dpkg-divert keeps a local diversion over upgrades of the package. rpm has
// nothing like it. (dpkg-query(1), dpkg-divert(1), rpm(8).)
import { spawnSync } from "node:child_process";
import { InstallError } from "./errors.ts";
import type { Tree } from "./tree.ts";

/** A package's claim to a path, under the spelling its database uses. */
export interface Owner {
  package: string;
  manager: "dpkg" | "rpm";
  path: string;
}

export interface PackageDatabase {
  /** The owner of a file that the system knows under one of these spellings of one path. */
  ownerOf(spellings: readonly string[]): Owner | null;
  /** Moves the package's file aside, now and whenever the package brings it again. */
  divert(from: string, to: string): void;
  /** Ends the diversion and moves the file back; nothing where there is none. */
  endDivert(from: string, to: string): void;
}

/** The databases of the system below the tree's root, each used only where it is there. */
export function packageDatabase(tree: Tree): PackageDatabase {
  const hasDpkg = tree.exists("/var/lib/dpkg/status");
  const hasRpm = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"].some((directory) => tree.exists(directory));
  // No options for `/`: every version of the tools agrees on the defaults.
  const dpkgRoot = tree.isSystem ? [] : ["--admindir", tree.outside("/var/lib/dpkg")];
  const divertRoot = tree.isSystem ? [] : [...dpkgRoot, "--instdir", tree.root];
  const rpmRoot = tree.isSystem ? [] : ["--root", tree.root];

  function dpkgOwner(path: string): Owner | null {
    const found = query("dpkg-query", [...dpkgRoot, "-S", path]);
    for (const line of found?.split("\n") ?? []) {
      if (/^(local diversion|diversion by) /.test(line) || !line.endsWith(`: ${path}`)) continue;
      const names = line.slice(0, -`: ${path}`.length);
      return { package: names.replaceAll(/:[a-z0-9-]+/g, ""), manager: "dpkg", path };
    }
    return null;
  }

  function rpmOwner(path: string): Owner | null {
    const name = query("rpm", [...rpmRoot, "-qf", "--queryformat", "%{NAME}\n", path])?.split("\n")[0];
    return name === undefined || name === "" ? null : { package: name, manager: "rpm", path };
  }

  return {
    ownerOf(spellings) {
      for (const path of spellings) {
        const owner = (hasDpkg ? dpkgOwner(path) : null) ?? (hasRpm ? rpmOwner(path) : null);
        if (owner !== null) return owner;
      }
      return null;
    },
    divert(from, to) {
      act("dpkg-divert", [...divertRoot, "--local", "--rename", "--divert", to, "--add", from]);
    },
    endDivert(from, to) {
      if (query("dpkg-divert", [...divertRoot, "--truename", from])?.trim() !== to) return;
      act("dpkg-divert", [...divertRoot, "--local", "--rename", "--divert", to, "--remove", from]);
    },
  };
}

/** Standard output, or null where the tool is missing or found nothing. */
function query(tool: string, args: readonly string[]): string | null {
  const { status, stdout } = spawnSync(tool, args, {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
  });
  return status === 0 ? stdout : null;
}

function act(tool: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(tool, args, {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
  });
  if (status === 0) return;
  const why = error?.message ?? stderr.trim().replaceAll("\n", " ");
  throw new InstallError(
    "TOOL_FAILED",
    `${tool} refused (${why}); nothing was put in place of ${args.at(-1)}`,
  );
}
