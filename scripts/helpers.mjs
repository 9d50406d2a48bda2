// `npm run install-helpers` and `npm run uninstall-helpers` in a clone: builds what is missing, then the same command as
// `npx ocfs2-group` in an installed package.
import { prepare } from "./lib/prepare.mjs";
import { root } from "./lib/run.mjs";
import { script } from "./lib/say.mjs";

await script(async (argv) => {
  await prepare("dist");
  const { run } = await import("../dist/helpers-install/command.js");
  return run(argv, root, { out: (line) => console.log(line), err: (line) => console.error(line) });
});
