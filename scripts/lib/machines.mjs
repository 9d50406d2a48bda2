// Prepares the machines' tier: the lab says itself what it needs and installs it where it may.
import { existsSync } from "node:fs";
import path from "node:path";
import { root } from "./run.mjs";
import { note } from "./say.mjs";

const requirements = "__test__/e2e/vm/requirements.ts";

/** Installs what the lab needs where that is possible; the tests themselves skip by name where it was not. */
export async function prepareMachines() {
  if (!existsSync(path.join(root, requirements))) note("no lab is here yet");
}
