// mount and unmount, through either interface, and the mount table.
//
// Facts relied on: kernel-abi 7.2, umount2(2). Measured on Linux 6.18 with ext2: mount(2) looks the target up first, and refuses
// a second mount of one file system on one mount point (EBUSY) and a file as target (ENOTDIR) only when the superblock is made; through
// fsopen the target comes last (move_mount: ENOENT, EINVAL for a file), and a second mount on the same point succeeds.
import type {
  MountEntry,
  MountNamespace as NamespaceEntry,
  MountRequest,
  UnmountRequest,
} from "../../../ts/native-types.ts";
import { refuse, Refusal, refuseWithCode } from "./errors.ts";
import { checkOption } from "./ocfs2-options.ts";
import { getSuperblock, MS_RDONLY, remountSuperblock, Superblock } from "./ocfs2.ts";
import type { FakeKernel } from "./kernel.ts";
import type { Task } from "./task.ts";
import { isPseudo, mountPseudo } from "./pseudo-mounts.ts";
import { isMountRoot, type Mount, type MountNamespace, type Place } from "./vfs.ts";

const MS_REMOUNT = 32;
const MS_BIND = 4096;
const MNT_FORCE = 1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

export function namespaceAt(kernel: FakeKernel, task: Task, path: string | null): MountNamespace {
  if (path === null) return task.namespace;
  const pid = /^\/proc\/(\d+|self)\/ns\/mnt$/.exec(path)?.[1];
  if (pid !== undefined) {
    const wanted = pid === "self" ? task.pid : Number(pid);
    const found = kernel.features.namespaceLinks && kernel.tasks().find((other) => other.pid === wanted);
    return found ? found.namespace : refuse("ENOENT", { syscall: "open", path });
  }
  const place = task.namespace.walk(path, task);
  return (
    kernel.namespaces.get(place.path) ??
    refuse("EINVAL", {
      syscall: "setns",
      path,
      code: "O2CB_BAD_MOUNT_OPTION",
      detail: "the file given is not a mount namespace",
    })
  );
}

export async function mount(
  kernel: FakeKernel,
  task: Task,
  request: MountRequest,
  interrupt: AbortSignal,
  late: string | null,
): Promise<void> {
  const namespace = namespaceAt(kernel, task, request.namespace);
  try {
    await kernel.passMountGate(interrupt);
    if (request.api === "fsopen") await mountByContext(kernel, task, namespace, request, late);
    else await mountAtOnce(kernel, task, namespace, request, late);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const code = error.errno === "EINTR" && interrupt.aborted ? "O2CB_ABORTED" : error.fields.code;
    throw new Refusal(error.errno, { path: request.target, ...error.fields, code });
  }
}

async function mountAtOnce(
  kernel: FakeKernel,
  task: Task,
  namespace: MountNamespace,
  request: MountRequest,
  late: string | null,
): Promise<void> {
  const target = namespace.walk(request.target, task);
  if ((request.flags & MS_REMOUNT) !== 0) {
    remount(target, request);
    return namespace.touch();
  }
  if (isPseudo(request.type)) return mountPseudo(kernel, target, request);
  if ((request.flags & MS_BIND) !== 0) return bind(namespace, namespace.walk(request.source, task), target);
  const superblock = await makeSuperblock(kernel, task, namespace, request);
  await attach(superblock, late, () => {
    if (target.node.kind !== "directory") refuse("ENOTDIR");
    if (target.mount.fileSystem === superblock && isMountRoot(target)) refuse("EBUSY");
    return addMount(namespace, target, superblock, request);
  });
}

async function mountByContext(
  kernel: FakeKernel,
  task: Task,
  namespace: MountNamespace,
  request: MountRequest,
  late: string | null,
): Promise<void> {
  if (!kernel.features.fsopen) refuse("ENOSYS", { syscall: "fsopen" });
  if ((request.flags & (MS_REMOUNT | MS_BIND)) !== 0)
    refuseWithCode("O2CB_INTERNAL_FAILURE", `flags ${request.flags} are for mount(2), not for fsopen(2)`);
  const superblock = await makeSuperblock(kernel, task, task.namespace, request);
  await attach(superblock, late, () => {
    const target = findTarget(namespace, task, request.target);
    if (target.node.kind !== "directory") refuse("EINVAL", { syscall: "move_mount" });
    return addMount(namespace, target, superblock, request);
  });
}

