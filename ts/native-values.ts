// Values on their way to the native module and back.
//
// Facts relied on: numbers out of range would be wrapped silently by Node-API; what the disk holds are bytes, and no strings.
import type * as binding from "../native/index.d.ts";
import type { HeartbeatSlot, LockLevel, SuperblockChange, WatchEvent } from "./native-types.ts";

/** A number that survives Node-API: whole, from 0 to `max`. */
export function whole(name: string, value: number, max = 0xffff_ffff): number {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(`${name} must be a whole number from 0 to ${max}, not ${String(value)}`);
  }
  return value;
}

/** A duration in milliseconds; Infinity is the longest there is, 49 days. */
export function milliseconds(name: string, value: number): number {
  return whole(name, value === Infinity ? 0xffff_ffff : Math.ceil(value));
}

export function isExclusive(level: LockLevel): boolean {
  if (level !== "PR" && level !== "EX") throw new TypeError(`'${String(level)}' is no level of a lock`);
  return level === "EX";
}

export function event({ kind, id, name }: binding.WatchEvent): WatchEvent {
  if (kind === "changed") return { kind, id, name };
  return kind === "mounts" || kind === "lost" ? { kind } : { kind, id };
}

/** Three words for each slot: crates/binding/volumes.rs. A word is cheap as two halves, dear as a BigInt. */
export function slotList(words: BigUint64Array): HeartbeatSlot[] {
  const halves = new Uint32Array(words.buffer, words.byteOffset, words.length * 2);
  const slots: HeartbeatSlot[] = [];
  for (let slot = 0; slot * 3 < words.length; slot++) {
    const rest = halves[slot * 6 + 4] ?? 0;
    slots.push({
      slot,
      valid: (rest & 1) === 1,
      sequence: words[slot * 3] ?? 0n,
      node: (rest >>> 8) & 0xff,
      generation: words[slot * 3 + 1] ?? 0n,
      deadMs: halves[slot * 6 + 5] ?? 0,
    });
  }
  return slots;
}

/** A change as bytes: what the disk holds are no strings. */
export function superblockChange({ label, uuid, local, stamp }: SuperblockChange): binding.SuperblockChange {
  return {
    classic: stamp === null,
    ...(label !== undefined && { label: Buffer.from(label) }),
    ...(uuid !== undefined && { uuid: Buffer.from(uuid, "hex") }),
    ...(local !== undefined && { local }),
    ...(stamp && {
      stamp: {
        stack: Buffer.from(stamp.stack),
        flags: whole("flags", stamp.flags, 255),
        cluster: Buffer.from(stamp.cluster),
      },
    }),
  };
}
