// What the control daemon needs of the Rust core, and nothing else: the tests give it a cluster of their own.
import type { NativeStack } from "../native-stack-types.ts";
import type { Native } from "../native-types.ts";

export type { GroupEvent, GroupMember, ProcessGroup } from "../native-stack-types.ts";

export type DaemonNative = Pick<Native, "readAttribute" | "inspectPath" | "connectAbstract"> &
  Pick<
    NativeStack,
    "readClusterMap" | "joinProcessGroup" | "connectDlmControl" | "openControlDevice" | "listenAbstract"
  >;

/** The socket's name in the abstract namespace: userspace-stack 1.1. */
export const SOCKET_NAME = "ocfs2_controld_sock";

/** The group of all daemons; that of a volume has its UUID in the place of `controld`. */
export function processGroupName(uuid: string | null): string {
  return `ocfs2:${uuid ?? "controld"}`;
}
