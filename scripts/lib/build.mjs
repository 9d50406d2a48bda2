// Makes what the packages hold: the library in dist/, and the package of compiled files in npm/PLATFORM/.
import {
  copyFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { platform } from "./platform.mjs";
import { must, root } from "./run.mjs";
import { note } from "./say.mjs";

const inRoot = (name) => path.join(root, name);

/** What the library is made of and where it lies, as stamp.mjs compares it. */
export const library = {
  inputs: ["ts", "tsconfig.json", "tsconfig.build.json", "package-lock.json"],
  outputs: ["dist/index.js", "dist/index.d.ts"],
};

/** tsc, one ESM file and one declaration per source file; ts/cli is bundled instead. */
export async function buildLibrary() {
  note("compiling the library (tsc)");
  for (const name of existsSync(inRoot("dist")) ? readdirSync(inRoot("dist")) : []) {
    if (name !== "cli") rmSync(path.join(root, "dist", name), { recursive: true });
  }
  const args = ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"];
  await must(process.execPath, args, "The library does not compile");
}

export const platformPackage = {
  inputs: ["package.json", "LICENSE", "scripts/lib/build.mjs", platform.addon, platform.launcher],
  outputs: ["package.json", "launcher"].map((name) => `${platform.directory}/${name}`),
};

/** The package that npm installs beside the main one where system, processor and C library fit. */
export function buildPlatformPackage() {
  const directory = inRoot(platform.directory);
  mkdirSync(directory, { recursive: true });
  const main = JSON.parse(readFileSync(inRoot("package.json"), "utf8"));
  const addon = path.basename(platform.addon);
  const { version, license, author, engines } = main;
  const manifest = {
    name: platform.package,
    version,
    description: `The compiled files of ${main.name} for ${platform.name}`,
    license,
    author,
    ...(main.repository === undefined ? {} : { repository: main.repository }),
    main: addon,
    files: [addon, "launcher"],
    engines,
    os: [platform.os],
    cpu: [platform.cpu],
    libc: [platform.libc],
  };
  writeFileSync(path.join(directory, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  const readme = `# ${platform.package}\n\nThe native module and the launcher of [${main.name}](https://www.npmjs.com/package/${main.name}), which installs this package itself.\n`;
  writeFileSync(path.join(directory, "README.md"), readme);
  const copies = [
    ["LICENSE", "LICENSE", 0o644],
    [platform.addon, addon, 0o644],
    [platform.launcher, "launcher", 0o755],
  ];
  for (const [from, to, mode] of copies) {
    const target = path.join(directory, to);
    // A new file, since a running launcher cannot be written to.
    rmSync(target, { force: true });
    copyFileSync(path.resolve(root, from), target);
    chmodSync(target, mode);
  }
}
