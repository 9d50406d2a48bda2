// How a userspace stack joins a volume's group: inside mount(2), by the kernel's own DLM, or through its control daemon. One predicate, for
// begin and for every leave: the C library asks three different questions, and keeps groups that nobody leaves (userspace-stack 4.2).
//
// Facts relied on: userspace-stack 3.2 (with recover_callbacks 1, dlm_controld's default, fs/dlm tells the kernel of dead nodes; with 0 a control
// daemon has to), 3.3 (the file in sysfs is there where the kernel can take part in that), 9.5 (what dlm_controld writes), 4.2 (a label other than
// pcmk always means a daemon). The setting is dlm_controld's: it cannot change while a lockspace exists.
import { readOptional } from "../attributes.ts";
import type { Native } from "../native-types.ts";
import { findConfigfs } from "./detect.ts";

/** `kernel`: mount(2) is the join. `controld`: a daemon is asked before, and told after. */
export type Transport = "kernel" | "controld";

/** The label of Pacemaker's stack, the only one whose volumes the kernel joins by itself. */
export const PACEMAKER_STACK = "pcmk";
const CALLBACK_SUPPORT = "/sys/fs/ocfs2/dlm_recover_callback_support";

/** What dlm_controld has told the kernel. */
export interface DlmSettings {
  /** `<configfs>/dlm/cluster`; null where configfs is mounted nowhere */
  directory: string | null;
  /** empty where dlm_controld runs without recovery callbacks; null where it has told nothing */
  clusterName: string | null;
  /** null where it has told nothing */
  recoverCallbacks: string | null;
}

export async function readDlmSettings(
  native: Pick<Native, "readAttribute" | "inspectPath">,
  signal?: AbortSignal,
): Promise<DlmSettings> {
  const configfs = await findConfigfs(native, signal);
  if (configfs === null) return { directory: null, clusterName: null, recoverCallbacks: null };
  const directory = `${configfs}/dlm/cluster`;
  const read = async (name: string): Promise<string | null> =>
    (await readOptional(native, `${directory}/${name}`, signal))?.trim() ?? null;
  return {
    directory,
    clusterName: await read("cluster_name"),
    recoverCallbacks: await read("recover_callbacks"),
  };
}

/** The transport of a userspace stack, by its label. */
export async function transportOf(native: Native, label: string, signal?: AbortSignal): Promise<Transport> {
  if (label !== PACEMAKER_STACK) return "controld";
  const support = await readOptional(native, CALLBACK_SUPPORT, signal);
  if (support === null || support.trim() === "") return "controld";
  const { recoverCallbacks } = await readDlmSettings(native, signal);
  return recoverCallbacks === "0" ? "controld" : "kernel";
}
