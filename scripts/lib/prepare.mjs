// Brings about what a tier, the demo or a build needs, from a fresh clone on: each step looks first, says what it does,
// and refuses in one sentence where a person has to install something. Plain Node, since no dependency is there yet.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { buildLibrary, buildPlatformPackage, library, platformPackage } from "./build.mjs";
import { prepareMachines } from "./machines.mjs";
import { platform } from "./platform.mjs";
import { must, output, root, run } from "./run.mjs";
import { Refusal, note } from "./say.mjs";
import { unlessCurrent } from "./stamp.mjs";

const native = ["Cargo.toml", "Cargo.lock", "build.rs", ".cargo/config.toml"];
const done = new Set();

/** The steps; a step calls `prepare` for what it needs itself. */
const steps = { node, modules, rust, native: nativeModule, launcher, bundles, dist, machines };

/** Brings about each of `needs`, once per process. */
export async function prepare(...needs) {
  for (const need of needs) {
    if (done.has(need)) continue;
    await steps[need]();
    done.add(need);
  }
}

const readJson = (name) => JSON.parse(readFileSync(path.join(root, name), "utf8"));
const olderThan = (have, want) => {
  const [a, b] = [have, want].map((version) => version.split(".").map(Number));
  return a[0] < b[0] || (a[0] === b[0] && (a[1] ?? 0) < (b[1] ?? 0));
};

function node() {
  const wanted = readJson("package.json").engines.node.replace(/^>=/, "");
  if (process.platform !== "linux")
    throw new Refusal("OCFS2 is a Linux file system: this package needs Linux.");
  if (olderThan(process.versions.node, wanted)) {
    throw new Refusal(`Install Node ${wanted} or newer: this is ${process.versions.node}.`);
  }
}

/** The installed tree is the lock file's, but for optional packages of other systems. */
function modulesAreCurrent() {
  if (!existsSync(path.join(root, "node_modules/.package-lock.json"))) return false;
  const wanted = readJson("package-lock.json").packages;
  const present = readJson("node_modules/.package-lock.json").packages;
  return Object.entries(wanted).every(([name, entry]) => {
    if (name === "") return true;
    if (present[name] === undefined)
      return entry.optional === true || entry.devOptional === true || entry.peer === true;
    return present[name].version === entry.version && present[name].integrity === entry.integrity;
  });
}

async function modules() {
  await prepare("node");
  if (modulesAreCurrent()) return;
  note("installing the development packages (npm ci)");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  await must(
    "npm",
    args,
    "The development packages cannot be installed: look at npm's message above, and at the network",
  );
}

async function aptInstall(...packages) {
  if (process.getuid() !== 0 || output("apt-get", ["--version"]) === null) return false;
  note(`installing ${packages.join(", ")} (apt-get install)`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const args = ["install", "--yes", "--quiet", "--no-install-recommends", ...packages];
  if ((await run("apt-get", args, { env })).status === 0) return true;
  await run("apt-get", ["update", "--quiet"], { env });
  return (await run("apt-get", args, { env })).status === 0;
}

async function rust() {
  const wanted = /^rust-version = "(.*)"$/m.exec(readFileSync(path.join(root, "Cargo.toml"), "utf8"))[1];
  for (const tool of ["cargo", "rustc"]) {
    const version = output(tool, ["--version"])?.split(" ")[1];
    if (version === undefined) {
      throw new Refusal(
        `Install Rust ${wanted} or newer, for example with https://rustup.rs: ${tool} is not in the PATH.`,
      );
    }
    if (olderThan(version, wanted)) {
      throw new Refusal(
        `Install Rust ${wanted} or newer, for example with https://rustup.rs: this ${tool} is ${version}.`,
      );
    }
  }
  if (output("cc", ["--version"]) === null && !(await aptInstall("gcc", "libc6-dev"))) {
    throw new Refusal(
      "Install a C compiler, which Rust links with (on Debian: apt-get install gcc libc6-dev).",
    );
  }
}

// Rust is asked for only where something has to be compiled: root may well have none, and needs none to install.
async function nativeModule() {
  const inputs = [...native, "crates/binding", "crates/disk", "crates/error", "crates/sys"];
  await unlessCurrent("native", { inputs, outputs: [platform.addon] }, async () => {
    await prepare("modules", "rust");
    note("building the native module (cargo, about a minute the first time)");
    await must("npm", ["run", "--silent", "build:native"], "The native module cannot be built");
  });
}

async function launcher() {
  const inputs = [...native, "crates/launcher"];
  await unlessCurrent("launcher", { inputs, outputs: [platform.launcher] }, async () => {
    await prepare("rust");
    note("building the launcher (cargo, static)");
    // A static executable has no loader: no LD_ variable and no missing library can keep it from starting.
    const flags = [process.env.RUSTFLAGS, "-C target-feature=+crt-static"].filter(Boolean).join(" ");
    const crate = ["--package", "ocfs2-group-launcher", "--profile", "launcher", "--target", platform.rust];
    const env = { ...process.env, RUSTFLAGS: flags };
    await must("cargo", ["build", "--locked", ...crate], "The launcher cannot be built", { env });
  });
}

async function bundles() {
  const inputs = ["ts", "scripts/bundle.mjs", "package.json", "package-lock.json"];
  await unlessCurrent("bundles", { inputs, outputs: ["dist/cli"] }, async () => {
    await prepare("modules");
    note("bundling the commands");
    await must(process.execPath, ["scripts/bundle.mjs"], "The commands cannot be bundled");
  });
}

async function dist() {
  await prepare("native", "launcher", "bundles");
  await unlessCurrent("library", library, async () => {
    await prepare("modules");
    await buildLibrary();
  });
  await unlessCurrent("platform-package", platformPackage, buildPlatformPackage);
}

async function machines() {
  await prepare("modules");
  await prepareMachines();
}
