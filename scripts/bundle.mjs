// `dist/cli/mount.ocfs2.cjs` and `dist/cli/umount.ocfs2.cjs`: one file per command with all it needs but node and the native
// module, which ts/native.ts finds from the bundle's own place at run time.
//
// CommonJS, since node starts it 6 to 8 ms sooner than a module; minified, since it is read at each mount. Modules behind
// `import()` stay in the file and are evaluated when they are reached. The version and the help's text are written in: the
// help is made here, by clipanion, so that the bundle need not hold it.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const commands = ["mount.ocfs2", "umount.ocfs2"];
const output = path.join(root, "dist/cli");

const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20.19",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  // ts/native.ts takes __filename where there is one, and import.meta.url where there is not.
  logOverride: { "empty-import-meta": "silent" },
  external: ["*.node"],
  write: false,
};

async function text(entry, options) {
  const { outputFiles } = await build({ ...shared, entryPoints: [entry], ...options });
  return outputFiles[0].text;
}

/** What clipanion makes of the commands' classes. */
async function helpTexts() {
  const file = path.join(root, ".cache", `help-${process.pid}.cjs`);
  mkdirSync(path.dirname(file), { recursive: true });
  try {
    writeFileSync(file, await text("ts/cli/help.ts", {}));
    const { helpOf } = createRequire(import.meta.url)(file);
    return new Map(commands.map((name) => [name, helpOf(name)]));
  } finally {
    rmSync(file, { force: true });
  }
}

const help = await helpTexts();
rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
for (const name of commands) {
  const code = await text(`ts/cli/${name}.ts`, {
    minify: true,
    define: {
      OCFS2_GROUP_VERSION: JSON.stringify(version),
      OCFS2_GROUP_HELP: JSON.stringify(help.get(name)),
    },
    // Run by itself it is the command; bin/ imports it and calls main.
    footer: { js: "if (require.main === module) module.exports.main();" },
  });
  writeFileSync(path.join(output, `${name}.cjs`), code);
}
