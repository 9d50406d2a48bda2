// The first file of a command: it runs the program beside it, with V8's code for it where that is sound.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { build } from "esbuild";

interface Start {
  codeCacheFile(): string;
  codeCache(): Buffer;
}

const directory = mkdtempSync(path.join(tmpdir(), "ocfs2-group-start-"));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

/** Wrapped, as scripts/bundle.mjs writes it. */
const program = (said: string): string =>
  `(function (exports) { exports.main = () => { console.log(${JSON.stringify(said)}, process.argv[2]); }; })`;

/** Puts start.ts and a program that says `said` into a directory; the digest is the same for all on purpose. */
async function place(
  said: string,
): Promise<{ start: string; put: (cache: Buffer) => void; make: () => Buffer }> {
  const here = mkdtempSync(path.join(directory, "command-"));
  const start = path.join(here, "command.cjs");
  writeFileSync(path.join(here, "command.program.cjs"), program(said));
  await build({
    entryPoints: [fileURLToPath(new URL("../../ts/cli/start.ts", import.meta.url))],
    outfile: start,
    bundle: true,
    platform: "node",
    format: "cjs",
    define: { OCFS2_GROUP_PROGRAM: JSON.stringify({ file: "command.program.cjs", digest: "same" }) },
    footer: { js: "if (require.main === module) module.exports.main();" },
  });
  const loaded = createRequire(import.meta.url)(start) as Start;
  return {
    start,
    put: (cache) => writeFileSync(path.join(here, loaded.codeCacheFile()), cache),
    make: () => {
      // In a process of its own, as the installer does: the flags of this one stay what they are.
      const text = "process.stdout.write(require(process.argv[1]).codeCache())";
      const { stdout, status } = spawnSync(process.execPath, ["-e", text, start], { maxBuffer: 2 ** 26 });
      if (status !== 0) throw new Error(`no code cache was made: status ${status}`);
      return stdout;
    },
  };
}

function run(start: string): string {
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [start, "here"], {
    encoding: "utf8",
  });
  return signal ?? (status === 0 ? stdout.trim() : stderr);
}

test("without a cache the program runs, with its arguments", async (t) => {
  const { start } = await place("hello");
  t.is(run(start), "hello here");
});

test("V8 uses the cache, so that only a digest in its name keeps another program's out", async (t) => {
  const first = await place("first");
  const other = await place("other");
  first.put(other.make());
  t.is(run(first.start), "other here");
});

test("a damaged cache is not used", async (t) => {
  const { start, put, make } = await place("whole");
  const cache = make();
  const changed = (change: (copy: Buffer) => Buffer): Buffer => change(Buffer.from(cache));
  for (const damaged of [
    changed((copy) => copy.fill(0, copy.length / 4)),
    changed((copy) => copy.fill(0, (copy.length * 3) / 4)),
    changed((copy) => copy.fill(0)),
    changed((copy) => copy.subarray(0, copy.length - 1)),
    changed((copy) => copy.subarray(0, copy.length / 2)),
    changed((copy) => {
      copy[100] = (copy[100] ?? 0) ^ 1;
      return copy;
    }),
    Buffer.alloc(0),
    Buffer.from("nonsense nonsense "),
  ]) {
    put(damaged);
    t.is(run(start), "whole here");
  }
  put(cache);
  t.is(run(start), "whole here");
});
