// Prepares the machines: the lab says itself what it needs, and installs it where it may.
import { run } from "./run.mjs";
import { note } from "./say.mjs";

/**
 * Installs what the lab needs and fetches the kernel most scenarios use. Where that is not possible it has said so, and the
 * tests skip by name, with the command that helps.
 */
export async function prepareMachines() {
  note("looking after what the machines need");
  const program = ["--import=@oxc-node/core/register", "__test__/e2e/vm/prepare.ts"];
  await run(process.execPath, [...program, "--fetch", "6.1"]);
}
