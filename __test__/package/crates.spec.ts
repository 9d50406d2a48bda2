// The direction of the Rust crates, read from their manifests: error <- disk <- sys <- binding, and only the binding (the root
// package) knows Node.
import test from "ava";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

interface Metadata {
  packages: { name: string; dependencies: { name: string; kind: string | null }[] }[];
}

/** crate -> the crates of ours it may stand on, and the others it may use outside of its tests */
const allowed: Record<string, { ours: string[]; others: string[] }> = {
  "ocfs2-group-error": { ours: [], others: [] },
  "ocfs2-group-disk": { ours: ["ocfs2-group-error"], others: ["crc32fast"] },
  "ocfs2-group-sys": {
    ours: ["ocfs2-group-disk", "ocfs2-group-error"],
    others: ["crc32fast", "libc", "rustix"],
  },
  "ocfs2-group-launcher": { ours: [], others: [] },
  "ocfs2-group": {
    ours: ["ocfs2-group-disk", "ocfs2-group-error", "ocfs2-group-sys"],
    others: ["libc", "napi", "napi-build", "napi-derive"],
  },
};

test("each crate depends on what its place allows, and only the binding on napi", (t) => {
  const repository = fileURLToPath(new URL("../..", import.meta.url));
  const args = ["metadata", "--no-deps", "--locked", "--offline", "--format-version", "1"];
  const { stdout, stderr, status } = spawnSync("cargo", args, { cwd: repository, encoding: "utf8" });
  t.is(status, 0, stderr);
  const { packages } = JSON.parse(stdout) as Metadata;
  t.deepEqual(packages.map(({ name }) => name).toSorted(), Object.keys(allowed).toSorted());
  for (const { name, dependencies } of packages) {
    const place = allowed[name];
    for (const dependency of dependencies) {
      const isOurs = dependency.name.startsWith("ocfs2-group");
      // Tests may use anything that is not ours.
      if (dependency.kind === "dev" && !isOurs) continue;
      const list = isOurs ? place?.ours : place?.others;
      t.true(
        list?.includes(dependency.name),
        `${name} depends on ${dependency.name}: is its place in the list above right?`,
      );
    }
  }
});
