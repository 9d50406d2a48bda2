// What is, as far as a plan needs it: the files, what is registered, who leaves, and whether an earlier apply came to its end. Reads only.
//
// Facts relied on: kernel-abi 4 (the stack's label, and active_cluster_plugin, which is empty while neither a mount nor a DLM domain exists).
// The note of an apply lies in /run, which is empty after a restart, as the kernel's state is.
import { readHint, readOptional } from "../attributes.ts";
import { findCluster } from "../config/model.ts";
import { loadConfig } from "../config/store.ts";
import { readSysconfig } from "../config/sysconfig.ts";
import type { Native } from "../native-types.ts";
import { HB_CTL_PATH, leavingProgram } from "../region/hb-ctl-path.ts";
import { STACK_FILE } from "../stack/detect.ts";
import type { FenceMethod } from "./desired-state.ts";
import { hostName } from "./nodes.ts";
import type { CurrentState } from "./plan-types.ts";
import { readClusterState } from "./registered.ts";

export const APPLY_NOTE = "/run/ocfs2-group/apply.json";

/** What an apply notes before it changes what runs, and takes away when it is done. */
export interface ApplyNote {
  state: "offline" | "online";
  /** as it was before: the kernel forgets it with the cluster, and no file has it */
  fenceMethod: FenceMethod | null;
}

/** Errors: O2CB_CONFIGURATION_ERROR for a file that cannot be read, O2CB_ABORTED. */
export async function readCurrentState(
  native: Native,
  cluster: string,
  options: { configPath: string; signal?: AbortSignal | undefined },
): Promise<CurrentState> {
  const { configPath, signal } = options;
  const [{ config }, settings, registered, stack, active, helper, note, hostname] = await Promise.all([
    loadConfig(native, configPath, { signal }),
    readSysconfig(native, { signal }),
    readClusterState(native),
    readOptional(native, STACK_FILE, signal),
    readHint(native, "/sys/fs/ocfs2/active_cluster_plugin"),
    readHint(native, HB_CTL_PATH),
    readNote(native),
    hostName(native, signal).catch(() => null),
  ]);
  return {
    file: findCluster(config, cluster) ?? null,
    settings,
    registered,
    stack,
    inUse: (active?.trim() ?? "") !== "",
    leave: helper === null ? null : (await leavingProgram(native)) === null ? "umount" : "kernel",
    hostname,
    interrupted: note?.state ?? null,
  };
}

/** Null where there is none; one that cannot be understood is as good as one of a change that was under way. */
export async function readNote(native: Native): Promise<ApplyNote | null> {
  const text = await readHint(native, APPLY_NOTE);
  if (text === null) return null;
  try {
    const { state, fenceMethod } = JSON.parse(text) as Partial<ApplyNote>;
    return {
      state: state === "offline" ? "offline" : "online",
      fenceMethod: fenceMethod === "reset" || fenceMethod === "panic" ? fenceMethod : null,
    };
  } catch {
    return { state: "online", fenceMethod: null };
  }
}
