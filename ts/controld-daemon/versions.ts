// What daemons tell each other in the group of all daemons: their protocol versions and the volumes they have frozen; and what follows from
// that. No I/O. docs/controld.md has the bytes.
//
// Facts relied on: a closed process group delivers messages and changes in one order to all members, so that all come to the same
// result. The original kept versions in checkpoints of a service that is gone (userspace-stack 2.7) and reads no messages; its rule is
// kept: the first daemon sets the versions, another needs the same major and a minor that is not below.
import type { GroupMember } from "../native-types.ts";
import { isRegionName } from "../volume.ts";
import { memberKey } from "./members.ts";

export interface Version {
  major: number;
  minor: number;
}

/** Of this daemon's own protocol, and of the file system's locks. */
export interface Versions {
  daemon: Version;
  fs: Version;
}

export interface DaemonState {
  /** the versions in use; while they are not settled those that this daemon can at most */
  versions: Versions;
  areSettled: boolean;
  /** volumes in whose group somebody died whom nobody recovers */
  frozen: readonly string[];
}

const MAGIC = "O2CT";
const FORMAT = 1;
const STATE = 1;
const SETTLED = 1;
const HEADER_BYTES = 14;
const UUID_BYTES = 32;

export function encodeState({ versions: { daemon, fs }, areSettled, frozen }: DaemonState): Uint8Array {
  const bytes = Buffer.alloc(HEADER_BYTES + frozen.length * UUID_BYTES);
  bytes.write(MAGIC, "latin1");
  bytes.set([FORMAT, STATE, areSettled ? SETTLED : 0, 0, daemon.major, daemon.minor, fs.major, fs.minor], 4);
  bytes.writeUInt16BE(frozen.length, 12);
  bytes.write(frozen.join(""), HEADER_BYTES, "latin1");
  return bytes;
}

/** Null for what is no such message. Bytes after the end are of a later minor version, and passed over. */
export function decodeState(given: Uint8Array): DaemonState | null {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  if (bytes.length < HEADER_BYTES || bytes.toString("latin1", 0, 4) !== MAGIC) return null;
  if (bytes[4] !== FORMAT || bytes[5] !== STATE) return null;
  const end = HEADER_BYTES + bytes.readUInt16BE(12) * UUID_BYTES;
  if (bytes.length < end) return null;
  const frozen: string[] = [];
  for (let at = HEADER_BYTES; at < end; at += UUID_BYTES)
    frozen.push(bytes.toString("latin1", at, at + UUID_BYTES));
  if (!frozen.every(isRegionName)) return null;
  const version = (at: number): Version => ({ major: bytes.readUInt8(at), minor: bytes.readUInt8(at + 1) });
  return {
    versions: { daemon: version(8), fs: version(10) },
    areSettled: (bytes.readUInt8(6) & SETTLED) !== 0,
    frozen,
  };
}

/** Null for a text that is no version, as `1.0` is. */
export function parseVersion(text: string): Version | null {
  const [, major, minor] = /^(\d{1,3})\.(\d{1,3})$/.exec(text) ?? [];
  const version = { major: Number(major), minor: Number(minor) };
  return major === undefined || version.major > 255 || version.minor > 255 ? null : version;
}

export function versionText({ major, minor }: Version): string {
  return `${major}.${minor}`;
}

/** Whether a daemon that can `most` can work with the others' version. */
export function isCompatible(most: Versions, used: Versions): boolean {
  return (["daemon", "fs"] as const).every(
    (what) => most[what].major === used[what].major && most[what].minor >= used[what].minor,
  );
}

/** What the daemons have told. */
export class Peers {
  #members: readonly GroupMember[] = [];
  readonly #states = new Map<string, DaemonState>();

  changed(members: readonly GroupMember[]): void {
    this.#members = members;
    const keys = new Set(members.map(memberKey));
    for (const key of this.#states.keys()) if (!keys.has(key)) this.#states.delete(key);
  }

  /** False for a message that cannot be read. */
  heard(from: GroupMember, bytes: Uint8Array): boolean {
    const state = decodeState(bytes);
    const isMember = this.#members.some((member) => memberKey(member) === memberKey(from));
    if (state !== null && isMember) this.#states.set(memberKey(from), state);
    return state !== null;
  }

  /** Those who have told nothing yet. */
  get silent(): GroupMember[] {
    return this.#members.filter((member) => !this.#states.has(memberKey(member)));
  }

  /** The versions that this cluster uses; null until everybody has told. */
  get settled(): Versions | null {
    if (this.#members.length === 0 || this.silent.length > 0) return null;
    const told = this.#members
      .toSorted((one, other) => one.node - other.node || one.pid - other.pid)
      .flatMap((member) => this.#states.get(memberKey(member)) ?? []);
    return (told.find(({ areSettled }) => areSettled) ?? told[0])?.versions ?? null;
  }

  /** A member that uses versions which this daemon cannot; null where there is none. */
  stranger(most: Versions): { node: number; versions: Versions } | null {
    for (const member of this.#members) {
      const state = this.#states.get(memberKey(member));
      if (state?.areSettled && !isCompatible(most, state.versions))
        return { node: member.node, versions: state.versions };
    }
    return null;
  }

  /** The nodes that have a volume frozen. */
  freezers(uuid: string): number[] {
    return this.#members
      .filter((member) => this.#states.get(memberKey(member))?.frozen.includes(uuid))
      .map(({ node }) => node);
  }
}
