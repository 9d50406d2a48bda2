// What has to be true before the daemon joins anything: the kernel runs the stack that it serves, dlm_controld has chosen one of its two
// modes, and that mode can be served on this kernel.
//
// Facts relied on: userspace-stack 2.6 and 3.2. dlm_controld writes `recover_callbacks` shortly after it answers its first client: 1 means
// that recovery is the kernel's and its own, 0 (`--enable_fscontrol=1`) that both wait for a daemon like this one. The cluster's name is
// corosync's; fs/dlm and the superblock have 16 bytes for it. max_locking_protocol is `1.0` up to today.
//
// The decision for 0: a dead node's volumes are recovered by DOWN, which a fortified kernel does not survive. It is sent only where the kernel
// is known to survive it; else the daemon does not start, unless it is told to go without recovery (docs/controld.md).
import { readOptional } from "../attributes.ts";
import { O2cbError } from "../errors.ts";
import { kernelRelease } from "../kernel-release.ts";
import { pause } from "../pause.ts";
import { STACK_FILE } from "../stack/detect.ts";
import { readDlmSettings } from "../stack/transport.ts";
import { CLUSTER_NAME_BYTES, CLUSTER_NAME_KEY, nameProblem } from "../stack/user-cluster.ts";
import { CLASSIC_STACK } from "../volume.ts";
import { kernelSafety, type ReadBytes } from "./kernel-safety.ts";
import type { DaemonNative } from "./services.ts";
import { parseVersion, type Version } from "./versions.ts";

const LOCKING_PROTOCOL_FILE = "/sys/fs/ocfs2/max_locking_protocol";
const MODE_PATIENCE_MS = 10_000;
const MODE_PAUSE_MS = 250;

/** `callbacks`: dlm_controld and the kernel recover by themselves; `fscontrol`: they wait for the daemon. */
export type DlmMode = "callbacks" | "fscontrol";

/** What becomes of a dead node's volumes, and why. */
export interface RecoveryChoice {
  by: "kernel" | "daemon" | "nobody";
  reason: string;
}

export interface Surroundings {
  stack: string;
  cluster: string;
  mode: DlmMode;
  recovery: RecoveryChoice;
  /** the newest that the kernel's file system speaks */
  fs: Version;
}

export interface CheckOptions {
  /** the label to serve; default: the one that runs */
  stack?: string | undefined;
  withoutRecovery?: boolean | undefined;
  readBytes?: ReadBytes | undefined;
  /** shortens every time span, for tests */
  scale?: number | undefined;
  signal: AbortSignal;
}

/**
 * Errors: O2CB_MODULE_NOT_LOADED, O2CB_INVALID_STACK_NAME, O2CB_SERVICE_UNAVAILABLE, O2CB_INVALID_CLUSTER_NAME, O2CB_BAD_VERSION,
 * O2CB_UNSAFE_KERNEL.
 */
export async function checkSurroundings(native: DaemonNative, options: CheckOptions): Promise<Surroundings> {
  const { signal } = options;
  const stack = await runningStack(native, options.stack, signal);
  const fs = await lockingProtocol(native, signal);
  const cluster = await clusterName(native, signal);
  const mode = await waitForMode(native, options);
  return { stack, cluster, mode, recovery: await chooseRecovery(native, mode, options), fs };
}

async function runningStack(
  native: DaemonNative,
  wanted: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const running = await readOptional(native, STACK_FILE, signal);
  if (running === null)
    throw new O2cbError("O2CB_MODULE_NOT_LOADED", `'${STACK_FILE}' is not there: ocfs2 is not loaded`, {
      ...here,
      path: STACK_FILE,
      remedy: "load the modules ocfs2 and ocfs2_stack_user, and write the stack's label into that file",
    });
  if (running === CLASSIC_STACK || running !== (wanted ?? running)) {
    const needed = wanted === undefined ? "a userspace stack" : `'${wanted}'`;
    throw new O2cbError(
      "O2CB_INVALID_STACK_NAME",
      `the kernel runs the cluster stack '${running}', and this daemon is to serve ${needed}`,
      {
        ...here,
        path: STACK_FILE,
        clusterStack: running,
        remedy: `unmount what uses '${running}', then write ${wanted ?? "the label (pcmk, cman)"} into '${STACK_FILE}'`,
      },
    );
  }
  return running;
}

