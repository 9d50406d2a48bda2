// Where a command's lines go. Written by descriptor and at once: process.stdout would load Node's streams, which takes longer
// than everything else a command does before it calls the kernel, and would lose lines on exit where it is a pipe.
import { fstatSync, writeSync } from "node:fs";

export interface Terminal {
  /** a line for standard output */
  out(line: string): void;
  /** bytes for standard output, as they are: what holds no text, such as a volume's label */
  write(bytes: Uint8Array): void;
  /** a line for standard error */
  err(line: string): void;
  /** whether a person watches standard error */
  isWatched(): boolean;
}

const STDOUT = 1;
const STDERR = 2;
/** Major number of /dev/null and its like (linux Documentation/admin-guide/devices.txt), which nobody watches. */
const MEMORY_DEVICES = 1;
/** How long a reader who does not read may hold up a mount. */
const PATIENCE_MS = 1000;

export const systemTerminal: Terminal = {
  out: (line) => write(STDOUT, Buffer.from(`${line}\n`)),
  write: (bytes) => write(STDOUT, bytes),
  err: (line) => write(STDERR, Buffer.from(`${line}\n`)),
  isWatched() {
    try {
      const { rdev, mode } = fstatSync(STDERR);
      return (mode & 0o170000) === 0o020000 && rdev >> 8 !== MEMORY_DEVICES;
    } catch {
      return false;
    }
  },
};

/** A reader who is gone, or does not read, costs lines but never the command. */
function write(descriptor: number, bytes: Uint8Array): void {
  const deadline = Date.now() + PATIENCE_MS;
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (error) {
      const isFull = (error as NodeJS.ErrnoException).code === "EAGAIN";
      if (!isFull || Date.now() > deadline) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
