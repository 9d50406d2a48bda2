// Which cluster stack the kernel runs, which interface revision it speaks and where its configfs is.
//
// Facts relied on: /sys/fs/ocfs2/cluster_stack holds exactly 4 bytes and a newline; without the file the kernel is
// older than the stack glue and runs the classic stack (group-api 1.2). The revision is looked for at three paths, newest
// first (1.3), and configfs at two, told by its magic 0x62656570 (1.4).
//
// Unlike the C library: a revision that is not a number is refused, and modules are loaded by a child that this process waits for by
// itself (group-api B12, B13). Changing the stack: setup.ts.
import { readOptional } from "../attributes.ts";
import { isErrno, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import { CLASSIC_STACK } from "../volume.ts";

export const STACK_FILE = "/sys/fs/ocfs2/cluster_stack";
const REVISION_FILES = [
  "/sys/fs/o2cb/interface_revision",
  "/sys/o2cb/interface_revision",
  "/proc/fs/ocfs2_nodemanager/interface_revision",
];
export const CONFIGFS_BASES: readonly string[] = ["/sys/kernel/config", "/config"];
const CONFIGFS_MAGIC = 0x62656570;
/** The newest revision of the o2cb interface that is known; kernels from 2006 to today say 5 or less. */
const NEWEST_REVISION = 5;
export const MODPROBE = "/sbin/modprobe";

export interface RunningStack {
  /** 4 bytes */
  stack: string;
  /** false on drivers older than the stack glue (the 1.2 era) */
  hasStackFile: boolean;
  /** null for a user stack, which has none */
  revision: number | null;
  /** where configfs is mounted; null for a user stack on a host without it */
  configfs: string | null;
}

export interface DetectOptions {
  /** load missing modules; default true */
  loadModules?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

/**
 * Finds the running stack; loads the classic stack's modules where nothing of OCFS2 is in the kernel yet.
 * Errors: O2CB_SERVICE_UNAVAILABLE, O2CB_MODULE_NOT_LOADED, O2CB_BAD_VERSION, O2CB_INTERNAL_FAILURE.
 */
export async function detectStack(native: Native, options: DetectOptions = {}): Promise<RunningStack> {
  let label = await readLabel(native, options.signal);
  let configfs = await findConfigfs(native, options.signal);
  let revision = await readRevision(native, options.signal);
  if ((label === null || (label === CLASSIC_STACK && revision === null)) && options.loadModules !== false) {
    await loadModules(native, options);
    label = await readLabel(native, options.signal);
    revision = await readRevision(native, options.signal);
    configfs = await findConfigfs(native, options.signal);
  }
  const stack = label ?? CLASSIC_STACK;
  if (stack === CLASSIC_STACK) {
    if (revision === null) {
      throw new O2cbError(
        "O2CB_MODULE_NOT_LOADED",
        "the kernel has no o2cb cluster stack: none of its interface revision files exists",
        {
          operation: "detect-stack",
          clusterStack: stack,
          path: REVISION_FILES[0],
          remedy: "load the module ocfs2_stack_o2cb, or install the package that holds it for this kernel",
        },
      );
    }
    if (configfs === null) {
      throw new O2cbError(
        "O2CB_SERVICE_UNAVAILABLE",
        `configfs is mounted neither at ${CONFIGFS_BASES.join(" nor at ")}`,
        {
          operation: "detect-stack",
          clusterStack: stack,
          remedy: "mount it: mount -t configfs configfs /sys/kernel/config",
        },
      );
    }
  }
  return { stack, hasStackFile: label !== null, revision, configfs };
}

/** The label; null on a driver without stacks, or where none is loaded. Errors: O2CB_SERVICE_UNAVAILABLE, O2CB_INTERNAL_FAILURE. */
export async function readLabel(native: Native, signal: AbortSignal | undefined): Promise<string | null> {
  const label = await readOptional(native, STACK_FILE, signal);
  if (label === null || Buffer.byteLength(label) === 4) return label;
  const code = label === "" ? "O2CB_SERVICE_UNAVAILABLE" : "O2CB_INTERNAL_FAILURE";
  const found = label === "" ? "is empty" : `holds ${Buffer.byteLength(label)} bytes`;
  throw new O2cbError(code, `the kernel's cluster stack label ${found}, 4 bytes are expected`, {
    operation: "detect-stack",
    path: STACK_FILE,
  });
}

/** Null without the classic stack. Errors: O2CB_BAD_VERSION. */
export async function readRevision(native: Native, signal?: AbortSignal): Promise<number | null> {
  for (const path of REVISION_FILES) {
    const text = await readOptional(native, path, signal);
    if (text === null) continue;
    if (/^\d{1,9}$/.test(text) && Number(text) <= NEWEST_REVISION) return Number(text);
    throw new O2cbError(
      "O2CB_BAD_VERSION",
      `the kernel's o2cb interface revision is '${text.slice(0, 20)}', a number up to ${NEWEST_REVISION} is expected`,
      {
        operation: "detect-stack",
        path,
      },
    );
  }
  return null;
}

/** Where configfs is mounted; null where it is not. */
export async function findConfigfs(
  native: Pick<Native, "inspectPath">,
  signal?: AbortSignal,
): Promise<string | null> {
  for (const base of CONFIGFS_BASES) {
    try {
      const facts = await native.inspectPath(base, null, { signal });
      if (facts.kind === "directory" && facts.filesystemMagic === CONFIGFS_MAGIC) return base;
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
    }
  }
  return null;
}

async function loadModules(native: Native, options: DetectOptions): Promise<void> {
  for (const module of ["ocfs2", "ocfs2_stack_o2cb"]) await loadModule(native, module, options);
}

/** What fails here shows in what is read afterwards, so a refusal of modprobe alone is no error. */
export async function loadModule(
  native: Native,
  module: string,
  { signal, onStep }: Pick<DetectOptions, "signal" | "onStep">,
): Promise<void> {
  emit(onStep, { step: "load-module", module });
  try {
    await native.runProgram(MODPROBE, ["-q", module], { signal });
  } catch (error) {
    if (!isErrno(error, "ENOENT", "EACCES", "EPERM")) throw error;
  }
}
