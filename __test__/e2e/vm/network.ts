// The Ethernet segment of a lab: a hub that passes each frame to every other machine, inside the lab's own process.
//
// Relies on QEMU's `-netdev socket,fd=N` over a connected stream socket: each frame is preceded by its length as 4
// bytes, big-endian (qemu net/socket.c). A cut node's frames are dropped in both directions: what a pulled cable does.
// No switching, no address learning: two or three machines need none.
import type { Duplex } from "node:stream";

/** An Ethernet frame is far below this; a longer one means that the stream is out of step. */
const LONGEST_FRAME = 1 << 17;

export class Network {
  readonly #ports = new Map<number, Duplex>();
  readonly #cut = new Set<number>();

  /** Connects machine `number`; it leaves when its socket closes. */
  connect(number: number, socket: Duplex): void {
    this.#ports.set(number, socket);
    let pending: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      let offset = 0;
      while (pending.length - offset >= 4) {
        const length = pending.readUInt32BE(offset);
        if (length > LONGEST_FRAME) return void socket.destroy();
        if (pending.length - offset < 4 + length) break;
        this.#spread(number, pending.subarray(offset, offset + 4 + length));
        offset += 4 + length;
      }
      pending = pending.subarray(offset);
    });
    const leave = () => {
      if (this.#ports.get(number) === socket) this.#ports.delete(number);
    };
    socket.on("close", leave);
    socket.on("error", leave);
  }

  #spread(from: number, frame: Buffer): void {
    if (this.#cut.has(from)) return;
    for (const [number, socket] of this.#ports) {
      if (number !== from && !this.#cut.has(number) && socket.writable) socket.write(frame);
    }
  }

  /** Cuts a node off: no frame from it or to it any more. The disks stay. */
  cut(node: { readonly number: number }): void {
    this.#cut.add(node.number);
  }

  /** Plugs a node in again. */
  restore(node: { readonly number: number }): void {
    this.#cut.delete(node.number);
  }
}