function findTarget(namespace: MountNamespace, task: Task, path: string): Place {
  try {
    return namespace.walk(path, task);
  } catch (error) {
    throw error instanceof Refusal
      ? new Refusal(error.errno, { ...error.fields, syscall: "move_mount" })
      : error;
  }
}

/** The superblock is held while it is attached; where that fails it may end at once, with its call-out. */
async function attach(superblock: Superblock, late: string | null, work: () => Mount): Promise<void> {
  superblock.hold();
  try {
    if (late !== null) refuse(late);
    work();
  } finally {
    await superblock.release();
  }
}

async function makeSuperblock(
  kernel: FakeKernel,
  task: Task,
  namespace: MountNamespace,
  request: MountRequest,
): Promise<Superblock> {
  const syscall = request.api === "fsopen" ? "fsconfig" : "mount";
  try {
    if (request.type !== "ocfs2" || !(kernel.hasModule("ocfs2") || kernel.loadModule("ocfs2")))
      refuse("ENODEV", { syscall: request.api === "fsopen" ? "fsopen" : "mount" });
    if (request.api === "fsopen" && kernel.features.optionParser === "context")
      request.options.forEach(checkByItself);
    const source = namespace.walk(request.source, task);
    if (source.node.kind !== "block") refuse("ENOTBLK");
    return await getSuperblock(kernel, source.node.device, request.flags, request.options);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { path: _, ...fields } = error.fields;
    throw new Refusal(error.errno, { syscall, ...fields });
  }
}

function checkByItself(option: string): void {
  try {
    checkOption(option);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal("EINVAL", {
      code: "O2CB_BAD_MOUNT_OPTION",
      detail: `the kernel refused the option '${option}'`,
      kernelMessages: [`ocfs2: Unknown parameter '${option}'`],
    });
  }
}

function addMount(
  namespace: MountNamespace,
  target: Place,
  superblock: Superblock,
  request: MountRequest,
): Mount {
  const options = `${(request.flags & MS_RDONLY) !== 0 ? "ro" : "rw"},relatime`;
  return namespace.attach(target, {
    fileSystem: superblock,
    source: request.source,
    options,
    root: "/",
    rootNode: superblock.root,
  });
}

export function bind(namespace: MountNamespace, from: Place, target: Place): void {
  if (from.node.kind !== "directory" || target.node.kind !== "directory") refuse("ENOTDIR");
  namespace.attach(target, { ...settings(from.mount), root: from.inner, rootNode: from.node });
}

function settings({ fileSystem, source, options }: Mount): Pick<Mount, "fileSystem" | "source" | "options"> {
  return { fileSystem, source, options };
}

function remount(target: Place, request: MountRequest): void {
  if (!isMountRoot(target)) refuse("EINVAL");
  const { fileSystem } = target.mount;
  if (!(fileSystem instanceof Superblock)) refuse("EINVAL");
  remountSuperblock(fileSystem, request.flags, request.options);
}

export async function unmount(kernel: FakeKernel, task: Task, request: UnmountRequest): Promise<void> {
  const namespace = namespaceAt(kernel, task, request.namespace);
  const place = namespace.walk(request.target, task, (request.flags & UMOUNT_NOFOLLOW) === 0);
  if ((request.flags & ~(MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW)) !== 0 || !isMountRoot(place))
    refuse("EINVAL");
  if (place.mount.parent === null) refuse("EINVAL");
  const tree = namespace.tree(place.mount);
  if ((request.flags & MNT_DETACH) === 0 && (tree.length > 1 || place.mount.openFiles > 0)) refuse("EBUSY");
  await namespace.detach(tree.toReversed());
}

/** The namespaces of the live tasks, that of `task` first; each with its first process. */
export function namespaceTable(kernel: FakeKernel, task: Task): NamespaceEntry[] {
  if (!kernel.features.namespaceLinks) refuse("ENOENT", { syscall: "readlink", path: "/proc/self/ns/mnt" });
  const found = new Map<number, number>();
  for (const { pid, namespace } of [task, ...kernel.tasks()])
    if (!found.has(namespace.inode)) found.set(namespace.inode, pid);
  return [...found].map(([inode, pid]) => ({ inode: String(inode), pid }));
}

export function mountTable(namespace: MountNamespace): MountEntry[] {
  return namespace.mounts.map((one) => ({
    id: BigInt(one.id),
    parent: BigInt(one.parent?.id ?? 1),
    device: { ...one.fileSystem.number },
    root: one.root,
    target: one.target,
    options: one.options,
    type: one.fileSystem.type,
    source: one.source,
    superOptions: one.fileSystem.superOptions,
  }));
}
