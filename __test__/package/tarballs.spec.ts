// The packages as they are published, installed in an empty project without a network, without cargo, without install
// scripts: the library, its types, the commands, and the helpers installed from there.
import test, { type ExecutionContext } from "ava";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const { version } = JSON.parse(readFileSync(path.join(repository, "package.json"), "utf8")) as {
  version: string;
};
const platform = "ocfs2-group-linux-x64-gnu";
const helpers = [
  "mount.ocfs2",
  "mounted.ocfs2",
  "o2cb",
  "ocfs2_controld",
  "ocfs2_hb_ctl",
  "tunefs.ocfs2",
  "umount.ocfs2",
];

const scratch = mkdtempSync(path.join(tmpdir(), "ocfs2-group-package-"));
const project = path.join(scratch, "project");
const installed = path.join(project, "node_modules/ocfs2-group");
const cargoCalls = path.join(scratch, "cargo-calls");

/** A machine of somebody who only has node: a registry that does not answer, an empty cache, a cargo that tells. */
const env: NodeJS.ProcessEnv = {
  PATH: [path.join(scratch, "bin"), path.dirname(process.execPath), "/usr/bin", "/bin"].join(":"),
  HOME: path.join(scratch, "home"),
  npm_config_cache: path.join(scratch, "cache"),
  npm_config_registry: "http://127.0.0.1:9/",
  npm_config_update_notifier: "false",
  TMPDIR: scratch,
};

function run(program: string, args: readonly string[], more: NodeJS.ProcessEnv = {}, cwd = project) {
  return spawnSync(program, args, { cwd, encoding: "utf8", env: { ...env, ...more } });
}

function put(name: string, text: string): void {
  writeFileSync(path.join(project, name), text);
}

test.before("both tarballs are packed and installed", (t) => {
  t.timeout(300_000);
  for (const directory of ["bin", "home", "cache", "project", "tarballs"])
    mkdirSync(path.join(scratch, directory));
  writeFileSync(path.join(scratch, "bin/cargo"), `#!/bin/sh\necho "$*" >>'${cargoCalls}'\nexit 1\n`);
  chmodSync(path.join(scratch, "bin/cargo"), 0o755);
  const to = path.join(scratch, "tarballs");
  const packed = spawnSync(process.execPath, ["scripts/pack.mjs", "--to", to], {
    cwd: repository,
    encoding: "utf8",
  });
  t.is(packed.status, 0, packed.stdout + packed.stderr);
  t.deepEqual(readdirSync(to).toSorted(), [`ocfs2-group-${version}.tgz`, `${platform}-${version}.tgz`]);
  put("package.json", '{ "name": "consumer", "private": true }');
  const tarballs = readdirSync(to).map((name) => path.join(to, name));
  const npm = run("npm", [
    "install",
    "--offline",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    ...tarballs,
  ]);
  t.is(npm.status, 0, npm.stderr);
});

test.after.always(() => rmSync(scratch, { recursive: true, force: true }));

test.serial("the packages hold what they need and no install script, no dependency, no source", (t) => {
  const main = JSON.parse(readFileSync(path.join(installed, "package.json"), "utf8")) as Record<
    string,
    unknown
  >;
  t.deepEqual(main["optionalDependencies"], { [platform]: version });
  for (const field of ["dependencies", "devDependencies", "scripts"]) t.is(main[field], undefined, field);
  const top = readdirSync(installed).toSorted();
  t.deepEqual(top, ["CHANGELOG.md", "LICENSE", "README.md", "bin", "dist", "package.json", "systemd"]);
  const compiled = path.join(project, "node_modules", platform);
  const files = readdirSync(compiled).toSorted();
  t.deepEqual(files, ["LICENSE", "README.md", "launcher", "ocfs2-group.linux-x64-gnu.node", "package.json"]);
  const manifest = JSON.parse(readFileSync(path.join(compiled, "package.json"), "utf8")) as Record<
    string,
    unknown
  >;
  t.like(manifest, { os: ["linux"], cpu: ["x64"], libc: ["glibc"], version });
  t.is(manifest["scripts"], undefined);
  const everything = readdirSync(installed, { recursive: true }) as string[];
  t.deepEqual(
    everything.filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts")),
    [],
  );
  for (const name of everything.filter((each) => /\.(c?js|d\.ts)$/.test(each))) {
    t.false(
      readFileSync(path.join(installed, name), "utf8").includes(repository),
      `${name} names the build's directory`,
    );
  }
});

/** Resident memory of a program, in kB, when it has written its first line; it is then told to end, and its status returned. */
async function residentOf(
  program: string,
  args: readonly string[],
): Promise<{ kb: number; status: number | null }> {
  const child = spawn(program, args, { env, cwd: "/", stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  await Promise.race([new Promise((resolve) => child.stdout.once("data", resolve)), ended]);
  const text = child.exitCode === null ? readFileSync(`/proc/${child.pid}/status`, "utf8") : "";
  child.kill("SIGTERM");
  return { kb: Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]), status: await ended };
}

/** What an idle monitor takes beyond node itself: 5 MB were measured, with what the launcher tells V8. */
async function monitorIsSmall(t: ExecutionContext, o2cb: string): Promise<void> {
  const plain = await residentOf(process.execPath, ["-e", "console.log(1); setInterval(() => {}, 1e9)"]);
  const monitor = await residentOf(o2cb, ["monitor", "--json", "--no-reap"]);
  t.is(monitor.status, 0, "SIGTERM is its normal end");
  t.true(monitor.kb < plain.kb + 8192, `${monitor.kb} kB, and node itself ${plain.kb} kB`);
}

