// Noting the mount reference of a superblock that another tool mounted, while it lives, so that its end is explained whoever sees it.
//
// Facts relied on: architecture rule 1: a superblock that relies on a region of its own has one mount reference (the C tools take one
// for each mount(2)); which of a region's references it is cannot be told from the count, only that one of those without a note is.
import { readHint } from "../attributes.ts";
import { requireHostNamespaces } from "../namespaces.ts";
import type { MountEntry, Native } from "../native-types.ts";
import type { OnStep } from "../steps.ts";
import { mountAccount } from "./mount-account.ts";
import { heartbeatThread, newRecord, writeRecord } from "./record.ts";

export interface Observed {
  region: string | null;
  directory: string | null;
  entry: MountEntry;
}

/** Writes a note unless there is one, or no reference is left for it. Never throws: the note is for the case that we are killed. */
export async function noteMount(
  native: Native,
  { region, directory, entry }: Observed,
  onStep?: OnStep,
): Promise<void> {
  if (region === null || directory === null) return;
  try {
    // In another /run it would be a note that nobody reads.
    await requireHostNamespaces(native, "note-mount");
    const references = (await native.regionSemaphores(region))?.references ?? 0;
    const { own } = await mountAccount(native, { region, directory }, references, "alive");
    if (own === null || own.recorded || own.references === 0) return;
    const pid = (await readHint(native, `${directory}/pid`))?.trim() ?? null;
    const record = await newRecord(native, {
      region,
      service: own.service,
      persistent: true,
      observed: true,
      thread: await heartbeatThread(native, pid),
      device: entry.source,
      deviceNumber: `${entry.device.major}:${entry.device.minor}`,
      pid: null,
      startTime: null,
      directory: entry.target,
    });
    await writeRecord(native, record, onStep);
  } catch {
    // Whatever could not be looked at now does not keep a volume mounted.
  }
}