async function lockingProtocol(native: DaemonNative, signal: AbortSignal): Promise<Version> {
  const text = await readOptional(native, LOCKING_PROTOCOL_FILE, signal);
  const version = text === null ? null : parseVersion(text);
  if (version !== null) return version;
  const found = text === null ? "is not there" : `holds '${text.slice(0, 20)}'`;
  throw new O2cbError(
    "O2CB_BAD_VERSION",
    `'${LOCKING_PROTOCOL_FILE}' ${found}; two numbers, such as 1.0, are expected`,
    { ...here, path: LOCKING_PROTOCOL_FILE },
  );
}

async function clusterName(native: DaemonNative, signal: AbortSignal): Promise<string> {
  const name = await native.readClusterMap(CLUSTER_NAME_KEY, { signal });
  if (name === null)
    throw new O2cbError("O2CB_SERVICE_UNAVAILABLE", `corosync has no ${CLUSTER_NAME_KEY}`, {
      ...here,
      remedy: "set cluster_name in the section totem of corosync.conf on all nodes, and start corosync again",
    });
  if (name !== "" && nameProblem(name) === null) return name;
  throw new O2cbError(
    "O2CB_INVALID_CLUSTER_NAME",
    `corosync's ${CLUSTER_NAME_KEY} is '${name.slice(0, 64)}', and no volume can carry that: 1 to ${CLUSTER_NAME_BYTES} bytes without blanks are expected`,
    { ...here, cluster: name, remedy: "choose another cluster_name in corosync.conf on all nodes" },
  );
}

/** Null where dlm_controld has not written it. */
export async function readMode(native: DaemonNative, signal?: AbortSignal): Promise<DlmMode | null> {
  const { recoverCallbacks } = await readDlmSettings(native, signal);
  if (recoverCallbacks === null) return null;
  return recoverCallbacks === "0" ? "fscontrol" : "callbacks";
}

async function waitForMode(native: DaemonNative, { signal, scale = 1 }: CheckOptions): Promise<DlmMode> {
  const deadline = Date.now() + MODE_PATIENCE_MS * scale;
  for (;;) {
    const mode = await readMode(native, signal);
    if (mode !== null) return mode;
    signal.throwIfAborted();
    if (Date.now() >= deadline)
      throw new O2cbError(
        "O2CB_SERVICE_UNAVAILABLE",
        "dlm_controld has not set up the kernel's DLM: dlm/cluster/recover_callbacks is not in configfs",
        { ...here, remedy: "start dlm_controld (systemctl start dlm), and mount configfs" },
      );
    await pause(MODE_PAUSE_MS * scale, signal);
  }
}

async function chooseRecovery(
  native: DaemonNative,
  mode: DlmMode,
  { withoutRecovery, readBytes }: CheckOptions,
): Promise<RecoveryChoice> {
  if (mode === "callbacks")
    return { by: "kernel", reason: "dlm_controld and the kernel recover by themselves" };
  if (withoutRecovery === true)
    return { by: "nobody", reason: "the daemon was started with --without-recovery" };
  const release = (await kernelRelease(native))?.text ?? null;
  const { survivesDown, reason } = kernelSafety(release, readBytes);
  if (survivesDown) return { by: "daemon", reason };
  throw new O2cbError(
    "O2CB_UNSAFE_KERNEL",
    `dlm_controld runs with --enable_fscontrol=1, and then a node's death has to be told to the kernel, which crashes a kernel built with CONFIG_FORTIFY_SOURCE: ${reason}`,
    {
      ...here,
      remedy:
        "run dlm_controld without --enable_fscontrol; or accept, with --without-recovery, that a volume stands still on all nodes once one of its nodes has died",
    },
  );
}

const here = { operation: "start-controld" } as const;