const use = `
  if (typeof library.openVolume !== "function" || typeof library.mountVolume !== "function") throw new Error("no library");
  const code = await library.openVolume("/dev/null").then(() => "none", (error) => error.code);
  console.log(code);`;

test.serial("import loads the library, and the native module answers", (t) => {
  put("use.mjs", `import * as library from "ocfs2-group";${use}`);
  const { stdout, stderr, status } = run(process.execPath, ["use.mjs"]);
  t.is(status, 0, stderr);
  t.regex(stdout, /^O2CB_[A-Z_]+\n$/);
});

test.serial("require loads it too, without a warning", (t) => {
  put("use.cjs", `const library = require("ocfs2-group"); (async () => {${use}})();`);
  const { stdout, stderr, status } = run(process.execPath, ["use.cjs"]);
  t.is(status, 0, stderr);
  t.regex(stdout, /^O2CB_[A-Z_]+\n$/);
  t.is(stderr, "");
});

for (const [file, module, how] of [
  ["typed.mts", "node16", 'import { type Volume, O2cbError, mountVolume, openVolume } from "ocfs2-group";'],
  [
    "typed.cts",
    "nodenext",
    'import library = require("ocfs2-group");\nimport type { Volume } from "ocfs2-group" with { "resolution-mode": "import" };\nconst { O2cbError, mountVolume, openVolume } = library;',
  ],
] as const) {
  test.serial(`the types hold in ${file} with ${module} resolution, and refuse what is wrong`, (t) => {
    t.timeout(120_000);
    const directory = path.join(project, "types");
    mkdirSync(path.join(directory, module), { recursive: true });
    const types = path.join(project, "node_modules/@types");
    if (!existsSync(types)) symlinkSync(path.join(repository, "node_modules/@types"), types);
    put(
      `types/${module}/${file}`,
      `${how}
export async function label(device: string): Promise<string> {
  const volume: Volume = await openVolume(device);
  return volume.label;
}
export const code = (error: unknown): string => (error instanceof O2cbError ? error.code : "none");
export const mount = mountVolume({ device: "/dev/null", directory: "/mnt", signal: AbortSignal.timeout(1) });
// @ts-expect-error a device is a path
void openVolume(7);
`,
    );
    const options = {
      module,
      moduleResolution: module,
      target: "es2022",
      strict: true,
      noEmit: true,
      types: ["node"],
    };
    put(`types/${module}/tsconfig.json`, JSON.stringify({ compilerOptions: options, files: [file] }));
    const tsc = path.join(repository, "node_modules/typescript/bin/tsc");
    const { stdout, status } = run(process.execPath, [tsc, "-p", path.join(directory, module)]);
    t.is(status, 0, stdout);
  });
}

test.serial("npx runs the commands", (t) => {
  for (const name of [...helpers, "ocfs2-group"]) {
    const { stdout, stderr, status } = run("npx", ["--offline", "--no", "--", name, "--version"]);
    t.is(status, 0, stderr);
    t.true(stdout.includes(version) && stdout.includes("ocfs2-group"), `${name}: ${stdout}`);
  }
});

test.serial(
  "the helpers are installed from the package below a directory, and run there in a spoilt environment",
  async (t) => {
    const root = path.join(scratch, "root");
    mkdirSync(root);
    const install = run("npx", ["--offline", "--no", "--", "ocfs2-group", "install-helpers", "--root", root]);
    t.is(install.status, 0, install.stderr);
    for (const name of helpers) {
      const helper = path.join(root, "sbin", name);
      const spoilt = {
        NODE_OPTIONS: "--no-such-option",
        LD_LIBRARY_PATH: "/nowhere",
        OPENSSL_CONF: "/nowhere",
      };
      const said = run(helper, ["--version"], spoilt, "/");
      t.is(said.status, 0, said.stderr);
      t.true(said.stdout.includes(version), said.stdout);
      // The daemon needs no word to start with, and has statuses of its own.
      const isDaemon = name === "ocfs2_controld";
      const wrong = run(helper, isDaemon ? ["--no-such-option"] : [], spoilt, "/");
      t.is(wrong.status, isDaemon ? 2 : 1, "mount(8)'s status for wrong usage, and that of the others");
      t.is(wrong.stdout, "");
      t.is(wrong.stderr.trim().split("\n").length, 1, wrong.stderr);
    }
    const kernels = `exec 0<&- 1>&- 2>&-; exec env -i HOME=/ PATH=/sbin:/bin:/usr/sbin:/usr/bin '${root}/sbin/ocfs2_hb_ctl' "$@"`;
    const asKernel = (...args: string[]) =>
      spawnSync("sh", ["-c", kernels, "sh", ...args], { cwd: "/", stdio: "ignore", timeout: 30_000 }).status;
    t.is(asKernel("-I", "-u", "0".repeat(32)), 0, "as the kernel calls it, with nothing open");
    t.is(asKernel("-K"), 1);
    const noVolume = run(path.join(root, "sbin/mount.ocfs2"), ["/dev/null", scratch], {}, "/");
    t.true([1, 32].includes(noVolume.status ?? -1), noVolume.stderr);
    t.false(noVolume.stderr.includes("native module"), noVolume.stderr);
    const linked = run("ldd", [path.join(root, "usr/lib/ocfs2-group/launcher")]);
    t.regex(linked.stdout + linked.stderr, /statically linked|not a dynamic executable/);
    await monitorIsSmall(t, path.join(root, "sbin/o2cb"));
    t.is(
      run("npx", ["--offline", "--no", "--", "ocfs2-group", "uninstall-helpers", "--root", root]).status,
      0,
    );
    t.deepEqual(readdirSync(root), []);
  },
);

test.serial("nothing asked for cargo", (t) => {
  t.false(existsSync(cargoCalls), "an installation from the tarballs compiled something");
});
