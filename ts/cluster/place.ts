// Where a cluster's registration is worked on: the classic stack has to be the running one, its configfs mounted, and this process in the
// host's network.
//
// Facts relied on: group-api 1.4 and 5.5 (what the C tool asks for), kernel-abi 1.4 (`local` opens its socket in the writer's network
// namespace, while the kernel connects from the initial one). Where /proc does not tell namespaces, nothing is refused.
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { CONFIGFS_BASES, detectStack } from "../stack/detect.ts";
import { CLASSIC_STACK } from "../volume.ts";
import type { KernelWrites } from "./writes.ts";

/**
 * The mount point of configfs. On a dry run of something that would load the stack first, the place where it would be.
 * Errors: those of detectStack, O2CB_INVALID_STACK_NAME.
 */
export async function clusterPlace(writes: KernelWrites, isLoaded = true): Promise<string> {
  try {
    const running = await detectStack(writes.native, { loadModules: false, signal: writes.signal });
    if (running.stack === CLASSIC_STACK && running.configfs !== null) return running.configfs;
    if (!writes.dryRun || isLoaded) throw otherStack(running.stack);
  } catch (error) {
    if (!writes.dryRun || isLoaded) throw error;
  }
  return CONFIGFS_BASES[0] ?? "";
}

function otherStack(stack: string): O2cbError {
  return new O2cbError(
    "O2CB_INVALID_STACK_NAME",
    `the running cluster stack is '${stack}', whose clusters are not registered by o2cb`,
    {
      operation: "find-cluster",
      clusterStack: stack,
      remedy: `use the tools of '${stack}', or set O2CB_STACK=${CLASSIC_STACK} and run o2cb online`,
    },
  );
}

/** Errors: O2CB_NAMESPACE. */
export async function requireHostNetwork(native: Native, operation: string): Promise<void> {
  const link = async (pid: string): Promise<string | null> =>
    native.readLink(`/proc/${pid}/ns/net`).catch(() => null);
  const [host, own] = await Promise.all([link("1"), link("self")]);
  if (host === null || own === null || host === own) return;
  throw new O2cbError(
    "O2CB_NAMESPACE",
    "this process has a network of its own: the kernel would listen for the cluster's nodes there, and connect to them from the host's",
    {
      operation,
      path: "/proc/self/ns/net",
      remedy: "run it on the host itself, or with nsenter -t 1 --net COMMAND",
    },
  );
}
