// What a fake volume says of itself beside its superblock: system files, slot map, journals. Nothing is stored as bytes: the slot map
// and the journals' state live on the device and follow mounts; the rest is derived from the volume's settings.
//
// Facts relied on: disk-format 2.3 (names), 3 (a node takes its own old slot again, else the lowest that is free; a clean dismount
// clears it), 4 (dirty from a read-write mount to a clean dismount). Where the blocks lie is made up.
import type { JournalFacts, SystemFile, VolumeDetails } from "../../../ts/native-types.ts";
import type { BlockDevice, VolumeContent } from "./device.ts";

/** Block of the first system file's inode; the others follow. */
const FIRST_INODE = 20n;
const GENERATION = 0x5eed_0000;

/** What other nodes, and mounts here, have left in slot map and journals. */
export class SlotState {
  /** node by slot */
  readonly owners = new Map<number, number>();
  readonly dirty = new Set<number>();
  readonly recoveries = new Map<number, number>();
  /** what is damaged: missing from the details, and an error unless they may be partial */
  readonly problems: { what: string; why: string }[] = [];

  /** A mount of `node`; the function is its clean dismount. */
  take(node: number, slots: number, readOnly: boolean): () => void {
    const numbers = Array.from({ length: slots }, (_, slot) => slot);
    const slot =
      numbers.find((each) => this.owners.get(each) === node) ??
      numbers.find((each) => !this.owners.has(each));
    if (slot === undefined) return () => undefined;
    this.owners.set(slot, node);
    if (!readOnly) this.dirty.add(slot);
    return () => {
      this.owners.delete(slot);
      this.dirty.delete(slot);
    };
  }

  /** Another node replays the journal of one that died. */
  recover(slot: number): void {
    this.owners.delete(slot);
    this.dirty.delete(slot);
    this.recoveries.set(slot, (this.recoveries.get(slot) ?? 0) + 1);
  }
}

const PER_SLOT = ["orphan_dir", "extent_alloc", "inode_alloc", "journal", "local_alloc", "truncate_log"];

function names(volume: VolumeContent): string[] {
  if (volume.maxSlots === 0) return ["global_inode_alloc", "heartbeat", "global_bitmap"];
  const slots = Array.from({ length: volume.maxSlots }, (_, slot) => String(slot).padStart(4, "0"));
  const all = ["bad_blocks", "global_inode_alloc", "slot_map", "heartbeat", "global_bitmap"];
  return [...all, ...PER_SLOT.flatMap((name) => slots.map((slot) => `${name}:${slot}`))];
}

function systemFiles(volume: VolumeContent): SystemFile[] {
  return names(volume).map((name, index) => ({
    name,
    block: FIRST_INODE + BigInt(index),
    isDirectory: name.startsWith("orphan_dir"),
    inode: {
      generation: GENERATION + index,
      size: 4096n,
      clusters: 1,
      mode: name.startsWith("orphan_dir") ? 0o040_755 : 0o100_644,
      flags: 0x11,
      bitsUsed: name === "global_bitmap" ? 1000 : null,
      bitsAll: name === "global_bitmap" ? volume.clusters : null,
    },
    problem: null,
  }));
}

/** Without the facts of `readVolume`. */
export function detailsOf(
  device: BlockDevice,
  volume: VolumeContent,
): Omit<VolumeDetails, keyof ReturnType<BlockDevice["facts"]>> {
  const { owners, dirty, recoveries, problems } = device.slotState;
  const damaged = (what: string): boolean => problems.some((problem) => problem.what === what);
  const files = systemFiles(volume);
  const journals = files
    .filter(({ name }) => name.startsWith("journal:"))
    .map(({ block, inode }, slot): JournalFacts => ({
      slot,
      block,
      generation: inode?.generation ?? 0,
      dirty: dirty.has(slot),
      recoveryGeneration: recoveries.get(slot) ?? 0,
    }));
  return {
    superblock: {
      rootBlock: 5n,
      systemBlock: 6n,
      fsGeneration: GENERATION,
      generation: GENERATION,
      mountCount: 0,
      maxMountCount: 20,
      state: 0,
      errorBehaviour: 0,
      checkInterval: 0,
      lastCheck: 1_700_000_000n,
      creatorOs: 0,
      tunefsFlags: 0,
      uuidHash: 0,
      firstClusterGroup: 256n,
      inlineXattrBytes: 256,
      directoryHashSeeds: [1, 2, 3],
      checkCrc: 0,
      checkEcc: 0,
    },
    systemFiles: files,
    slotMap: damaged("slot map")
      ? []
      : [...owners].map(([slot, node]) => ({ slot, node })).toSorted((a, b) => a.slot - b.slot),
    journals: journals.filter(({ slot }) => !damaged(`journal of slot ${slot}`)),
    backups: [],
    problems: [...problems],
  };
}
