// `o2cb inspect DEVICE`: everything a volume says of itself. It changes nothing, and the volume may be mounted.
//
// The published form of --json is docs/schemas/o2cb-inspect.json; numbers of 64 bits are text there.
import type { InspectedBlock, InspectedSlot, VolumeInspection } from "../look/inspect.ts";
import type { VolumeHolders } from "../look/holders.ts";
import { answer, configPath, flag, subcommand, type Subcommand } from "./o2cb-syntax.ts";

export function inspectCommands(): readonly Subcommand[] {
  return [
    subcommand("inspect", {
      summary:
        "show what a volume says of itself: superblock, slots, journals, heartbeat blocks, system files",
      details:
        "The device, or an image of one, is only read, past the page cache, and may be mounted meanwhile, here and elsewhere. " +
        "The exit status is 1 where something on it is damaged. -v shows each slot's files, too. --holders takes up to 4 s, to see who beats.",
      operands: [{ key: "device", label: "DEVICE" }],
      options: [
        flag("holders", "holders", "say who holds the volume: mounted, beating, or dead and not recovered"),
      ],
      examples: [["Is a volume in use anywhere", "o2cb inspect --holders /dev/sdb1"]],
      async run(args, { native, signal }) {
        const device = args.operand("device");
        const path = configPath(args);
        const { inspectVolume } = await import("../look/inspect.ts");
        const found = await inspectVolume(native, device, { configPath: path, signal });
        let holders: VolumeHolders | null = null;
        if (args.flag("holders")) {
          const { volumeHolders } = await import("../look/holders.ts");
          holders = await volumeHolders(native, found.volume, { configPath: path, signal });
        }
        const { volume, ...rest } = found;
        const data = { ...volume, ...rest, ...holders };
        const lines = [
          ...inspectionLines(found, args.count("verbose") > 0),
          ...(holders === null ? [] : [`holders: ${holders.sentence}`]),
        ];
        return answer(data, lines, { status: found.problems.length > 0 ? 1 : 0 });
      },
    }),
  ];
}

function inspectionLines(found: VolumeInspection, isVerbose: boolean): string[] {
  const { volume, features, superblock, heartbeat, backups } = found;
  const { blockBytes, clusterBytes, sectorBytes } = volume;
  const use = found.clustersInUse === null ? "" : `, ${found.clustersInUse} in use`;
  return [
    `device: ${volume.device}, ${found.deviceBytes} bytes in sectors of ${sectorBytes}${volume.isReadOnly ? ", read-only" : ""}`,
    `uuid: ${volume.uuid}`,
    `label: ${shown(volume.label)}`,
    `cluster: ${stamp(found)}`,
    `size: ${found.clusters} clusters of ${clusterBytes} bytes${use}; blocks of ${blockBytes} bytes`,
    `compatible features: ${features.compat.join(" ") || "none"}`,
    `incompatible features: ${features.incompat.join(" ") || "none"}`,
    `features for reading only: ${features.roCompat.join(" ") || "none"}`,
    `state: ${(superblock.state & 1) === 0 ? "no errors seen" : "errors were seen"}, error behaviour ${superblock.errorBehaviour}`,
    ...(superblock.tunefsFlags === 0 ? [] : [`not finished by tunefs.ocfs2: ${hex(superblock.tunefsFlags)}`]),
    `checked: ${time(superblock.lastCheck)}, every ${superblock.checkInterval} s, ${superblock.mountCount} of ${superblock.maxMountCount} mounts`,
    `blocks: root directory ${superblock.rootBlock}, system directory ${superblock.systemBlock}, first cluster group ${superblock.firstClusterGroup}`,
    `generation: ${hex(superblock.fsGeneration)}, of the superblock ${hex(superblock.generation)}, creator ${superblock.creatorOs}`,
    `hashes: of the UUID ${hex(superblock.uuidHash)}, of directories ${superblock.directoryHashSeeds.map(hex).join(" ")}`,
    `inline attributes: ${superblock.inlineXattrBytes} bytes`,
    `metadata check: CRC ${hex(superblock.checkCrc)}, ECC ${hex(superblock.checkEcc)}`,
    ...backups.map(({ block, problem }) => `backup superblock: block ${block}, ${problem ?? "good"}`),
    ...slotLines(found.slots),
    ...(heartbeat === null
      ? []
      : [
          `heartbeat: ${heartbeat.geometry.blocks} blocks of ${heartbeat.geometry.blockBytes} bytes from ${heartbeat.geometry.startBlock}, ${heartbeat.blocks.length} written`,
          ...heartbeat.blocks.map(blockLine),
        ]),
    "system files:",
    // Of each slot there are six to eight.
    ...found.systemFiles
      .filter(({ name }) => isVerbose || !name.includes(":"))
      .map(({ name, block, inode, problem }) =>
        inode === null
          ? `  ${shown(name)}: block ${block}: ${problem}`
          : `  ${shown(name)}: block ${block}, ${inode.size} bytes, ${inode.clusters} clusters, generation ${hex(inode.generation)}, flags ${hex(inode.flags)}`,
      ),
    ...found.problems.map(({ what, why }) => `damaged: ${shown(what)}: ${why}`),
  ];
}

function stamp({ volume }: VolumeInspection): string {
  const { isLocal, isHeartbeatDevice, hasClusterInfo, stack, cluster, heartbeatMode } = volume;
  if (isLocal) return "none, mounted by one node only";
  const what = isHeartbeatDevice ? "heartbeat device, " : "";
  if (!hasClusterInfo) return `${what}any (no stamp), stack ${stack}, heartbeat local`;
  return `${what}${shown(cluster ?? "")}, stack ${shown(stack)}${stack === "o2cb" ? `, heartbeat ${heartbeatMode}` : ""}`;
}

function slotLines(slots: readonly InspectedSlot[]): string[] {
  const used = slots.filter(({ node }) => node !== null).length;
  return [`slots: ${slots.length}, ${used} in use`, ...slots.map(slotLine)];
}

function slotLine({ slot, node, name, journal }: InspectedSlot): string {
  const owner = node === null ? "free" : `node ${node}${name === null ? "" : ` (${name})`}`;
  const { dirty, recoveryGeneration = 0, block } = journal ?? {};
  const state = journal === null ? "damaged" : `${dirty ? "dirty" : "clean"}, block ${block}`;
  const recovered = recoveryGeneration === 0 ? "" : `, recovered ${recoveryGeneration} times`;
  return `  slot ${slot}: ${owner}; journal ${state}${recovered}`;
}

function blockLine({ slot, node, name, valid, sequence, generation, deadMs }: InspectedBlock): string {
  const who = `  node ${slot}${name === null ? "" : ` (${name})`}`;
  if (!valid) return `${who}: its checksum does not hold`;
  const writer = node === slot ? "" : `, by node ${node}`;
  const state = generation === 0n ? "left cleanly" : `generation 0x${generation.toString(16)}`;
  return `${who}: written at ${time(sequence)}${writer}, ${state}, dead after ${deadMs / 1000} s`;
}

const hex = (value: number): string => `0x${value.toString(16)}`;

/** Seconds since 1970; what is no time of this era is told as the number it is. */
function time(seconds: bigint): string {
  return seconds > 0n && seconds < 1n << 35n
    ? new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z")
    : String(seconds);
}

/** What comes from the disk must not drive a terminal. */
function shown(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}
