// What a cluster stack needs in the kernel before a cluster can be registered: file systems mounted, modules loaded; and the way back.
//
// Facts relied on: commands 4.2 and 5 (what the init script loads and mounts, in which order; old drivers have no stack modules), kernel-abi 5
// (dlmfs takes no options), 8 (configfs at /config on old kernels), users 1.2 C7 (all of it may be there already). modprobe succeeds
// for what is loaded or built in, so it is run only where /sys/module does not show the module, and what follows from it is looked at.
// userspace-stack 6.3: a user stack has no use for dlmfs, whose module keeps the C tools from locking its volumes.
//
// Each step is success where it is as wanted. Loading stays half done where it fails: the next load goes on from there. Modules that are
// in use are left in place.
import { exists } from "../attributes.ts";
import { DLMFS_DIRECTORY, DLMFS_TYPE, dlmfsMounts } from "../dlm/dlmfs.ts";
import { errnoName, isErrno, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { HB_CTL_PATH } from "../region/hb-ctl-path.ts";
import { listOrNone, registeredCluster } from "../region/regions.ts";
import { CONFIGFS_BASES, findConfigfs, MODPROBE, readRevision, STACK_FILE } from "../stack/detect.ts";
import { hasPlugin, USER_PLUGIN } from "../stack/setup.ts";
import { emit } from "../steps.ts";
import { CLASSIC_STACK } from "../volume.ts";
import type { Leave } from "./desired-state.ts";
import { clusterHolders } from "./holders.ts";
import { restoreLeaveProgram, setLeaveProgram } from "./leave-program.ts";
import { leaveUserStack } from "./use-stack.ts";
import type { KernelWrites } from "./writes.ts";

export const DEBUGFS_DIRECTORY = "/sys/kernel/debug";
const DEBUGFS_MAGIC = 0x6462_6720;
/** From the users to what they use; a driver has some of them. */
const UNLOAD_ORDER = [
  "ocfs2",
  "ocfs2_dlmfs",
  "ocfs2_stack_o2cb",
  "ocfs2_stack_user",
  "ocfs2_dlm",
  "ocfs2_nodemanager",
  "ocfs2_stackglue",
] as const;

export interface StackSettings {
  /** 4 bytes; everything but `o2cb` is a user stack */
  stack: string;
  leave: Leave;
}

/**
 * Loads the stack's modules and mounts what they need.
 * Errors: O2CB_MODULE_NOT_LOADED, O2CB_MOUNT_FAILED, O2CB_PERMISSION_DENIED, O2CB_INTERNAL_FAILURE.
 */
export async function loadStack(writes: KernelWrites, { stack, leave }: StackSettings): Promise<void> {
  const { native } = writes;
  await mountDebugfs(writes);
  await mountConfigfs(writes);
  const hasGlue = await loadGlue(writes, stack);
  if (stack === CLASSIC_STACK) {
    if (hasGlue) await loadModule(writes, "ocfs2_stack_o2cb");
    else for (const module of ["ocfs2_nodemanager", "ocfs2_dlm"]) await loadModule(writes, module);
    if (!writes.dryRun && (await readRevision(native, writes.signal)) === null)
      throw missing("ocfs2_stack_o2cb", "the modules are loaded, but the kernel shows no o2cb interface");
    await mountDlmfs(writes);
  } else if (!(await hasPlugin(native, stack, writes.signal))) await loadModule(writes, USER_PLUGIN);
  await setLeaveProgram(writes, leave);
}

/** False on a driver that is older than stacks. */
async function loadGlue(writes: KernelWrites, stack: string): Promise<boolean> {
  const isThere = (): Promise<boolean> => exists(writes.native, STACK_FILE, writes.signal);
  if (await isThere()) return true;
  // Since there are stacks, the glue brings this file; before, the node manager did.
  if (stack === CLASSIC_STACK && (await exists(writes.native, HB_CTL_PATH, writes.signal))) return false;
  const isLoaded = await modprobe(writes, "ocfs2_stackglue");
  if (writes.dryRun || (await isThere())) return true;
  if (stack === CLASSIC_STACK && !isLoaded) return false;
  throw missing("ocfs2_stackglue", "this kernel has no choice of cluster stacks");
}

async function loadModule(writes: KernelWrites, module: string): Promise<void> {
  if (await exists(writes.native, `/sys/module/${module}`, writes.signal)) return;
  if (!(await modprobe(writes, module))) throw missing(module, `modprobe could not load it`);
}

function missing(module: string, reason: string, cause?: unknown): O2cbError {
  return new O2cbError("O2CB_MODULE_NOT_LOADED", `the kernel module ${module} is not loaded: ${reason}`, {
    operation: "load-stack",
    path: `/sys/module/${module}`,
    remedy: `see what \`modprobe ${module}\` says; o2cb doctor names the package that holds it`,
    cause,
  });
}

/** False where modprobe says no, or is not there. */
async function modprobe(writes: KernelWrites, module: string): Promise<boolean> {
  emit(writes.onStep, { step: "load-module", module });
  try {
    return (await writes.native.runProgram(MODPROBE, ["-q", module], { signal: writes.signal })) === 0;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

/** Without debugfs everything works, and less can be told. */
async function mountDebugfs(writes: KernelWrites): Promise<void> {
  if ((await magicOf(writes.native, DEBUGFS_DIRECTORY)) === DEBUGFS_MAGIC) return;
  try {
    await mountTree(writes, "debugfs", DEBUGFS_DIRECTORY);
  } catch (error) {
    writes.skip("debugfs", `it cannot be mounted (${errnoName(error) ?? (error as Error).message})`);
  }
}

async function mountConfigfs(writes: KernelWrites): Promise<void> {
  const { native, signal } = writes;
  if ((await findConfigfs(native, signal)) !== null) return;
  if (!(await exists(native, "/sys/module/configfs", signal))) await modprobe(writes, "configfs");
  for (const base of CONFIGFS_BASES) {
    if (!(await exists(native, base, signal)) && !(writes.dryRun && base === CONFIGFS_BASES[0])) continue;
    await mountTree(writes, "configfs", base);
    if (writes.dryRun || (await findConfigfs(native, signal)) !== null) return;
  }
  throw new O2cbError(
    "O2CB_MOUNT_FAILED",
    `configfs can be mounted neither at ${CONFIGFS_BASES.join(" nor at ")}: there is no such directory`,
    { operation: "load-stack", remedy: "load the module configfs, or make the directory /config" },
  );
}

async function mountDlmfs(writes: KernelWrites): Promise<void> {
  const { native, signal } = writes;
  const isMounted = (await dlmfsMounts(native)).length > 0;
  if (isMounted) return;
  await loadModule(writes, DLMFS_TYPE);
  if (!(await exists(native, DLMFS_DIRECTORY, signal))) await writes.makeDirectory(DLMFS_DIRECTORY);
  await mountTree(writes, DLMFS_TYPE, DLMFS_DIRECTORY);
}

/** A second mount of the same tree at the same place is EBUSY: somebody was faster. */
async function mountTree({ native, signal }: KernelWrites, type: string, target: string): Promise<void> {
  try {
    const request = {
      source: type,
      target,
      type,
      flags: 0,
      options: [],
      api: "mount",
      namespace: null,
    } as const;
    await native.mount(request, { signal });
  } catch (error) {
    if (isErrno(error, "ENODEV")) throw missing(type, "the kernel does not know its file system", error);
    if (!isErrno(error, "EBUSY")) throw error;
  }
}

async function magicOf(native: Native, path: string): Promise<number | null> {
  return native.inspectPath(path, null).then(
    ({ filesystemMagic }) => filesystemMagic,
    () => null,
  );
}

export interface UnloadResult {
  unloaded: string[];
  /** still in use, by another mount or module */
  kept: string[];
}

/**
 * The way back: hb_ctl_path as it was, dlmfs unmounted, the modules out of the kernel, configfs unmounted where it is empty.
 * Errors: O2CB_CLUSTER_EXISTS (a cluster is registered), O2CB_REGION_IN_USE (a DLM domain, or a user stack's mounts), O2CB_UNMOUNT_FAILED.
 */
export async function unloadStack(
  writes: KernelWrites,
  options: { /** on a dry run: the cluster would be offline by then */ assumeOffline?: boolean } = {},
): Promise<UnloadResult> {
  const { native, signal } = writes;
  if (!(writes.dryRun && options.assumeOffline)) {
    await requireIdle(writes);
    // The modules may be a part of the kernel, and stay.
    await leaveUserStack(writes, { operation: "unload-stack" });
  }
  await restoreLeaveProgram(writes);
  for (const target of await dlmfsMounts(native)) {
    try {
      await native.unmount({ target, flags: 0, namespace: null }, { signal });
    } catch (error) {
      if (!isErrno(error, "EINVAL", "ENOENT")) throw busyDlmfs(target, error);
    }
  }
  const result: UnloadResult = { unloaded: [], kept: [] };
  for (const module of UNLOAD_ORDER) {
    if (!(await exists(native, `/sys/module/${module}`, signal))) continue;
    const isGone = await unloadModule(writes, module);
    (isGone ? result.unloaded : result.kept).push(module);
  }
  if (result.kept.length > 0)
    writes.skip(`unloading ${result.kept.join(", ")}`, "in use, or part of the kernel");
  await unmountConfigfs(writes);
  return result;
}

async function requireIdle(writes: KernelWrites): Promise<void> {
  const cluster = await registeredCluster(writes.native);
  if (cluster !== null)
    throw new O2cbError("O2CB_CLUSTER_EXISTS", `cluster '${cluster.name}' is still registered on this node`, {
      operation: "unload-stack",
      cluster: cluster.name,
      remedy: `take it offline first: o2cb offline ${cluster.name}`,
    });
  const { domains } = await clusterHolders(writes);
  const [domain] = domains;
  if (domain === undefined) return;
  throw new O2cbError("O2CB_REGION_IN_USE", `the DLM domain '${domain.name}' is still in use`, {
    operation: "unload-stack",
    path: domain.directory ?? undefined,
    remedy: "unmount the volume or end the program that has joined it",
  });
}

function busyDlmfs(target: string, error: unknown): unknown {
  if (!isErrno(error, "EBUSY")) return error;
  const { errno, syscall } = error as O2cbError;
  return new O2cbError("O2CB_UNMOUNT_FAILED", `dlmfs on '${target}' cannot be unmounted: it is in use`, {
    operation: "unload-stack",
    path: target,
    errno,
    syscall,
    remedy: `see who uses it with fuser -vm '${target}'`,
    cause: error,
  });
}

/** Whether the module is gone; modprobe takes along what it alone needed. */
async function unloadModule(writes: KernelWrites, module: string): Promise<boolean> {
  try {
    const status = await writes.native.runProgram(MODPROBE, ["-q", "-r", module], { signal: writes.signal });
    return writes.dryRun || status === 0 || !(await exists(writes.native, `/sys/module/${module}`));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

/** Others keep things in configfs too; a mount that they use stays, and so does one that is busy. */
async function unmountConfigfs(writes: KernelWrites): Promise<void> {
  const base = await findConfigfs(writes.native, writes.signal);
  if (base === null || writes.dryRun || (await listOrNone(writes.native, base)).length > 0) return;
  try {
    await writes.native.unmount({ target: base, flags: 0, namespace: null }, { signal: writes.signal });
  } catch (error) {
    writes.skip(`unmounting ${base}`, errnoName(error) ?? (error as Error).message);
  }
}
