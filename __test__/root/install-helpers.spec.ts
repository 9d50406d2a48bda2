// Installing and uninstalling the helpers, below a directory of our own and, where we are root, on the running system seen
// through a mount namespace of our own. The launcher and dpkg are the real ones.
import test, { type ExecutionContext } from "ava";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../ts/helpers-install/command.ts";
import { InstallError } from "../../ts/helpers-install/errors.ts";
import { install } from "../../ts/helpers-install/install.ts";
import { type PackageDatabase, packageDatabase } from "../../ts/helpers-install/packages.ts";
import { findRuntime, helperNames, platformName, wantedFiles } from "../../ts/helpers-install/runtime.ts";
import { Tree } from "../../ts/helpers-install/tree.ts";
import { uninstall } from "../../ts/helpers-install/uninstall.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const launcher = path.join(repository, "target/x86_64-unknown-linux-gnu/launcher/ocfs2-group-launcher");
const has = (tool: string, ...args: string[]) => spawnSync(tool, args).status === 0;

const withDpkg = has("dpkg-divert", "--version") ? test : test.skip;
const dpkgReason = withDpkg === test ? "" : " (needs dpkg)";
const withLauncher = existsSync(launcher) ? test : test.skip;
const launcherReason = withLauncher === test ? "" : " (needs the launcher: npm run build)";
const systemReason = [
  process.geteuid?.() !== 0 && "needs root",
  !existsSync(launcher) && "needs the launcher: npm run build",
  !has("unshare", "--mount", "true") && "needs mount namespaces",
].find((reason) => typeof reason === "string") as string | undefined;
const onSystem = systemReason === undefined ? test : test.skip;

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), "ocfs2-group-install-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function put(file: string, text: string, mode = 0o644): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, mode);
}

/** A package as it lies in node_modules, whose bundles say how they were called. */
function makePackage(directory: string, version = "1.2.3"): string {
  put(path.join(directory, "package.json"), JSON.stringify({ version, engines: { node: ">=20.19" } }));
  for (const name of helperNames) {
    const say = `console.log(JSON.stringify({ version: "${version}", name: "${name}", argv: process.argv.slice(2) }));`;
    put(path.join(directory, "dist/cli", `${name}.cjs`), say);
  }
  const compiled = path.join(directory, "npm", platformName());
  put(path.join(compiled, "package.json"), "{}");
  put(path.join(compiled, `ocfs2-group.${platformName()}.node`), "the module");
  put(path.join(compiled, "launcher"), "the launcher", 0o755);
  if (existsSync(launcher)) copyFileSync(launcher, path.join(compiled, "launcher"));
  return directory;
}

/** A system with dpkg's database, in which ocfs2-tools owns /sbin/mount.ocfs2. */
function makeDebian(directory: string, spelling = "/sbin/mount.ocfs2"): string {
  const dpkg = path.join(directory, "var/lib/dpkg");
  const status =
    "Package: ocfs2-tools\nStatus: install ok installed\nMaintainer: x\nArchitecture: amd64\nVersion: 1\nDescription: x\n";
  put(path.join(dpkg, "status"), status);
  put(path.join(dpkg, "info/format"), "1\n");
  put(path.join(dpkg, "info/ocfs2-tools.list"), `/.\n${path.dirname(spelling)}\n${spelling}\n`);
  mkdirSync(path.join(dpkg, "updates"));
  mkdirSync(path.join(directory, "usr/sbin"), { recursive: true });
  symlinkSync("usr/sbin", path.join(directory, "sbin"));
  put(path.join(directory, "usr/sbin/mount.ocfs2"), "the C tool", 0o755);
  return directory;
}

/** Every path below a directory with what stands there; dpkg's own book-keeping apart. */
function snapshot(directory: string): Record<string, string> {
  const seen: Record<string, string> = {};
  for (const name of readdirSync(directory, { recursive: true }) as string[]) {
    if (name.startsWith("var/lib/dpkg/")) continue;
    const full = path.join(directory, name);
    const stat = lstatSync(full);
    const mode = (stat.mode & 0o7777).toString(8);
    if (stat.isSymbolicLink()) seen[name] = `-> ${readlinkSync(full)}`;
    else
      seen[name] = stat.isDirectory()
        ? `directory ${mode}`
        : `${mode} ${readFileSync(full, "latin1").slice(0, 40)}`;
  }
  return seen;
}

