// `ocfs2-group install-helpers` and `uninstall-helpers`: arguments to actions, results to sentences and a status.
// It writes through the functions it is given: the streams belong to bin/ocfs2-group.js.
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { InstallError } from "./errors.ts";
import { install } from "./install.ts";
import { readManifest } from "./manifest.ts";
import { packageDatabase } from "./packages.ts";
import { changeableByOthers, chooseNode, findRuntime, wantedFiles } from "./runtime.ts";
import { Tree } from "./tree.ts";
import { uninstall } from "./uninstall.ts";
import { hasUnits, runningSystemd, unitsAdvice, wantedUnits } from "./units.ts";

export interface Output {
  out: (line: string) => void;
  err: (line: string) => void;
}

export const usage = `Usage: ocfs2-group install-helpers [--root DIR] [--divert] [--units] [--node PATH] [--dry-run]
       ocfs2-group uninstall-helpers [--root DIR] [--force] [--dry-run]
       ocfs2-group --version

install-helpers copies what mount(8), umount(8) and the kernel need for ocfs2 to /usr/lib/ocfs2-group and links
/sbin/mount.ocfs2, umount.ocfs2, mounted.ocfs2, tunefs.ocfs2, ocfs2_hb_ctl, ocfs2_controld and o2cb to it; uninstall-helpers restores what was
there before.

  --root DIR    work in the system below DIR instead of the running one
  --divert      put files of other packages that stand in the way aside (dpkg-divert where there is dpkg)
  --units       place the systemd units o2cb.service, o2cb-monitor.service, o2cb-reconcile.timer and ocfs2-controld.service too; once
                placed they are kept up to date without it
  --node PATH   the node that the helpers use, by default the one that runs this command
  --force       delete what was changed since it was put in place, too
  --dry-run     say what would be done, and do nothing`;

const options = {
  root: { type: "string" },
  divert: { type: "boolean" },
  units: { type: "boolean" },
  node: { type: "string" },
  force: { type: "boolean" },
  "dry-run": { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "V" },
} as const;

type Values = ReturnType<typeof parse>["values"];

const allowed: Record<string, readonly string[]> = {
  "install-helpers": ["root", "divert", "units", "node", "dry-run"],
  "uninstall-helpers": ["root", "force", "dry-run"],
};

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    throw new InstallError("BAD_ARGUMENT", `${(error as Error).message}; --help lists the options`, {
      cause: error,
    });
  }
}

/** Runs the command; `packageRoot` is the directory of this package's package.json. Returns the exit status. */
export function run(argv: readonly string[], packageRoot: string, output: Output): number {
  try {
    const { values, positionals } = parse(argv);
    if (values.help === true) {
      output.out(usage);
      return 0;
    }
    if (values.version === true) {
      output.out(`ocfs2-group ${packageFacts(packageRoot).version}`);
      return 0;
    }
    const [command = "", ...rest] = positionals;
    checkArguments(command, rest, values);
    const tree = openTree(values);
    if (command === "install-helpers") runInstall(tree, packageRoot, values, output);
    else runUninstall(tree, values, output);
    return 0;
  } catch (error) {
    if (error instanceof InstallError) output.err(`ocfs2-group: ${error.message}`);
    else if (typeof (error as NodeJS.ErrnoException).syscall === "string")
      output.err(`ocfs2-group: ${(error as Error).message}`);
    else throw error;
    return 1;
  }
}

function checkArguments(command: string, rest: readonly string[], values: Values): void {
  const known = allowed[command];
  if (known === undefined) {
    const what = command === "" ? "no command was given" : `there is no command ${command}`;
    throw new InstallError("BAD_ARGUMENT", `${what}: use install-helpers or uninstall-helpers, or --help`);
  }
  const wrong = Object.keys(values).find((name) => !known.includes(name));
  if (wrong !== undefined) throw new InstallError("BAD_ARGUMENT", `${command} has no option --${wrong}`);
  if (rest.length > 0) throw new InstallError("BAD_ARGUMENT", `${command} takes no argument ${rest[0]}`);
}

function openTree(values: Values): Tree {
  const tree = new Tree(values.root ?? "/");
  if (!existsSync(tree.root) || !statSync(tree.root).isDirectory()) {
    throw new InstallError("BAD_ARGUMENT", `--root ${values.root} is not a directory`);
  }
  if (tree.isSystem && process.geteuid?.() !== 0 && values["dry-run"] !== true) {
    throw new InstallError(
      "NOT_PERMITTED",
      "only root may change the system's helpers; run it as root, or use --root",
    );
  }
  return tree;
}

function runInstall(tree: Tree, packageRoot: string, values: Values, output: Output): void {
  const runtime = findRuntime(packageRoot);
  const node = chooseNode(tree, values.node, packageFacts(packageRoot).minimumNode);
  const exposed = tree.isSystem ? changeableByOthers(node) : null;
  if (exposed !== null) {
    output.err(
      `ocfs2-group: warning: root will run ${node} at each mount, and others than root can change ${exposed}`,
    );
  }
  const hadUnits = hasUnits(readManifest(tree));
  const withUnits = values.units === true || hadUnits;
  const wanted = [...wantedFiles(tree, runtime, node), ...(withUnits ? wantedUnits(tree, packageRoot) : [])];
  const dryRun = values["dry-run"] ?? false;
  const changes = install(tree, packageDatabase(tree), wanted, {
    version: runtime.version,
    divert: values.divert ?? false,
    dryRun,
    say: output.out,
  });
  if (changes === 0) {
    output.out(`The helpers of ocfs2-group ${runtime.version} are in place already.`);
  } else if (!dryRun) {
    const where = tree.isSystem ? "" : ` of the system below ${tree.root}`;
    output.out(`mount(8) and umount(8)${where} now use ocfs2-group ${runtime.version} with ${node}.`);
    if (withUnits) warn(runningSystemd(tree)?.reload(), output);
    if (withUnits && !hadUnits) for (const line of unitsAdvice(tree)) output.out(line);
  }
}

function runUninstall(tree: Tree, values: Values, output: Output): void {
  const dryRun = values["dry-run"] ?? false;
  if (tree.isSystem && mountsOcfs2()) {
    output.err(
      "ocfs2-group: warning: OCFS2 volumes are mounted; unmount them while the helpers that mounted them are there",
    );
  }
  const packages = packageDatabase(tree);
  const force = values.force ?? false;
  const systemd = hasUnits(readManifest(tree)) && !dryRun ? runningSystemd(tree) : null;
  if (systemd !== null) {
    // What would be refused is refused before anything ends.
    uninstall(tree, packages, { force, dryRun: true, say: () => {} });
    warn(systemd.retire(), output);
  }
  const found = uninstall(tree, packages, { force, dryRun, say: output.out });
  warn(systemd?.reload(), output);
  if (!found) output.out("The helpers are not installed; nothing is changed.");
}

function warn(problems: readonly string[] | undefined, output: Output): void {
  for (const problem of problems ?? []) output.err(`ocfs2-group: warning: ${problem}`);
}

function mountsOcfs2(): boolean {
  return existsSync("/proc/self/mounts") && / ocfs2 /.test(readFileSync("/proc/self/mounts", "utf8"));
}

function packageFacts(packageRoot: string): { version: string; minimumNode: string } {
  const facts = JSON.parse(readFileSync(path.join(packageRoot, "package.json"), "utf8")) as {
    version: string;
    engines: { node: string };
  };
  return { version: facts.version, minimumNode: facts.engines.node.replace(/^>=/, "") };
}
