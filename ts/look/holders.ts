// Who holds a volume: its slot map says which nodes took a slot, their heartbeat says which of them live, the cluster has their names.
//
// Facts relied on: disk-format 3 (a slot is taken from mount to clean unmount; of a node that died, until another has recovered it),
// kernel-abi 2 (heartbeat blocks). A look can be outdated when it is told: whoever wants to be sure takes the volume's lock.
import { O2cbError } from "../errors.ts";
import type { Native, SlotOwner, VolumeDetails } from "../native-types.ts";
import type { Volume } from "../volume.ts";
import { beatingNodes, type BeatOptions, type Beats } from "./beats.ts";
import { nodeNames, type NodeNames } from "./node-names.ts";

export interface VolumeHolder {
  node: number;
  /** null where no cluster here knows the number */
  name: string | null;
  /** null: it beats on the volume and has no slot, as while it mounts, or where a program uses the volume */
  slot: number | null;
  /**
   * `mounted`: it has a slot, and beats or may do so: of local volumes and other stacks nobody can see it.
   * `stale`: it has a slot and does not beat: it died, and no node has recovered it yet.
   */
  state: "mounted" | "heartbeating" | "stale";
}

export interface VolumeHolders {
  /** by slot, then those without one by node */
  holders: VolumeHolder[];
  /** for people, without a full stop */
  sentence: string;
}

export interface HolderOptions extends BeatOptions {
  /** default /etc/ocfs2/cluster.conf; for names only */
  configPath?: string | undefined;
}

/**
 * Waits 2 to 4 s where a heartbeat has to be watched.
 * Errors: those of reading the device; O2CB_BAD_DIRECTORY where the slot map cannot be used.
 */
export async function volumeHolders(
  native: Native,
  volume: Volume,
  options: HolderOptions = {},
): Promise<VolumeHolders> {
  const { signal, configPath } = options;
  // What is a heartbeat device has no slots: the nodes that beat there hold it.
  const [details, beats, names] = await Promise.all([
    native.inspectVolume(volume.device, { signal, partial: true }),
    beatingNodes(native, volume, options),
    nodeNames(native, volume, { signal, configPath }),
  ]);
  const holders = holdersOf(slotMapOf(details), beats, names);
  return { holders, sentence: holderSentence(volume.device, holders) };
}

function slotMapOf({ device, slotMap, problems }: VolumeDetails): SlotOwner[] {
  const problem = problems.find(({ what }) => what === "slot map");
  if (problem === undefined) return slotMap;
  throw new O2cbError("O2CB_BAD_DIRECTORY", `the slot map on '${device}' cannot be used: ${problem.why}`, {
    operation: "volume-holders",
    path: device,
  });
}

/** The judgement alone. */
export function holdersOf(slots: readonly SlotOwner[], beats: Beats, names: NodeNames): VolumeHolder[] {
  const nameOf = (node: number): string | null => names.get(node) ?? null;
  const owners = new Set(slots.map(({ node }) => node));
  const stateOf = (node: number): "mounted" | "stale" =>
    beats.isComplete && !beats.live.has(node) ? "stale" : "mounted";
  const others = [...beats.onVolume].filter((node) => !owners.has(node)).toSorted((a, b) => a - b);
  return [
    ...slots.map(({ slot, node }) => ({ node, name: nameOf(node), slot, state: stateOf(node) })),
    ...others.map((node) => ({ node, name: nameOf(node), slot: null, state: "heartbeating" as const })),
  ];
}

/** `/dev/sdb1 is mounted on alpha (node 1) and beta (node 2)`; without a full stop. */
export function holderSentence(device: string, holders: readonly VolumeHolder[]): string {
  const of = (state: VolumeHolder["state"]): string =>
    listed(holders.filter((one) => one.state === state).map(phrase));
  const parts = [
    [of("mounted"), (who: string) => `is mounted on ${who}`],
    [of("stale"), (who: string) => `has slots of ${who}, which does not beat and has not been recovered`],
    [of("heartbeating"), (who: string) => `is used without a mount by ${who}`],
  ] as const;
  const said = parts.flatMap(([who, say]) => (who === "" ? [] : [say(who)]));
  return `'${device}' ${said.length === 0 ? "is held by no node" : said.join("; it ")}`;
}

function phrase({ node, name }: VolumeHolder): string {
  return name === null ? `node ${node}` : `'${name}' (node ${node})`;
}

function listed(items: readonly string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}