function call(packageRoot: string, ...argv: string[]) {
  const lines = { out: [] as string[], err: [] as string[] };
  const status = run(argv, packageRoot, {
    out: (line) => lines.out.push(line),
    err: (line) => lines.err.push(line),
  });
  return { status, out: lines.out.join("\n"), err: lines.err.join("\n"), errors: lines.err.length };
}

function installedVersion(root: string): string {
  const manifest = readFileSync(path.join(root, "usr/lib/ocfs2-group/package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

function refused(t: ExecutionContext, result: ReturnType<typeof call>, ...needles: string[]): void {
  t.is(result.status, 1, result.out);
  t.is(result.errors, 1, "one sentence");
  for (const needle of needles) t.true(result.err.includes(needle), `${needle} is not in ${result.err}`);
}

withLauncher(
  `an ordinary user installs into an empty directory, and the helpers run there${launcherReason}`,
  (t) => {
    const source = makePackage(scratch(t));
    const root = scratch(t);
    const result = call(source, "install-helpers", "--root", root);
    t.is(result.status, 0, result.err);
    for (const name of helperNames) {
      const env = { ...process.env, NODE_OPTIONS: "--no-such-option" };
      const said = spawnSync(path.join(root, "sbin", name), ["/dev/x", "-o", "rw"], {
        encoding: "utf8",
        env,
      });
      t.deepEqual(
        JSON.parse(said.stdout),
        { version: "1.2.3", name, argv: ["/dev/x", "-o", "rw"] },
        said.stderr,
      );
    }
    t.is(installedVersion(root), "1.2.3");
    const native = `usr/lib/ocfs2-group/native/ocfs2-group.${platformName()}.node`;
    t.is(readFileSync(path.join(root, native), "utf8"), "the module");
    t.is(call(source, "uninstall-helpers", "--root", root).status, 0);
    t.deepEqual(snapshot(root), {});
  },
);

test("the same call again changes nothing and says so", (t) => {
  const source = makePackage(scratch(t));
  const root = scratch(t);
  call(source, "install-helpers", "--root", root);
  const time = () => lstatSync(path.join(root, "usr/lib/ocfs2-group/manifest.json")).mtimeMs;
  const [before, written] = [snapshot(root), time()];
  const result = call(source, "install-helpers", "--root", root);
  t.is(result.out, "The helpers of ocfs2-group 1.2.3 are in place already.");
  t.deepEqual(snapshot(root), before);
  t.is(time(), written);
});

test("/sbin may be a link, and no link leads out of the root", (t) => {
  for (const target of ["usr/sbin", "/usr/sbin", "../../../../../../../usr/sbin", "usr/deep/sbin"]) {
    const source = makePackage(scratch(t));
    const root = scratch(t);
    mkdirSync(path.join(root, "usr/sbin"), { recursive: true });
    symlinkSync(target, path.join(root, "sbin"));
    mkdirSync(path.join(root, "usr/deep"));
    symlinkSync("/usr/sbin", path.join(root, "usr/deep/sbin"));
    const before = snapshot(root);
    const result = call(source, "install-helpers", "--root", root);
    t.is(result.status, 0, result.err);
    t.is(readlinkSync(path.join(root, "usr/sbin/umount.ocfs2")), "../lib/ocfs2-group/launcher");
    t.true(existsSync(path.join(root, "usr/sbin/umount.ocfs2")));
    t.is(call(source, "uninstall-helpers", "--root", root).status, 0);
    t.deepEqual(snapshot(root), before);
  }
  const root = scratch(t);
  symlinkSync("sbin", path.join(root, "sbin"));
  refused(t, call(makePackage(scratch(t)), "install-helpers", "--root", root), "too many links");
});

test("every command that the package has in bin is put into /sbin, but for the installer itself", (t) => {
  const { bin } = JSON.parse(readFileSync(path.join(repository, "package.json"), "utf8")) as {
    bin: Record<string, string>;
  };
  const commands = Object.keys(bin).filter((name) => name !== "ocfs2-group");
  t.deepEqual([...helperNames], commands.toSorted());
  const table = /COMMANDS: \[&str; \d+\] =\s*\[([^\]]*?),?\s*\]/.exec(
    readFileSync(path.join(repository, "crates/launcher/src/main.rs"), "utf8"),
  );
  t.deepEqual(JSON.parse(`[${table?.[1]}]`), commands.toSorted(), "the launcher's own table");
  const source = makePackage(scratch(t));
  const root = scratch(t);
  t.is(call(source, "install-helpers", "--root", root).status, 0);
  t.deepEqual(readdirSync(path.join(root, "sbin")).toSorted(), commands.toSorted());
});

for (const spelling of ["/sbin/mount.ocfs2", "/usr/sbin/mount.ocfs2"]) {
  withDpkg(
    `a package's file registered as ${spelling} is refused by the package's name, or diverted${dpkgReason}`,
    (t) => {
      const source = makePackage(scratch(t));
      const root = makeDebian(scratch(t), spelling);
      const before = snapshot(root);
      refused(
        t,
        call(source, "install-helpers", "--root", root),
        "/sbin/mount.ocfs2",
        "package ocfs2-tools",
        "--divert",
      );
      t.deepEqual(snapshot(root), before, "a refusal changes nothing");

      const result = call(source, "install-helpers", "--root", root, "--divert");
      t.is(result.status, 0, result.err);
      t.is(readFileSync(path.join(root, "usr/sbin/mount.ocfs2.distrib"), "utf8"), "the C tool");
      t.is(readlinkSync(path.join(root, "usr/sbin/mount.ocfs2")), "../lib/ocfs2-group/launcher");
      const truename = ["--admindir", path.join(root, "var/lib/dpkg"), "--truename", spelling];
      t.is(spawnSync("dpkg-divert", truename, { encoding: "utf8" }).stdout.trim(), `${spelling}.distrib`);
      t.is(call(source, "install-helpers", "--root", root).status, 0, "again, without being told to divert");

      t.is(call(source, "uninstall-helpers", "--root", root).status, 0);
      t.deepEqual(snapshot(root), before);
      t.is(spawnSync("dpkg-divert", truename, { encoding: "utf8" }).stdout.trim(), spelling);
    },
  );
}

test("a file of nobody's is refused, or kept under another name and put back", (t) => {
  const source = makePackage(scratch(t));
  const root = scratch(t);
  put(path.join(root, "sbin/umount.ocfs2"), "hand-made", 0o750);
  const before = snapshot(root);
  refused(
    t,
    call(source, "install-helpers", "--root", root),
    "/sbin/umount.ocfs2",
    "does not belong to any package",
  );
  t.deepEqual(snapshot(root), before);
  t.is(call(source, "install-helpers", "--root", root, "--divert").status, 0);
  t.is(readFileSync(path.join(root, "sbin/umount.ocfs2.ocfs2-group-saved"), "utf8"), "hand-made");
  t.is(call(source, "uninstall-helpers", "--root", root).status, 0);
  t.deepEqual(snapshot(root), before);
});

test("what cannot be put aside is refused even with --divert", (t) => {
  const source = makePackage(scratch(t));
  const root = scratch(t);
  mkdirSync(path.join(root, "sbin/mount.ocfs2"), { recursive: true });
  refused(t, call(source, "install-helpers", "--root", root, "--divert"), "neither a file nor a link");
  rmSync(path.join(root, "sbin"), { recursive: true });
  put(path.join(root, "sbin/mount.ocfs2"), "one");
  put(path.join(root, "sbin/mount.ocfs2.ocfs2-group-saved"), "two");
  refused(
    t,
    call(source, "install-helpers", "--root", root, "--divert"),
    "ocfs2-group-saved is there already",
  );
  rmSync(path.join(root, "sbin"), { recursive: true });
  put(path.join(root, "usr/lib/ocfs2-group/launcher"), "somebody's");
  refused(t, call(source, "install-helpers", "--root", root, "--divert"), "/usr/lib/ocfs2-group/launcher");
});

test("uninstalling refuses to delete what was changed since, unless forced", (t) => {
  const source = makePackage(scratch(t));
  const root = scratch(t);
  call(source, "install-helpers", "--root", root);
  put(path.join(root, "usr/lib/ocfs2-group/mount.ocfs2.cjs"), "patched");
  const before = snapshot(root);
  refused(t, call(source, "uninstall-helpers", "--root", root), "mount.ocfs2.cjs", "--force");
  t.deepEqual(snapshot(root), before);
  refused(t, call(source, "install-helpers", "--root", root), "/usr/lib/ocfs2-group/mount.ocfs2.cjs");
  t.is(call(source, "uninstall-helpers", "--root", root, "--force").status, 0);
  t.deepEqual(snapshot(root), {});
  t.regex(call(source, "uninstall-helpers", "--root", root).out, /not installed/);
});

test("a file added by hand stays, with its directory", (t) => {
  const source = makePackage(scratch(t));
  const root = scratch(t);
  call(source, "install-helpers", "--root", root);
  put(path.join(root, "usr/lib/ocfs2-group/notes"), "mine");
  t.is(call(source, "uninstall-helpers", "--root", root).status, 0);
  t.deepEqual(Object.keys(snapshot(root)).toSorted(), [
    "usr",
    "usr/lib",
    "usr/lib/ocfs2-group",
    "usr/lib/ocfs2-group/notes",
  ]);
});

test("a newer version replaces the files and removes those it no longer has", (t) => {
  const [older, newer, root] = [makePackage(scratch(t)), makePackage(scratch(t), "2.0.0"), scratch(t)];
  put(path.join(older, "dist/cli/old.ocfs2.cjs"), "gone in 2.0.0");
  call(older, "install-helpers", "--root", root);
  t.true(existsSync(path.join(root, "usr/lib/ocfs2-group/old.ocfs2.cjs")));
  t.is(call(newer, "install-helpers", "--root", root).status, 0);
  t.false(existsSync(path.join(root, "usr/lib/ocfs2-group/old.ocfs2.cjs")));
  t.is(installedVersion(root), "2.0.0");
  t.is(call(newer, "uninstall-helpers", "--root", root).status, 0);
  t.deepEqual(snapshot(root), {});
});

test("a dry run says what would be done and does nothing", (t) => {
  const source = makePackage(scratch(t));
  const root = scratch(t);
  put(path.join(root, "sbin/mount.ocfs2"), "hand-made");
  const before = snapshot(root);
  const result = call(source, "install-helpers", "--root", root, "--divert", "--dry-run");
  t.regex(
    result.out,
    /would put \/sbin\/mount.ocfs2 in place and keep what is there as \/sbin\/mount.ocfs2.ocfs2-group-saved/,
  );
  t.deepEqual(snapshot(root), before);
  call(source, "install-helpers", "--root", root, "--divert");
  const installed = snapshot(root);
  t.regex(
    call(source, "uninstall-helpers", "--root", root, "--dry-run").out,
    /would remove \/sbin\/mount.ocfs2/,
  );
  t.deepEqual(snapshot(root), installed);
});

test("wrong arguments, an unusable node and an incomplete package are one sentence each", (t) => {
  const source = makePackage(scratch(t));
  const root = scratch(t);
  refused(t, call(source), "no command");
  refused(t, call(source, "instal-helpers"), "no command instal-helpers");
  refused(t, call(source, "install-helpers", "--force", "--root", root), "--force");
  refused(t, call(source, "install-helpers", "--rot", root), "--rot");
  refused(t, call(source, "install-helpers", root), "takes no argument");
  refused(t, call(source, "install-helpers", "--root", path.join(root, "nothing")), "not a directory");
  refused(t, call(source, "install-helpers", "--root", root, "--node", "node"), "not an absolute path");
  rmSync(path.join(source, "dist/cli/umount.ocfs2.cjs"));
  refused(t, call(source, "install-helpers", "--root", root), "umount.ocfs2.cjs is missing");
  rmSync(path.join(source, "npm"), { recursive: true });
  refused(t, call(source, "install-helpers", "--root", root), `ocfs2-group-${platformName()}`);
  put(path.join(root, "usr/lib/ocfs2-group/manifest.json"), "{");
  refused(t, call(source, "uninstall-helpers", "--root", root), "manifest.json");
  t.is(call(source, "--version").out, "ocfs2-group 1.2.3");
  t.regex(call(source, "--help").out, /uninstall-helpers/);
});

test("the node named for an image is linked as it is named", (t) => {
  const root = scratch(t);
  call(makePackage(scratch(t)), "install-helpers", "--root", root, "--node", "/opt/node/bin/node");
  t.is(readlinkSync(path.join(root, "usr/lib/ocfs2-group/node")), "/opt/node/bin/node");
});

/** A tree whose n-th change fails, and each one after it where `dead` says that the process is gone then. */
class FailingTree extends Tree {
  left: number;
  readonly dead: boolean;

  constructor(root: string, n: number, dead: boolean) {
    super(root);
    this.left = n;
    this.dead = dead;
  }

  step(): void {
    this.left -= 1;
    if (this.left === 0 || (this.dead && this.left < 0)) throw new InstallError("TOOL_FAILED", "injected");
  }

  override makeDirectory(inside: string): void {
    this.step();
    super.makeDirectory(inside);
  }
  override place(inside: string, content: Parameters<Tree["place"]>[1]): void {
    this.step();
    super.place(inside, content);
  }
  override move(from: string, to: string): void {
    this.step();
    super.move(from, to);
  }
  override remove(inside: string): void {
    this.step();
    super.remove(inside);
  }
}

for (const dead of [false, true]) {
  const what = dead ? "killed at" : "failing at";
  withDpkg(
    `an installation ${what} any change is undone${dead ? " by uninstalling" : ""}${dpkgReason}`,
    (t) => {
      const source = makePackage(scratch(t));
      const options = { version: "1.2.3", divert: true, dryRun: false, say: () => {} };
      let finished = false;
      for (let n = 1; !finished && n < 100; n++) {
        const root = makeDebian(scratch(t));
        put(path.join(root, "sbin/umount.ocfs2"), "hand-made");
        const before = snapshot(root);
        const tree = new FailingTree(root, n, dead);
        const database = packageDatabase(tree);
        const packages: PackageDatabase = {
          ...database,
          divert: (from, to) => (tree.step(), database.divert(from, to)),
          endDivert: (from, to) => (tree.step(), database.endDivert(from, to)),
        };
        try {
          install(tree, packages, wantedFiles(tree, findRuntime(source), process.execPath), options);
          finished = true;
          t.true(n > 10, "the walk went over every change");
        } catch (error) {
          t.is((error as Error).message, "injected");
          const whole = new Tree(root);
          if (dead) uninstall(whole, packageDatabase(whole), { force: false, dryRun: false, say: () => {} });
          const after = snapshot(root);
          // Directories made before the manifest was written are all that a killed process may leave.
          if (dead)
            for (const name of ["usr/lib", "usr/lib/ocfs2-group", "usr/lib/ocfs2-group/native"])
              delete after[name];
          t.deepEqual(after, before, `change ${n}`);
        }
      }
      t.true(finished);
    },
  );
}

onSystem(
  `mount(8) of the running system calls our helper${systemReason ? ` (${systemReason})` : ""}`,
  (t) => {
    const source = makePackage(scratch(t));
    const layers = scratch(t);
    const script = `set -e
    mount -t tmpfs none "$LAYERS"
    for name in usr var/lib; do
      mkdir -p "$LAYERS/$name/upper" "$LAYERS/$name/work"
      mount -t overlay overlay -o "lowerdir=/$name,upperdir=$LAYERS/$name/upper,workdir=$LAYERS/$name/work" "/$name"
    done
    "$NODE" --import=@oxc-node/core/register "$RUNNER" "$SOURCE" install-helpers --divert >&2
    mkdir "$LAYERS/target"
    NODE_OPTIONS=--no-such-option LD_PRELOAD=/nowhere.so mount -t ocfs2 /dev/null "$LAYERS/target" -o ro,noatime
    "$NODE" --import=@oxc-node/core/register "$RUNNER" "$SOURCE" uninstall-helpers >&2
    test ! -e /usr/lib/ocfs2-group
    cat /sbin/mount.ocfs2 2>/dev/null | sha256sum`;
    const runner = path.join(repository, "__test__/root/install-helpers.runner.ts");
    const env = { ...process.env, LAYERS: layers, NODE: process.execPath, RUNNER: runner, SOURCE: source };
    const sum = () =>
      spawnSync("sh", ["-c", "cat /sbin/mount.ocfs2 2>/dev/null | sha256sum"], { encoding: "utf8" }).stdout;
    const before = [sum(), existsSync("/usr/lib/ocfs2-group")] as const;
    const result = spawnSync("unshare", ["--mount", "--propagation", "private", "sh", "-c", script], {
      encoding: "utf8",
      env,
      cwd: repository,
    });
    t.is(result.status, 0, result.stderr);
    const [called, restored] = result.stdout.split("\n") as [string, string];
    t.like(JSON.parse(called), { name: "mount.ocfs2", version: "1.2.3" });
    t.deepEqual(JSON.parse(called).argv.slice(0, 3), ["/dev/null", path.join(layers, "target"), "-o"]);
    t.is(`${restored}\n`, before[0], "the file that was there before is back");
    t.deepEqual(
      [sum(), existsSync("/usr/lib/ocfs2-group")] as const,
      before,
      "the system outside the namespace is untouched",
    );
  },
);
