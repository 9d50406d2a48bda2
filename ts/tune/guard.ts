// Nobody else uses the volume while its superblock is changed.
//
// Facts relied on: group-api 8.3, 8.4. The cluster's locks prove it where the volume belongs to the running cluster, an exclusive claim of the
// device where it belongs to one node. A volume whose stamp names another cluster than the running one cannot be locked at all: there the C tool goes
// on after a yes. Here the claim keeps this node's mounts away, and whoever has a slot, or beats on the disk, is found and named; what no look from
// here can see is a node that begins to mount in the same moment, and a volume of another stack between its nodes' slots.
import { O2cbError } from "../errors.ts";
import { withVolumeLocked } from "../dlm/with-volume-locked.ts";
import { mountedHere } from "../look/mounted-here.ts";
import { volumeHolders } from "../look/holders.ts";
import { requireHostNamespaces } from "../namespaces.ts";
import type { Held, Native } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import type { Volume } from "../volume.ts";

const SERVICE = "tunefs.ocfs2";

export interface GuardOptions {
  loadModules?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
  /** how a look waits; a test has no time to */
  pause?: ((milliseconds: number) => Promise<void>) | undefined;
}

/** Errors: O2CB_VOLUME_IN_USE, O2CB_UNSUPPORTED_VOLUME (a slot or journal needs recovery), those of withVolumeLocked and of the look. */
export async function withVolumeGuarded<T>(
  native: Native,
  volume: Volume,
  by: "lock" | "claim",
  options: GuardOptions,
  work: () => Promise<T>,
): Promise<T> {
  const { loadModules, signal, onStep } = options;
  if (by === "claim") return await withVolumeClaimed(native, volume, options, work);
  // The cluster's locks would tell the same, seconds later. The claim is not kept: it is how the join finds out what is mounted.
  if (!volume.isLocal) (await claimed(native, volume, signal)).release();
  return await withVolumeLocked(
    native,
    { volume, service: SERVICE, loadModules, signal, onStep },
    async ({ volume: locked }) => {
      await requireRecovered(native, locked, signal);
      return await work();
    },
  );
}

async function withVolumeClaimed<T>(
  native: Native,
  volume: Volume,
  options: GuardOptions,
  work: () => Promise<T>,
): Promise<T> {
  const { device } = volume;
  const { signal, onStep } = options;
  await requireHostNamespaces(native, "tune-volume", signal);
  const claim = await claimed(native, volume, signal);
  try {
    emit(onStep, {
      step: "claim-instead-of-lock",
      device,
      reason: "the volume does not belong to the cluster that runs here",
    });
    const { holders, sentence } = await volumeHolders(native, volume, options);
    if (holders.length > 0) throw inUse(volume, sentence);
    await requireRecovered(native, volume, signal);
    return await work();
  } finally {
    claim.release();
  }
}

/** Errors: O2CB_VOLUME_IN_USE. */
async function claimed(native: Native, volume: Volume, signal: AbortSignal | undefined): Promise<Held> {
  const claim = await native.claimDevice(volume.device, { signal });
  if (claim !== null) return claim;
  const places = await mountedHere(native, volume, signal);
  const how =
    places.length === 0
      ? "mounted, or used otherwise, on this node"
      : `mounted on ${places.join(", ")} of this node`;
  throw inUse(volume, `'${volume.device}' is ${how}`);
}

/** A node that died left a slot or a dirty journal: what is in there belongs to the volume as it was. */
async function requireRecovered(
  native: Native,
  { device, uuid }: Volume,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { slotMap, journals } = await native.inspectVolume(device, { signal });
  const slots = new Set([...slotMap, ...journals.filter(({ dirty }) => dirty)].map(({ slot }) => slot));
  if (slots.size === 0) return;
  const list = [...slots].toSorted((one, other) => one - other).join(", ");
  throw new O2cbError(
    "O2CB_UNSUPPORTED_VOLUME",
    `'${device}' was not unmounted cleanly: ${slots.size === 1 ? "slot" : "slots"} ${list} ${slots.size === 1 ? "needs" : "need"} recovery`,
    {
      operation: "tune-volume",
      path: device,
      region: uuid,
      remedy: `run fsck.ocfs2 ${device}, or mount it once and unmount it`,
    },
  );
}

function inUse({ device, uuid }: Volume, sentence: string): O2cbError {
  return new O2cbError("O2CB_VOLUME_IN_USE", `the volume is in use: ${sentence}`, {
    operation: "tune-volume",
    path: device,
    region: uuid,
  });
}
