// `npm run pack:all [-- --to DIR]`: both tarballs, as they would be published. The main package names the package of compiled
// files as an optional dependency only there: in the repository it would make `npm ci` ask for a package that may not be
// published yet.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { platform } from "./lib/platform.mjs";
import { prepare } from "./lib/prepare.mjs";
import { must, root } from "./lib/run.mjs";
import { note, script } from "./lib/say.mjs";

function stageMain(stage) {
  const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
  for (const field of ["devDependencies", "napi", "scripts"]) delete manifest[field];
  manifest.optionalDependencies = { [platform.package]: manifest.version };
  for (const name of ["README.md", "LICENSE", ...manifest.files]) {
    cpSync(path.join(root, name), path.join(stage, name), { recursive: true });
  }
  writeFileSync(path.join(stage, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

await script(async (argv) => {
  const { values } = parseArgs({ args: argv, options: { to: { type: "string", default: root } } });
  const to = path.resolve(values.to);
  await prepare("dist");
  mkdirSync(to, { recursive: true });
  const stage = mkdtempSync(path.join(tmpdir(), "ocfs2-group-pack-"));
  try {
    stageMain(stage);
    const pack = ["pack", "--ignore-scripts", "--silent", "--pack-destination", to];
    for (const directory of [stage, path.join(root, platform.directory)]) {
      await must("npm", [...pack, directory], "The package cannot be packed");
    }
  } finally {
    rmSync(stage, { recursive: true });
  }
  note(`packed into ${to}`);
});
