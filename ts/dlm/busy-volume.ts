// Who has a volume that cannot be locked, in words: a mount on this node, the slots of others, or whatever else can be said.
//
// Facts relied on: userspace-stack 6.3 (a lockspace of fs/dlm that a mount has on another node cannot be joined at all: EPROTO; one of this node's can, and
// then the locks are refused), disk-format 3 (the slot map). Looking for the words never turns a refusal into another error, but for the caller's end.
import { isCode, O2cbError } from "../errors.ts";
import { holderSentence, volumeHolders } from "../look/holders.ts";
import { mountedHere } from "../look/mounted-here.ts";
import type { Native } from "../native-types.ts";
import { registeredCluster } from "../region/regions.ts";
import { registeredNodes } from "../stack/registered-nodes.ts";
import { CLASSIC_STACK, type Volume } from "../volume.ts";

export interface WhoHolds {
  isMounted: boolean;
  /** begins with the device in quotes where that is the subject; null where nothing is known */
  sentence: string | null;
}

/** Errors: O2CB_ABORTED. */
export async function whoHolds(
  native: Native,
  volume: Volume,
  signal: AbortSignal | undefined,
): Promise<WhoHolds> {
  const places = await mountedHere(native, volume, signal);
  if (places.length > 0)
    return {
      isMounted: true,
      sentence: `'${volume.device}' is mounted on ${places.join(", ")} of this node`,
    };
  try {
    const [{ holders }, own] = await Promise.all([
      volumeHolders(native, volume, { signal }),
      ownNode(native, volume),
    ]);
    // This node beats for this very program.
    const others = holders.filter(({ node, slot }) => slot !== null || node !== own);
    return {
      isMounted: others.some(({ state }) => state === "mounted"),
      sentence: others.length === 0 ? null : holderSentence(volume.device, others),
    };
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    return { isMounted: false, sentence: null };
  }
}

async function ownNode(native: Native, { stack }: Volume): Promise<number | null> {
  if (stack !== CLASSIC_STACK) return null;
  const cluster = await registeredCluster(native).catch(() => null);
  const nodes = cluster === null ? [] : await registeredNodes(native, cluster).catch(() => []);
  return nodes.find(({ local }) => local)?.number ?? null;
}

/** A domain that is refused since others have the volume: the same with their names. Errors: O2CB_ABORTED. */
export async function withNames(
  native: Native,
  volume: Volume,
  error: unknown,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  if (!(error instanceof O2cbError) || error.code !== "O2CB_VOLUME_IN_USE") return error;
  const { sentence } = await whoHolds(native, volume, signal);
  if (sentence === null) return error;
  const { errno, syscall, remedy } = error;
  return new O2cbError("O2CB_VOLUME_IN_USE", `the volume is in use: ${sentence}`, {
    operation: "initialize-dlm",
    path: volume.device,
    region: volume.uuid,
    ...{ errno, syscall, remedy, cause: error },
  });
}
