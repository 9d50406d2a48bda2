// What blocked calls cost the event loop, on the host: eight calls that block in the kernel (writes into full pipes stand for
// joins), the delay of the loop and of a read through libuv's pool meanwhile; and how long the native module takes to load.
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";

const { loadNative } = await import("../ts/native.ts");
const importedAt = performance.now();
const native = loadNative();
const loadedMs = performance.now() - importedAt;

const CALLS = 8;
const MILLISECONDS = 3000;
const directory = mkdtempSync(join(tmpdir(), "ocfs2-group-bench-"));

/** A FIFO whose buffer is full, so that one more write blocks until the reader goes. */
function fullPipe(index: number): { path: string; release: () => void } {
  const path = join(directory, `pipe-${index}`);
  execFileSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  const page = Buffer.alloc(4096);
  try {
    for (;;) writeSync(writer, page);
  } catch {
    // EAGAIN: it is full
  }
  return {
    path,
    release() {
      closeSync(writer);
      closeSync(reader);
    },
  };
}

/** A small file: a large one would measure the disk. */
async function sample(): Promise<{ p99: number; read: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const reads: number[] = [];
  const end = performance.now() + MILLISECONDS;
  while (performance.now() < end) {
    const began = performance.now();
    await readFile("/etc/hostname");
    reads.push(performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  delay.disable();
  reads.sort((a, b) => a - b);
  return {
    p99: Math.max(0, delay.percentile(99) / 1e6 - 1),
    read: reads[Math.floor(reads.length / 2)] ?? Number.NaN,
  };
}

try {
  const idle = await sample();
  const pipes = Array.from({ length: CALLS }, (_, index) => fullPipe(index));
  const calls = pipes.map(({ path }) => native.writeAttribute(path, "x".repeat(4095)));
  const busy = await sample();
  for (const { release } of pipes) release();
  await Promise.allSettled(calls);
  console.log(
    `event-loop delay p99 with ${CALLS} blocked calls: ${busy.p99.toFixed(2)} ms, idle ${idle.p99.toFixed(2)} ms (wanted: under 10 ms)`,
  );
  console.log(
    `fs.promises.readFile, median, with ${CALLS} blocked calls / idle: ${(busy.read / idle.read).toFixed(2)} (${busy.read.toFixed(2)} / ${idle.read.toFixed(2)} ms; wanted: not delayed)`,
  );
  console.log(`loading the native module: ${loadedMs.toFixed(2)} ms (wanted: under 3 ms)`);
  // A read that is held up by a blocked pool waits for hundreds of milliseconds, so a factor of three tells enough.
  if (busy.p99 >= 10 || busy.read > idle.read * 3 + 1 || loadedMs >= 3) process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
