// Tells whether something built is older than its sources, by content: times are of no use after a clone or a checkout.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { root } from "./run.mjs";

function* filesBelow(name) {
  const full = path.resolve(root, name);
  if (!existsSync(full)) return;
  if (!statSync(full).isDirectory()) yield name;
  else for (const entry of readdirSync(full).toSorted()) yield* filesBelow(path.join(name, entry));
}

function digest(inputs) {
  const hash = createHash("sha256");
  for (const input of inputs) {
    for (const name of filesBelow(input))
      hash.update(`\0${name}\0`).update(readFileSync(path.resolve(root, name)));
  }
  return hash.digest("hex");
}

/**
 * Calls `build` unless `outputs` all exist and the files below `inputs` are those of the last call that succeeded.
 */
export async function unlessCurrent(name, { inputs, outputs }, build) {
  const stamp = path.join(root, ".cache", `${name}.stamp`);
  const wanted = digest(inputs);
  const current = existsSync(stamp) && readFileSync(stamp, "utf8") === wanted;
  if (current && outputs.every((output) => existsSync(path.resolve(root, output)))) return;
  await build();
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, wanted);
}
