// What the control daemon needs of the Rust core, and nothing else: the tests give it a cluster of their own.
import type { Native } from "../native-types.ts";

export type { GroupEvent, GroupMember, ProcessGroup } from "../native-types.ts";

export type DaemonNative = Pick<
  Native,
  | "readAttribute"
  | "inspectPath"
  | "connectAbstract"
  | "listenAbstract"
  | "peerUser"
  | "readClusterMap"
  | "joinProcessGroup"
  | "connectDlmControl"
  | "openControlDevice"
>;

/** The group of all daemons; that of a volume has its UUID in the place of `controld`. */
export function processGroupName(uuid: string | null): string {
  return `ocfs2:${uuid ?? "controld"}`;
}
