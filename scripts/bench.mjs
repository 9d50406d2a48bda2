// `npm run bench`: every program in bench/, each of which prints its figures as ratios within one run and ends with a failure
// where a wanted ratio is missed. `npm run bench -- startup` runs one by name.
import { readdirSync } from "node:fs";
import path from "node:path";
import { prepare } from "./lib/prepare.mjs";
import { interruptAll, root, run } from "./lib/run.mjs";
import { Refusal, headline, script } from "./lib/say.mjs";

/** The machines come last: they take by far the longest. */
const last = "machines.ts";

await script(async (argv) => {
  const programs = readdirSync(path.join(root, "bench")).filter((name) => /\.(mjs|ts)$/.test(name));
  const names = programs.map((name) => path.parse(name).name);
  const unknown = argv.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new Refusal(`There is no benchmark ${unknown}; there are ${names.join(", ")}.`);
  const wanted = programs.filter((name) => argv.length === 0 || argv.includes(path.parse(name).name));
  wanted.sort((a, b) => Number(a === last) - Number(b === last) || a.localeCompare(b));
  await prepare("dist");
  if (wanted.includes(last)) await prepare("machines");
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => {
      interrupted = true;
      interruptAll();
    });
  }
  let failed = 0;
  for (const name of wanted) {
    if (interrupted) break;
    headline(`bench/${name}`);
    const { status } = await run(process.execPath, ["--import=@oxc-node/core/register", `bench/${name}`]);
    if (status !== 0) failed += 1;
  }
  return failed > 0 || interrupted ? 1 : 0;
});
