// Finding the native module: built here, beside the package, nowhere.
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import test, { type ExecutionContext } from "ava";
import { start, scratch } from "./support.ts";

const file = "ocfs2-group.linux-x64-gnu.node";
const module = new URL(`../../native/${file}`, import.meta.url);
const loader = new URL("../../ts/native.ts", import.meta.url).href;

/** What `loadNative(base)` does in a new process. */
async function load(t: ExecutionContext, base: string, env: NodeJS.ProcessEnv = {}): Promise<unknown> {
  const script = `import { loadNative } from ${JSON.stringify(loader)};
    const begin = performance.now();
    try { const n = loadNative(${JSON.stringify(base)}); const ms = performance.now() - begin;
      console.log(JSON.stringify({ same: n === loadNative(), ms, ostype: await n.readAttribute("/proc/sys/kernel/ostype") })); }
    catch (e) { console.log(JSON.stringify({ code: e.code, message: e.message, remedy: e.remedy })); }`;
  const flags = ["--import=@oxc-node/core/register", "--input-type=module", "-e", script];
  const one = start(t, process.execPath, flags, { env: { ...process.env, ...env } });
  return JSON.parse(await one.line());
}

/** An installed package without a module of its own. */
function installed(t: ExecutionContext): string {
  const root = join(scratch(t), "node_modules", "ocfs2-group");
  mkdirSync(join(root, "dist", "cli"), { recursive: true });
  writeFileSync(join(root, "package.json"), "{}");
  return root;
}

test("from a source file, from a bundle, by path and by URL", async (t) => {
  const root = installed(t);
  mkdirSync(join(root, "native"));
  copyFileSync(module, join(root, "native", file));
  for (const base of [
    join(root, "dist/native.js"),
    pathToFileURL(join(root, "dist/cli/mount.ocfs2.cjs")).href,
  ]) {
    t.like(await load(t, base), { same: true, ostype: "Linux\n" });
  }
});

test("from the platform package, beside it or where the resolver finds it", async (t) => {
  for (const place of ["..", "node_modules"]) {
    const root = installed(t);
    const directory = join(root, place, "ocfs2-group-linux-x64-gnu");
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "package.json"), JSON.stringify({ main: file }));
    copyFileSync(module, join(directory, file));
    t.like(await load(t, join(root, "dist/native.js")), { same: true, ostype: "Linux\n" });
  }
});

test("nowhere, or broken: one sentence that names the platform", async (t) => {
  const root = installed(t);
  const missing = (await load(t, join(root, "dist/native.js"), {
    OCFS2_GROUP_NATIVE: module.pathname,
  })) as Record<string, string>;
  t.is(missing["code"], "O2CB_NATIVE_MISSING");
  t.regex(missing["message"] ?? "", /^the native module for linux-x64-gnu cannot be loaded: [^\n]+$/);
  t.truthy(missing["remedy"]);
  mkdirSync(join(root, "native"));
  writeFileSync(join(root, "native", file), "no module");
  t.like(await load(t, join(root, "dist/native.js")), { code: "O2CB_NATIVE_MISSING" });
});

test("loading takes milliseconds", async (t) => {
  const took: number[] = [];
  for (let turn = 0; turn < 5; turn++) {
    took.push(((await load(t, new URL(loader).pathname)) as { ms: number }).ms);
  }
  t.log(`loaded in ${Math.min(...took).toFixed(2)} ms at best`);
  // The benchmark holds it to 3 ms; here a busy machine must not fail the test.
  t.true(Math.min(...took) < 15);
});
