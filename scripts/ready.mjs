// `npm run ready`: every check a change has to pass, but for the tests that need root or machines (`npm test` has those).
import { prepare } from "./lib/prepare.mjs";
import { output, run } from "./lib/run.mjs";
import { duration, headline, script } from "./lib/say.mjs";

const bin = (name, ...args) => [`node_modules/.bin/${name}`, ...args];
const checks = [
  ["Rust is formatted", ["cargo", "fmt", "--all", "--check"]],
  ["TypeScript and JSON are formatted", bin("oxfmt", "--check")],
  ["clippy", ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]],
  ["lint", bin("oxlint", "--deny-warnings")],
  ["types", bin("tsc", "-p", ".", "--noEmit")],
  ["generated files are up to date", ["npm", "run", "--silent", "generate", "--", "--check"]],
  ["dependencies: licences and advisories", ["cargo", "deny", "--workspace", "check"], "cargo-deny"],
  ["tests", [process.execPath, "scripts/test.mjs", "--tier", "cargo,unit,native,package"]],
];

await script(async () => {
  await prepare("modules", "rust");
  const failed = [];
  const skipped = [];
  for (const [title, [program, ...args], needed] of checks) {
    headline(title);
    if (needed !== undefined && output(needed, ["--version"]) === null) {
      skipped.push(`${title} (needs ${needed}: cargo install ${needed})`);
      continue;
    }
    const started = performance.now();
    const { status } = await run(program, args);
    if (status !== 0) failed.push(title);
    console.log(`   ${status === 0 ? "ok" : "FAILED"} in ${duration(performance.now() - started)}`);
  }
  console.log("");
  for (const title of skipped) console.log(`skipped: ${title}`);
  for (const title of failed) console.log(`failed: ${title}`);
  console.log(
    failed.length === 0 ? "ready" : `not ready: ${failed.length} of ${checks.length} checks failed`,
  );
  return failed.length === 0 ? 0 : 1;
});
