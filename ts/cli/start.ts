// The first file of a command, made so that node has little to compile: it runs the program beside it, with V8's code cache
// for it where there is one. Without it node compiles 70 kB of JavaScript at each mount, which takes longer than all else
// that a command does before its first call of the kernel.
//
// Facts relied on: V8 refuses a cache of another version, of other flags, or of a source of another length, and then compiles.
// It does not see another source of the same length, another build of the same version, or damage: a cache that is cut off by
// a power failure kills node with SIGSEGV (seen with node 20.20). So the cache's name holds a digest of the program and
// what tells one node from another, and the cache is stored twice: both halves have to be the same.
//
// install-helpers makes the cache, with the node that will use it; a missing one costs time only.
import { readFileSync, statSync } from "node:fs";
import { Script } from "node:vm";

/** Written in by scripts/bundle.mjs: the program's file, and a digest of its text. */
declare const OCFS2_GROUP_PROGRAM: { file: string; digest: string };

type Run = (
  exports: object,
  require: NodeJS.Require,
  module: { exports: object },
  filename: string,
  dirname: string,
) => void;

const file = `${__dirname}/${OCFS2_GROUP_PROGRAM.file}`;

/** The name, in the directory of this file, of the cache of this program for the node that runs this. */
export function codeCacheFile(): string {
  const { size, mtimeMs } = statSync(process.execPath);
  const node = `${process.versions.v8}-${size}-${Math.floor(mtimeMs)}`;
  return `${OCFS2_GROUP_PROGRAM.file.replace(/\.cjs$/, "")}-${OCFS2_GROUP_PROGRAM.digest}-${node}.cache`;
}

/** Runs the command on this process's arguments. */
export function main(): void {
  const module = { exports: {} };
  const run = compiled(readCache()).runInThisContext() as Run;
  run(module.exports, require, module, file, __dirname);
  (module.exports as { main(): void }).main();
}

/** What belongs into that file: V8's code for the whole program, twice. Nothing of the program is run. */
export function codeCache(): Buffer {
  const v8 = process.getBuiltinModule("node:v8");
  // Otherwise V8 leaves out all functions that have not been called. The flag must not be set when the cache is made, since
  // the cache holds for the flags of that moment.
  v8.setFlagsFromString("--no-lazy");
  let script: Script;
  try {
    script = compiled(undefined);
  } finally {
    v8.setFlagsFromString("--lazy");
  }
  const code = script.createCachedData();
  return Buffer.concat([code, code]);
}

function readCache(): Buffer | undefined {
  // Made without flags: with any (the launcher's for the monitor) V8 would refuse it after it was read.
  if (process.execArgv.length > 0) return undefined;
  try {
    const twice = readFileSync(`${__dirname}/${codeCacheFile()}`);
    const code = twice.subarray(0, twice.length / 2);
    return code.length > 0 && code.equals(twice.subarray(code.length)) ? code : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The program, which scripts/bundle.mjs has wrapped as node wraps a CommonJS file: done here it would be in memory twice, for as long as the monitor
 * runs. It is ASCII, so that V8 gets it without decoding, a byte a character.
 */
function compiled(cachedData: Buffer | undefined): Script {
  const wrapped = readFileSync(file, "latin1");
  return new Script(wrapped, cachedData === undefined ? { filename: file } : { filename: file, cachedData });
}
