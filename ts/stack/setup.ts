// Making a cluster stack the one that this node runs: its label, and the kernel's plugin for it. The only place that changes the label.
//
// Facts relied on: kernel-abi 4 (the kernel takes any label while no stack is active, and answers EBUSY at once where one is; everything but o2cb is the
// plugin `user`), userspace-stack 3.3 and 4.1. The plugins have to be looked for elsewhere than in loaded_cluster_plugins, which is wrong with two:
// `user` by its control device in /proc/misc, which it has for as long as it is there, and either by /sys/module. A plugin that is missing would be loaded
// by the kernel at the mount; here it is loaded before, where it can be said that there is none.
//
// Unlike the C library: the plugin is loaded also where the glue is there already, what the kernel did is read back, and the refusal names who
// holds the other stack. A registered cluster of o2cb holds it, too: no mount need be there, but a service may count on it.
import { exists, readHint } from "../attributes.ts";
import { isErrno, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { registeredCluster } from "../region/regions.ts";
import { emit } from "../steps.ts";
import { CLASSIC_STACK, type Volume } from "../volume.ts";
import {
  detectStack,
  loadModule,
  readLabel,
  readRevision,
  STACK_FILE,
  type DetectOptions,
  type RunningStack,
} from "./detect.ts";
import { MISC_FILE, miscMinor, PLUGIN_CONTROL } from "./misc-devices.ts";
import { ACTIVE_PLUGIN } from "./stack-holders.ts";
import { stackRefused } from "./stack-refused.ts";

export const USER_PLUGIN = "ocfs2_stack_user";
export const CLASSIC_PLUGIN = "ocfs2_stack_o2cb";

export interface SetupOptions extends DetectOptions {
  /** that wants the stack: a refusal tells of both */
  volume?: Volume | undefined;
  /** what the refusal of somebody without a volume names */
  operation?: string | undefined;
}

/**
 * Makes `stack` the running one, where nothing uses another, and proves it by reading back. Nothing is joined.
 * Errors: O2CB_INVALID_STACK_NAME (another stack is in use: by whom), O2CB_MODULE_NOT_LOADED, those of detectStack.
 */
export async function setupStack(
  native: Native,
  stack: string,
  options: SetupOptions = {},
): Promise<RunningStack> {
  const { signal } = options;
  const running = stack === CLASSIC_STACK ? await detectStack(native, options) : null;
  const label =
    running === null
      ? await loadedLabel(native, stack, options)
      : running.hasStackFile
        ? running.stack
        : null;
  if (label === null) {
    if (running !== null) return running;
    const why = "this kernel's driver is older than the choice of stacks";
    throw await stackRefused(native, stack, CLASSIC_STACK, options, why);
  }
  // Before anything is loaded for a stack that cannot run.
  if (label !== stack) await requireIdle(native, label, stack, options);
  await loadPlugin(native, stack, options);
  if (label === stack) return running ?? detectStack(native, options);
  await switchLabel(native, label, stack, options);
  const now = await readLabel(native, signal);
  if (now === stack) return detectStack(native, options);
  const why = "the kernel did not take the change";
  throw await stackRefused(native, stack, now ?? CLASSIC_STACK, options, why);
}

/** The label where a user stack is wanted, with the driver loaded where it is missing. Null on one without stacks. Errors: O2CB_MODULE_NOT_LOADED. */
async function loadedLabel(native: Native, stack: string, options: SetupOptions): Promise<string | null> {
  const { signal } = options;
  const label = await readLabel(native, signal);
  if (label !== null) return label;
  if (options.loadModules !== false) {
    await loadModule(native, "ocfs2", options);
    const loaded = await readLabel(native, signal);
    if (loaded !== null) return loaded;
  }
  if ((await readRevision(native, signal)) !== null) return null;
  throw new O2cbError(
    "O2CB_MODULE_NOT_LOADED",
    `the kernel knows of no cluster stack: ${STACK_FILE} is not there`,
    {
      operation: "set-stack",
      clusterStack: stack,
      path: STACK_FILE,
      remedy: "load the module ocfs2, or install the package that holds it for this kernel",
    },
  );
}

/** Errors: O2CB_MODULE_NOT_LOADED where a user stack's is not to be had; o2cb's may be a part of the kernel, and is then not to be seen. */
async function loadPlugin(native: Native, stack: string, options: SetupOptions): Promise<void> {
  const plugin = stack === CLASSIC_STACK ? CLASSIC_PLUGIN : USER_PLUGIN;
  if (await hasPlugin(native, stack, options.signal)) return;
  if (options.loadModules !== false) {
    await loadModule(native, plugin, options);
    if (stack === CLASSIC_STACK || (await hasPlugin(native, stack, options.signal))) return;
  }
  if (stack === CLASSIC_STACK) return;
  throw new O2cbError(
    "O2CB_MODULE_NOT_LOADED",
    `the kernel has no plugin for the cluster stack '${stack}': the module ${plugin} is not loaded`,
    {
      operation: "set-stack",
      clusterStack: stack,
      path: `/sys/module/${plugin}`,
      remedy: `see what \`modprobe ${plugin}\` says, or install the package that holds it for this kernel`,
    },
  );
}

/** Whether the kernel has the plugin of a stack loaded, as far as it can be told of o2cb's. */
export async function hasPlugin(native: Native, stack: string, signal?: AbortSignal): Promise<boolean> {
  if (stack === CLASSIC_STACK) return exists(native, `/sys/module/${CLASSIC_PLUGIN}`, signal);
  const misc = (await readHint(native, MISC_FILE)) ?? "";
  return (
    miscMinor(misc, PLUGIN_CONTROL) !== null || (await exists(native, `/sys/module/${USER_PLUGIN}`, signal))
  );
}

async function switchLabel(
  native: Native,
  from: string,
  stack: string,
  options: SetupOptions,
): Promise<void> {
  const { signal, onStep } = options;
  emit(onStep, { step: "set-stack", stack });
  try {
    await native.writeAttribute(STACK_FILE, stack, { signal });
  } catch (error) {
    if (!isErrno(error, "EBUSY")) throw error;
    throw await stackRefused(native, stack, from, options, null, error);
  }
}

/** The kernel refuses a change while the plugin is active. A registered cluster of o2cb is somebody's as well, whether it beats or not: the label would go from under it. */
async function requireIdle(
  native: Native,
  label: string,
  stack: string,
  options: SetupOptions,
): Promise<void> {
  const isActive = ((await readHint(native, ACTIVE_PLUGIN))?.trim() ?? "") !== "";
  const isRegistered = label === CLASSIC_STACK && (await registeredCluster(native)) !== null;
  if (isActive || isRegistered) throw await stackRefused(native, stack, label, options, null);
}
