// The actions of the o2cb service, as the init script has them: load, unload, start, stop, restart; online and offline are beside this file.
//
// Facts relied on: commands 4.2 (what each action is made of; O2CB_ENABLED counts for `start` only). Each is success where all is as wanted.
// Unlike the script: they fail where they fail.
import type { Native } from "../native-types.ts";
import { CLASSIC_STACK } from "../volume.ts";
import { loadStack, unloadStack, type StackSettings, type UnloadResult } from "./modules.ts";
import { offline, type OfflineOptions, type OfflineResult } from "./offline.ts";
import { online, userServices, type OnlineOptions, type OnlineResult } from "./online.ts";
import { useStack } from "./use-stack.ts";
import { KernelWrites, type KernelWrite, type WriteOptions } from "./writes.ts";

export { drain, type DrainResult } from "./drain.ts";
export { offline, type OfflineOptions, type OfflineResult } from "./offline.ts";
export { online, type OnlineOptions, type OnlineResult } from "./online.ts";
export { clusterStatus as status, onlineStatus, type ClusterStatus, type OnlineStatus } from "./status.ts";

export interface LoadResult {
  writes: KernelWrite[];
}

/**
 * Modules, file systems, hb_ctl_path; with a user stack its label too, and a warning where its services do not run.
 * Errors: those of loadStack, O2CB_INVALID_STACK_NAME.
 */
export async function load(
  native: Native,
  options: WriteOptions & { sysconfig: StackSettings },
): Promise<LoadResult> {
  const writes = KernelWrites.of(native, options);
  return writes.exclusively(async () => {
    const begun = writes.done.length;
    const { stack } = options.sysconfig;
    await loadStack(writes, options.sysconfig);
    if (stack !== CLASSIC_STACK) {
      await useStack(writes, stack, { operation: "load", loadModules: false });
      await userServices(writes, stack, { operation: "load", isAdvice: true });
    }
    return { writes: writes.done.slice(begun) };
  });
}

/** What load did, taken back; the cluster has to be offline. Errors: those of unloadStack. */
export async function unload(
  native: Native,
  options: WriteOptions & { assumeOffline?: boolean } = {},
): Promise<UnloadResult & LoadResult> {
  const writes = KernelWrites.of(native, options);
  return writes.exclusively(async () => {
    const begun = writes.done.length;
    const result = await unloadStack(writes, { assumeOffline: options.assumeOffline ?? false });
    return { ...result, writes: writes.done.slice(begun) };
  });
}

export interface StartResult {
  /** false: nothing was done, since the service is not enabled */
  isEnabled: boolean;
  online: OnlineResult | null;
  writes: KernelWrite[];
}

/** What happens at boot. Errors: those of online. */
export async function start(native: Native, options: OnlineOptions): Promise<StartResult> {
  const writes = KernelWrites.of(native, options);
  if (!options.sysconfig.enabled) {
    writes.skip("the start", "O2CB_ENABLED is not true");
    return { isEnabled: false, online: null, writes: [] };
  }
  const result = await online(writes.native, { ...options, writes });
  return { isEnabled: true, online: result, writes: result.writes };
}

export interface StopResult {
  offline: OfflineResult;
  unload: UnloadResult;
  writes: KernelWrite[];
}

/** Errors: those of offline and unload. */
export async function stop(native: Native, options: OfflineOptions = {}): Promise<StopResult> {
  const writes = KernelWrites.of(native, options);
  return writes.exclusively(async () => {
    const begun = writes.done.length;
    const wasOnline = await offline(writes.native, { ...options, writes });
    const { unloaded, kept } = await unload(writes.native, { writes, assumeOffline: true });
    return { offline: wasOnline, unload: { unloaded, kept }, writes: writes.done.slice(begun) };
  });
}

export interface RestartResult {
  stop: StopResult;
  start: StartResult;
  writes: KernelWrite[];
}

/** What the start would write follows from what the stop leaves, which is not there to be looked at. */
function notListed(writes: KernelWrites, { sysconfig }: OnlineOptions): StartResult {
  writes.skip("what the start would do", "it is known after the stop only");
  return { isEnabled: sysconfig.enabled, online: null, writes: [] };
}

/** A dry run lists the stop. Errors: those of stop and start. */
export async function restart(
  native: Native,
  options: OnlineOptions & Pick<OfflineOptions, "kill">,
): Promise<RestartResult> {
  const writes = KernelWrites.of(native, options);
  return writes.exclusively(async () => {
    const begun = writes.done.length;
    // Whichever cluster runs is the one to stop: the configuration may name another by now.
    const stopped = await stop(writes.native, { writes, kill: options.kill });
    const started = writes.dryRun
      ? notListed(writes, options)
      : await start(writes.native, { ...options, writes });
    return { stop: stopped, start: started, writes: writes.done.slice(begun) };
  });
}
