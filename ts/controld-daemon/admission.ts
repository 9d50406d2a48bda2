// Why a volume cannot be mounted now, whoever asks: what the daemon as a whole knows, beside the checks of the volume's own group.
import { constants } from "node:os";
import type { DaemonGroup } from "./daemon-group.ts";
import { HOST_DOWN, type Answer } from "./mount-group.ts";
import { readMode, type Surroundings } from "./start-checks.ts";
import type { DaemonNative } from "./services.ts";
import type { Volumes } from "./volumes.ts";

const { ENOTCONN, EPROTO, EPROTONOSUPPORT } = constants.errno;
/** Node's table does not have it. */
const ESHUTDOWN = 108;

export interface Admission {
  native: DaemonNative;
  found: Surroundings;
  daemons: DaemonGroup;
  volumes: Volumes;
  /** read when the answer is given, since it can change while the mode is read */
  isClosing(): boolean;
  isDlmLost(): boolean;
  signal: AbortSignal;
}

/** Null where it can be mounted. */
export async function refusalOf(uuid: string, admission: Admission): Promise<Answer | null> {
  const { native, found, daemons, volumes, signal } = admission;
  // dlm_controld can change its mode only while no volume is in use.
  const mode = volumes.has(uuid) ? found.mode : ((await readMode(native, signal)) ?? found.mode);
  if (mode !== found.mode)
    return {
      status: EPROTO,
      text: `dlm_controld has changed its mode from ${found.mode} to ${mode}: restart ocfs2_controld`,
    };
  if (admission.isClosing()) return { status: ESHUTDOWN, text: "ocfs2_controld is ending" };
  if (admission.isDlmLost()) return { status: ENOTCONN, text: "dlm_controld has ended" };
  const { disagreement } = daemons;
  if (disagreement !== null) return { status: EPROTONOSUPPORT, text: disagreement };
  const nodes = daemons.freezers(uuid);
  // Where the volume is in use here its own group knows.
  return nodes.length === 0 || volumes.has(uuid) ? null : { status: HOST_DOWN, text: frozenBy(nodes) };
}

export function frozenBy(nodes: readonly number[]): string {
  return `the volume stands still: node ${nodes.join(", node ")} has seen one of its nodes die, and nobody recovers it`;
}
