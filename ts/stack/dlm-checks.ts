// What can be known of the DLM before mount(2) joins it, each with a sentence: after it the kernel answers with a bare errno, or waits
// where nothing reaches it.
//
// Facts relied on: userspace-stack 7.3 (the DLM's control device, its 12 bytes), 8 (what mount(2) says instead: ENOTCONN without dlm_controld,
// EBADR for another cluster, ESRCH without recovery callbacks), 5 (16 bytes for a cluster's name on the disk), 9.5 (configfs as dlm_controld
// leaves it). udev links the device into /dev/misc; devtmpfs makes it in /dev. Miscellaneous devices have major number 10.
//
// Unlike the C library: no wait of ten seconds for a link that nobody makes, and the cluster's name is compared.
import { readOptional } from "../attributes.ts";
import { errnoName, isCode, isErrno, O2cbError, type O2cbErrorFields } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import type { Volume } from "../volume.ts";
import { CONFIGFS_BASES } from "./detect.ts";
import { DLM_CONTROL, isMiscDevice, MISC_FILE, MISC_MAJOR, miscMinor, miscPlaces } from "./misc-devices.ts";
import { readDlmSettings } from "./transport.ts";
import { nameProblem, otherCluster } from "./user-cluster.ts";

export interface DlmCheckOptions {
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

const DEVICE_PATHS = miscPlaces(DLM_CONTROL);
/** The first whose lockspaces can have recovery callbacks. */
const LEAST_VERSION = 6;

/**
 * The name of the running cluster, which is the volume's.
 * Errors: O2CB_MODULE_NOT_LOADED, O2CB_SERVICE_UNAVAILABLE, O2CB_PERMISSION_DENIED, O2CB_BAD_VERSION, O2CB_INVALID_CLUSTER_NAME.
 */
export async function checkDlm(native: Native, volume: Volume, options: DlmCheckOptions): Promise<string> {
  const { signal, onStep } = options;
  const fields = {
    operation: "begin-join",
    path: volume.device,
    region: volume.uuid,
    clusterStack: volume.stack,
  };
  const minor = await controlMinor(native, fields, signal);
  await checkVersion(native, minor, fields, signal);
  const cluster = await checkSettings(native, fields, signal);
  checkName(volume, cluster, fields);
  await tellQuorum(native, volume.uuid, signal, onStep);
  return cluster;
}

/** The number of the DLM's control device. Setting up the stack has loaded its plugin, which brings the DLM along. */
async function controlMinor(native: Native, fields: O2cbErrorFields, signal?: AbortSignal): Promise<number> {
  const minor = miscMinor((await readOptional(native, MISC_FILE, signal)) ?? "", DLM_CONTROL);
  if (minor !== null) return minor;
  throw new O2cbError(
    "O2CB_MODULE_NOT_LOADED",
    "the kernel has no DLM: its control device is not among those of /proc/misc",
    {
      ...fields,
      path: MISC_FILE,
      remedy: "see what `modprobe dlm` says, or install the package that holds the module for this kernel",
    },
  );
}

async function checkVersion(
  native: Native,
  minor: number,
  fields: O2cbErrorFields,
  signal?: AbortSignal,
): Promise<void> {
  const path = await findNode(native, minor, signal);
  if (path === null) {
    throw new O2cbError(
      "O2CB_SERVICE_UNAVAILABLE",
      `the DLM's control device is neither at ${DEVICE_PATHS.join(" nor at ")}`,
      {
        ...fields,
        path: DEVICE_PATHS[1],
        remedy: `start udev, which makes it, or make it yourself: mknod -m 600 ${DEVICE_PATHS[1]} c ${MISC_MAJOR} ${minor}`,
      },
    );
  }
  let version: { major: number; minor: number; patch: number };
  try {
    version = await native.dlmVersion(path, { signal });
  } catch (error) {
    if (!isErrno(error, "EACCES", "EPERM")) throw error;
    throw new O2cbError("O2CB_PERMISSION_DENIED", `the DLM's control device '${path}' may not be opened`, {
      ...fields,
      path,
      errno: (error as O2cbError).errno,
      remedy: "run it as root, in the initial user namespace",
      cause: error,
    });
  }
  if (version.major >= LEAST_VERSION) return;
  throw new O2cbError(
    "O2CB_BAD_VERSION",
    `the kernel's DLM has version ${version.major}.${version.minor}.${version.patch}, and ${LEAST_VERSION} is the first that can tell of dead nodes`,
    { ...fields, path, remedy: "use a newer kernel, or a control daemon: see o2cb doctor" },
  );
}

/** The first of the two places that has this very device. */
async function findNode(native: Native, minor: number, signal?: AbortSignal): Promise<string | null> {
  for (const path of DEVICE_PATHS) if (await isMiscDevice(native, path, minor, signal)) return path;
  return null;
}

/** The running cluster's name, as dlm_controld has told the kernel. */
async function checkSettings(native: Native, fields: O2cbErrorFields, signal?: AbortSignal): Promise<string> {
  const { directory, clusterName, recoverCallbacks } = await readDlmSettings(native, signal);
  const unavailable = (message: string, remedy: string, path?: string): O2cbError =>
    new O2cbError("O2CB_SERVICE_UNAVAILABLE", message, { ...fields, path, remedy });
  if (directory === null)
    throw unavailable(
      `configfs is mounted neither at ${CONFIGFS_BASES.join(" nor at ")}, so dlm_controld cannot tell the kernel of the cluster`,
      "mount it (mount -t configfs configfs /sys/kernel/config), and start dlm_controld again",
      CONFIGFS_BASES[0],
    );
  if (clusterName === null)
    throw unavailable(
      "dlm_controld does not run on this node: the kernel's DLM knows of no cluster",
      "start corosync and dlm_controld on this node (systemctl start corosync dlm, or the cluster's resource for dlm)",
      directory,
    );
  if (recoverCallbacks !== null && recoverCallbacks !== "1")
    throw unavailable(
      `dlm_controld runs without recovery callbacks (recover_callbacks is '${recoverCallbacks}'), so nobody would tell the kernel of dead nodes`,
      "start dlm_controld without --enable_fscontrol, or a control daemon beside it (ocfs2_controld)",
      `${directory}/recover_callbacks`,
    );
  return clusterName;
}

/** The kernel compares the names and answers EBADR (userspace-stack 8). */
function checkName(volume: Volume, running: string, fields: O2cbErrorFields): void {
  if (volume.cluster === running) return;
  const problem = nameProblem(running);
  const rename =
    problem === null
      ? undefined
      : `give the cluster another cluster_name in corosync.conf on all nodes, since no volume can carry this one: ${problem}`;
  throw otherCluster(volume, running, fields, rename);
}

/** Without quorum the kernel waits inside mount(2) (userspace-stack 6.1): no refusal, since the other nodes may come. */
async function tellQuorum(
  native: Native,
  region: string,
  signal: AbortSignal | undefined,
  onStep: OnStep | undefined,
): Promise<void> {
  try {
    if (!(await native.isQuorate({ signal }))) emit(onStep, { step: "wait-quorum", region });
  } catch (error) {
    if (isCode(error, "O2CB_ABORTED")) throw error;
    const why = error instanceof O2cbError ? error.message : (errnoName(error) ?? String(error));
    emit(onStep, {
      step: "warning",
      code: isCode(error, "O2CB_SERVICE_UNAVAILABLE") ? "O2CB_SERVICE_UNAVAILABLE" : "O2CB_INTERNAL_FAILURE",
      message: `corosync does not tell whether this node has quorum (${why}); without quorum the mount waits inside the kernel, where nothing reaches it`,
    });
  }
}
