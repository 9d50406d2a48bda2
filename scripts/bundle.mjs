// What a command is made of, in dist/cli: `mount.ocfs2.cjs`, the small file that starts it (ts/cli/start.ts), and
// `mount.ocfs2.program.cjs`, all it needs but node and the native module, which ts/native.ts finds from the bundle's own place.
//
// CommonJS, since node starts it 6 to 8 ms sooner than a module; minified, since it is read at each mount. Modules behind
// `import()` stay in the file and are evaluated when they are reached. The version and the help's text are written in: the
// help is made here, by clipanion, so that the bundle need not hold it.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const commands = [
  "mount.ocfs2",
  "mounted.ocfs2",
  "o2cb",
  "ocfs2_controld",
  "ocfs2_hb_ctl",
  "tunefs.ocfs2",
  "umount.ocfs2",
];
const output = path.join(root, "dist/cli");

/**
 * What node loads late costs each command that does not come to need it: `node:module` brings node's ES module loader along
 * (0.3 ms), `node:crypto` its streams as well (2 ms and 2 MB of memory). These are their functions that the library uses.
 */
const late = { "node:module": ["createRequire"], "node:crypto": ["createHash", "randomBytes"] };
const lateModules = {
  name: "late-modules",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:(module|crypto)$/ }, ({ path: name }) => ({ path: name, namespace: "late" }));
    onLoad({ filter: /.*/, namespace: "late" }, ({ path: name }) => {
      const call = (one) =>
        `export const ${one} = (...given) => process.getBuiltinModule("${name}").${one}(...given);`;
      return { contents: late[name].map(call).join("\n") };
    });
  },
};

const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20.19",
  // start.ts reads the program a byte a character.
  charset: "ascii",
  legalComments: "none",
  logLevel: "warning",
  // ts/native.ts takes __filename where there is one, and import.meta.url where there is not.
  logOverride: { "empty-import-meta": "silent" },
  external: ["*.node"],
  write: false,
};

async function text(entry, options) {
  const { outputFiles, metafile } = await build({ ...shared, entryPoints: [entry], ...options });
  const [{ inputs = {} } = {}] = Object.values(metafile?.outputs ?? {});
  const foreign = Object.keys(inputs).find((file) => file.includes("node_modules/"));
  if (foreign !== undefined) throw new Error(`${entry}: ${foreign} would be part of the command`);
  return outputFiles[0].text;
}

/** What clipanion makes of the commands' classes. */
async function helpTexts() {
  const file = path.join(root, ".cache", `help-${process.pid}.cjs`);
  mkdirSync(path.dirname(file), { recursive: true });
  try {
    writeFileSync(file, await text("ts/cli/help.ts", {}));
    const { helpsOf } = createRequire(import.meta.url)(file);
    return new Map(commands.map((name) => [name, JSON.stringify(helpsOf(name))]));
  } finally {
    rmSync(file, { force: true });
  }
}

/** As node wraps a CommonJS file; see ts/cli/start.ts. */
const wrapped = (program) => `(function (exports, require, module, __filename, __dirname) {${program}\n})`;

const help = await helpTexts();
rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
for (const name of commands) {
  const program = await text(`ts/cli/${name}.ts`, {
    minify: true,
    define: {
      OCFS2_GROUP_VERSION: JSON.stringify(version),
      OCFS2_GROUP_HELP: JSON.stringify(help.get(name)),
    },
    plugins: [lateModules],
    // What is installed depends on no other package, and clipanion would be half of it.
    metafile: true,
  });
  const wide = program.search(/[^\0-\x7f]/);
  if (wide >= 0) throw new Error(`${name}: not ASCII at ${wide}: ${program.slice(wide - 20, wide + 20)}`);
  const file = `${name}.program.cjs`;
  const digest = createHash("sha256").update(program).digest("hex").slice(0, 16);
  const start = await text("ts/cli/start.ts", {
    minify: true,
    define: { OCFS2_GROUP_PROGRAM: JSON.stringify({ file, digest }) },
    // Run by itself it is the command; bin/ requires it and calls main.
    footer: { js: "if (require.main === module) module.exports.main();" },
  });
  writeFileSync(path.join(output, file), wrapped(program));
  writeFileSync(path.join(output, `${name}.cjs`), start);
}
