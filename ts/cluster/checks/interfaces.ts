// What the kernel offers to the tools: configfs, debugfs, the stack, the interface revision.
//
// Facts relied on: group-api 1.2-1.4; kernel-abi 3 (what only debugfs tells), 4 (the stack file, and that any four bytes are taken there).
// What detectStack refuses is a failure here, in its own words.
import { exists, readOptional } from "../../attributes.ts";
import { isCode, type O2cbError } from "../../errors.ts";
import type { Native } from "../../native-types.ts";
import { readSysconfig } from "../../config/sysconfig.ts";
import { registeredCluster } from "../../region/regions.ts";
import { CONFIGFS_BASES, detectStack, findConfigfs, STACK_FILE } from "../../stack/detect.ts";
import { failure, good, warning, type Check, type Finding } from "./finding.ts";

const ACTIVE_FILE = "/sys/fs/ocfs2/active_cluster_plugin";
const DEBUGFS_MAGIC = 0x6462_6720;

export const interfaceChecks: readonly Check[] = [
  {
    id: "configfs",
    look: async ({ native }) => {
      const base = await findConfigfs(native);
      if (base !== null) return [good("configfs", `configfs is mounted at ${base}`)];
      return [
        failure(
          "configfs",
          `configfs is mounted neither at ${CONFIGFS_BASES.join(" nor at ")}, so no cluster can be registered`,
          "mount it: o2cb load, or mount -t configfs configfs /sys/kernel/config",
        ),
      ];
    },
  },
  {
    id: "debugfs",
    look: async ({ native }) => {
      const path = "/sys/kernel/debug";
      if ((await magicOf(native, path)) === DEBUGFS_MAGIC)
        return [good("debugfs", `debugfs is mounted at ${path}`)];
      return [
        warning(
          "debugfs",
          `debugfs is not mounted at ${path}: which nodes are live and what relies on a region cannot be told`,
          "mount it: mount -t debugfs debugfs /sys/kernel/debug",
        ),
      ];
    },
  },
  { id: "stack", look: async ({ native, signal }) => [await stackFinding(native, signal)] },
  { id: "interface-revision", look: async ({ native }) => [await revisionFinding(native)] },
];

async function stackFinding(native: Native, signal: AbortSignal | undefined): Promise<Finding> {
  const label = await readOptional(native, STACK_FILE);
  if (label === null) {
    if (await exists(native, "/sys/module/ocfs2_nodemanager"))
      return good("stack", `there is no ${STACK_FILE}: this driver knows the classic stack only`);
    return warning("stack", "no module of ocfs2 is loaded, so no cluster stack runs", "start it: o2cb load");
  }
  if (Buffer.byteLength(label) !== 4)
    return failure(
      "stack",
      `${STACK_FILE} reads '${label}', where 4 bytes are expected`,
      "set the stack: o2cb online",
    );
  const active = (await readOptional(native, ACTIVE_FILE))?.trim() || null;
  if (label === "o2cb")
    return good(
      "stack",
      `the stack is 'o2cb'${active === null ? "" : " and in use by a mount or a DLM domain"}`,
    );
  const what = `the stack is '${label}'${active === null ? "" : ", and in use by a mount"}`;
  const registered = await registeredCluster(native);
  if (registered !== null)
    return warning(
      "stack",
      `${what}, and the cluster '${registered.name}' of o2cb is registered`,
      active === null
        ? `decide for one: o2cb online, which sets it to 'o2cb', or o2cb offline ${registered.name}`
        : `unmount the volumes of '${label}', or take the other offline: o2cb offline ${registered.name}`,
    );
  const { enabled, stack } = (await readSysconfig(native, { signal })).values;
  if (!enabled || stack === label) return good("stack", what);
  return warning(
    "stack",
    `${what}, and the settings (O2CB_STACK) say '${stack}'`,
    active === null
      ? `run o2cb online, which sets it to '${stack}', or o2cb configure --stack ${label}`
      : `unmount the volumes of '${label}' first, or run o2cb configure --stack ${label}`,
  );
}

async function revisionFinding(native: Native): Promise<Finding> {
  const id = "interface-revision";
  try {
    const { revision, stack } = await detectStack(native, { loadModules: false });
    if (revision === null)
      return good(id, `the stack '${stack}' is not the kernel's own and has no interface revision`);
    return good(id, `the kernel's o2cb interface has revision ${revision}`);
  } catch (error) {
    if (isCode(error, "O2CB_MODULE_NOT_LOADED"))
      return warning(id, (error as O2cbError).message, "start it: o2cb load");
    if (isCode(error, "O2CB_BAD_VERSION"))
      return failure(
        id,
        (error as O2cbError).message,
        "install a release of this package that knows this kernel",
      );
    // Other causes are the subjects of the checks above.
    return warning(id, `it could not be read: ${(error as Error).message}`, null);
  }
}

async function magicOf(native: Native, path: string): Promise<number | null> {
  return (await exists(native, path)) ? (await native.inspectPath(path, null)).filesystemMagic : null;
}
