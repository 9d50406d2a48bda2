// What is placed: the launcher, the bundles, the native module, the link to node; found in the installed package, or in a
// clone after `npm run build`.
//
// Facts relied on: the launcher looks for `node` and `NAME.cjs` beside itself (crates/launcher). The bundle looks for the
// native module in `native/` of the nearest directory with a package.json (ts/native.ts), so there is one: without it the
// search would go on to directories that root does not control. The link in /sbin is relative, to hold in an image too.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import { codeCacheOf } from "./code-cache.ts";
import { InstallError } from "./errors.ts";
import { runtimeDirectory } from "./manifest.ts";
import type { Content, Tree } from "./tree.ts";

/**
 * What stands in /sbin: the helpers that mount(8) and umount(8) look for there, the program at the kernel's default hb_ctl_path,
 * and o2cb where people have it. The launcher's own table says the same.
 */
export const helperNames = [
  "mount.ocfs2",
  "mounted.ocfs2",
  "o2cb",
  "ocfs2_controld",
  "ocfs2_hb_ctl",
  "tunefs.ocfs2",
  "umount.ocfs2",
] as const;

export interface Wanted {
  /** as people name it */
  name: string;
  /** in the tree, links followed */
  path: string;
  content: Content;
  /** at a place where another package's file may stand: in /sbin, or a unit */
  isHelper: boolean;
}

export interface Runtime {
  version: string;
  launcher: string;
  addon: string;
  bundles: string[];
}

/** The name of this machine's package of compiled files, `linux-x64-gnu`. */
export function platformName(): string {
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  return `linux-${process.arch}-${header.glibcVersionRuntime === undefined ? "musl" : "gnu"}`;
}

/** The files to place, from the directory that holds this package's package.json. */
export function findRuntime(packageRoot: string, platform = platformName()): Runtime {
  const { version } = JSON.parse(readFileSync(path.join(packageRoot, "package.json"), "utf8")) as {
    version: string;
  };
  const compiled = platformDirectory(packageRoot, platform);
  const cli = path.join(packageRoot, "dist/cli");
  const bundles = existsSync(cli) ? readdirSync(cli).filter((name) => name.endsWith(".cjs")) : [];
  const runtime = {
    version,
    launcher: path.join(compiled, "launcher"),
    addon: path.join(compiled, `ocfs2-group.${platform}.node`),
    bundles: bundles.map((name) => path.join(cli, name)),
  };
  const needed = [
    runtime.launcher,
    runtime.addon,
    ...helperNames.map((name) => path.join(cli, `${name}.cjs`)),
  ];
  const missing = needed.filter((file) => !existsSync(file));
  if (missing.length === 0) return runtime;
  throw new InstallError(
    "INCOMPLETE_PACKAGE",
    `${missing.join(", ")} is missing; install ocfs2-group again, or in a clone run npm run build`,
  );
}

function platformDirectory(packageRoot: string, platform: string): string {
  const built = path.join(packageRoot, "npm", platform);
  if (existsSync(path.join(built, "package.json"))) return built;
  const name = `ocfs2-group-${platform}`;
  // As node itself looks for a package, from the real path, so that the layouts of all package managers are found.
  for (let at = realpathSync(packageRoot); ; at = path.dirname(at)) {
    const directory = path.join(at, "node_modules", name);
    if (existsSync(path.join(directory, "package.json"))) return directory;
    if (at === "/") break;
  }
  throw new InstallError(
    "INCOMPLETE_PACKAGE",
    `the package ${name} with the compiled files is not installed; install ocfs2-group without --omit=optional`,
  );
}

export function wantedFiles(tree: Tree, runtime: Runtime, node: string): Wanted[] {
  const file = (name: string, data: Uint8Array, mode: number): Wanted => {
    const full = `${runtimeDirectory}/${name}`;
    return { name: full, path: tree.locate(full), content: { kind: "file", data, mode }, isHelper: false };
  };
  const manifest = { name: "ocfs2-group", version: runtime.version, private: true };
  const nodeLink = `${runtimeDirectory}/node`;
  const launcher = file("launcher", readFileSync(runtime.launcher), 0o755);
  const helpers = helperNames.map((name): Wanted => {
    const located = tree.locate(`/sbin/${name}`);
    const target = path.relative(path.dirname(located), launcher.path);
    return { name: `/sbin/${name}`, path: located, content: { kind: "link", target }, isHelper: true };
  });
  // In an image the node named need not run here, so there the commands do without.
  const caches = tree.isSystem
    ? helperNames.flatMap((name): Wanted[] => {
        const bundle = runtime.bundles.find((one) => path.basename(one) === `${name}.cjs`);
        const locate = (cache: string): string => tree.locate(`${runtimeDirectory}/${cache}`);
        const cache = bundle === undefined ? null : codeCacheOf(bundle, node, locate);
        return cache === null ? [] : [file(cache.name, cache.data, 0o644)];
      })
    : [];
  return [
    file(`native/${path.basename(runtime.addon)}`, readFileSync(runtime.addon), 0o644),
    file("package.json", Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`), 0o644),
    ...runtime.bundles.map((bundle) => file(path.basename(bundle), readFileSync(bundle), 0o644)),
    ...caches,
    { name: nodeLink, path: tree.locate(nodeLink), content: { kind: "link", target: node }, isHelper: false },
    launcher,
    ...helpers,
  ];
}

/**
 * The node that the helpers will use, as an absolute path of the tree's system. One named for an image need not exist
 * here; in the running system it is asked for its version.
 */
export function chooseNode(tree: Tree, named: string | undefined, minimum: string): string {
  if (named !== undefined && !path.isAbsolute(named)) {
    throw new InstallError("BAD_ARGUMENT", `--node ${named} is not an absolute path`);
  }
  if (named !== undefined && !tree.isSystem) return path.normalize(named);
  let node: string;
  try {
    node = realpathSync(named ?? process.execPath);
  } catch (error) {
    throw new InstallError("NODE_UNUSABLE", `${named} is not there; name another with --node`, {
      cause: error,
    });
  }
  const said = spawnSync(node, ["--version"], {
    encoding: "utf8",
    env: { PATH: "/usr/bin:/bin" },
    timeout: 30_000,
  });
  const version = /^v(\d+)\.(\d+)\./
    .exec(said.stdout ?? "")
    ?.slice(1)
    .map(Number) as [number, number] | undefined;
  if (said.status !== 0 || version === undefined) {
    throw new InstallError("NODE_UNUSABLE", `${node} does not say its version; name another with --node`);
  }
  const [major, minor] = minimum.split(".").map(Number) as [number, number];
  if (version[0] < major || (version[0] === major && version[1] < minor)) {
    const text = `${node} is version ${said.stdout.trim()}, at least ${minimum} is needed; name another with --node`;
    throw new InstallError("NODE_UNUSABLE", text);
  }
  return node;
}

/** The first of a file and the directories above it that somebody other than root can change, or null. */
export function changeableByOthers(file: string): string | null {
  for (let at = file; ; at = path.dirname(at)) {
    const { uid, mode } = statSync(at);
    // In a directory with the sticky bit nobody can replace what is another's.
    const open = (mode & 0o022) !== 0 && (mode & 0o1000) === 0;
    if (uid !== 0 || open) return at;
    if (at === "/") return null;
  }
}
