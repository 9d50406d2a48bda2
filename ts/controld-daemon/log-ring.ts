// The daemon's log of late, for the request DUMP: a ring of bytes, told oldest first in the pieces of the protocol (userspace-stack 1.4).

export const RING_BYTES = 1024 * 1024;

export class LogRing {
  readonly #bytes: Buffer;
  /** where the next byte goes */
  #end = 0;
  #isFull = false;

  constructor(size = RING_BYTES) {
    this.#bytes = Buffer.alloc(size);
  }

  /** One line, in ASCII: a piece may end at any byte, and a NUL would end its message. */
  add(text: string): void {
    let line = Buffer.from(`${text.replaceAll(/[^ -~]/gu, "?")}\n`, "latin1");
    if (line.length > this.#bytes.length) line = line.subarray(-this.#bytes.length);
    const first = Math.min(line.length, this.#bytes.length - this.#end);
    line.copy(this.#bytes, this.#end, 0, first);
    line.copy(this.#bytes, 0, first);
    if (first < line.length || this.#end + first === this.#bytes.length) this.#isFull = true;
    this.#end = (this.#end + line.length) % this.#bytes.length;
  }

  /** A copy of all of it in pieces of at most `most` bytes; the ring's end and its beginning are cut separately. */
  pieces(most: number): Buffer[] {
    const older = this.#isFull ? this.#bytes.subarray(this.#end) : Buffer.alloc(0);
    return [older, this.#bytes.subarray(0, this.#end)].flatMap((part) => {
      const copy = Buffer.from(part);
      return Array.from({ length: Math.ceil(copy.length / most) }, (_, at) =>
        copy.subarray(at * most, (at + 1) * most),
      );
    });
  }
}
