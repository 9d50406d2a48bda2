// One fake process: `Native` over the state of a FakeKernel. Errors, refusals and their codes are those of the real module.
//
// Deliberately simpler than the real one: nothing runs in parallel; a call takes effect at one moment, except those that wait
// (a mutex, a file lock, a heartbeat, a dismount).
import type {
  CallOptions,
  Held,
  HeartbeatSlot,
  MountEntry,
  MountRequest,
  Native,
  PathFacts,
  RegionGeometry,
  RegionLock,
  SemaphoreFacts,
  UnmountRequest,
  VolumeFacts,
} from "../../../ts/native-types.ts";
import { BlockDevice } from "./device.ts";
import { deferred } from "./deferred.ts";
import { abortedCall, openFailed, Refusal, refuse, refuseWithCode } from "./errors.ts";
import { mount, mountTable, namespaceAt, unmount } from "./mount-calls.ts";
import { FakeProcess } from "./process.ts";
import { acquireRegion, queryRegion } from "./region-lock.ts";
import type { TreeNode } from "./tree.ts";
import { isMountRoot, type Mount, type Place } from "./vfs.ts";

const MAX_READ = 65_536;
const MAX_WRITE = 4095;

export class FakeNative extends FakeProcess implements Native {
  // -- volumes and devices

  readVolume(device: string, options?: CallOptions): Promise<VolumeFacts> {
    return this.call("readVolume", [device], options?.signal, () => {
      const disk = this.#openDevice(device);
      if (disk.broken) refuse("EIO", { syscall: "pread", code: "O2CB_IO" });
      if (disk.volume === null)
        refuseWithCode("O2CB_BAD_SUPERBLOCK", "no OCFS2 superblock is at any of the places where one can be");
      return disk.facts(device, disk.volume);
    });
  }

  readHeartbeatSlots(
    device: string,
    geometry: RegionGeometry,
    options?: CallOptions,
  ): Promise<HeartbeatSlot[]> {
    return this.call("readHeartbeatSlots", [device, geometry], options?.signal, () => {
      const disk = this.#openDevice(device);
      const end = (geometry.startBlock + BigInt(geometry.blocks)) * BigInt(geometry.blockBytes);
      if (disk.broken || end > disk.bytes) refuse("EIO");
      return disk.readSlots(geometry);
    });
  }

  claimDevice(device: string, options?: CallOptions): Promise<Held | null> {
    return this.call("claimDevice", [device], options?.signal, () => {
      const { node } = this.#walk(device);
      if (node.kind !== "block") refuseWithCode("O2CB_BAD_DEVICE", "it is not a block device");
      const disk = node.device;
      if (disk.claim !== null) return null;
      const claim = { by: `process ${this.pid}` };
      disk.claim = claim;
      return this.#held([device], () => {
        if (disk.claim === claim) disk.claim = null;
      });
    });
  }

  // -- paths, attributes, directories

  inspectPath(path: string, namespace: string | null, options?: CallOptions): Promise<PathFacts> {
    return this.call("inspectPath", [path, namespace], options?.signal, () => {
      const place = namespaceAt(this.kernel, this.task, namespace).walk(path, this.task);
      return factsOf(place);
    });
  }

  readAttribute(path: string, options?: CallOptions): Promise<string> {
    return this.call("readAttribute", [path], options?.signal, () => {
      const { node } = this.#walk(path);
      if (node.kind === "directory") refuse("EISDIR");
      if (node.kind !== "file" || node.read === undefined) return refuse("EACCES", { syscall: "open" });
      const text = node.read(this.task);
      if (Buffer.byteLength(text) > MAX_READ)
        refuseWithCode("O2CB_INTERNAL_FAILURE", `longer than the ${MAX_READ} bytes that are read`);
      return text;
    });
  }

  writeAttribute(path: string, value: string, options?: CallOptions): Promise<void> {
    return this.call("writeAttribute", [path, value], options?.signal, () => {
      const length = Buffer.byteLength(value);
      if (length === 0 || length > MAX_WRITE)
        refuseWithCode(
          "O2CB_INTERNAL_FAILURE",
          `a value of ${length} bytes; one write takes 1 to ${MAX_WRITE}`,
        );
      const { node } = this.#walk(path);
      if (node.kind === "directory") refuse("EISDIR", { syscall: "open" });
      if (node.kind !== "file" || node.write === undefined) return refuse("EACCES", { syscall: "open" });
      node.write(value, this.task);
    });
  }

  listDirectories(path: string, options?: CallOptions): Promise<string[]> {
    return this.call("listDirectories", [path], options?.signal, () => {
      const { node } = this.#walk(path);
      if (node.kind !== "directory") refuse("ENOTDIR", { syscall: "open" });
      return node.names(this.task).filter((name) => node.get(name, this.task)?.kind === "directory");
    });
  }

  makeDirectory(path: string, options?: CallOptions): Promise<void> {
    return this.call("makeDirectory", [path], options?.signal, () => {
      const { directory, name, entry } = this.task.namespace.parentOf(path, this.task);
      if (entry !== undefined) refuse("EEXIST");
      if (directory.node.kind !== "directory" || directory.node.make === undefined) return refuse("EPERM");
      directory.node.make(name, this.task);
    });
  }

  removeDirectory(path: string, options?: CallOptions): Promise<void> {
    return this.call("removeDirectory", [path], options?.signal, async () => {
      const { directory, name, entry } = this.task.namespace.parentOf(path, this.task);
      if (entry === undefined) refuse("ENOENT");
      if (entry.kind !== "directory") refuse("ENOTDIR");
      if (isMountRoot(this.#walk(path))) refuse("EBUSY");
      if (directory.node.kind !== "directory" || directory.node.remove === undefined) return refuse("EPERM");
      await directory.node.remove(name, this.task);
    });
  }

  readLink(path: string, options?: CallOptions): Promise<string> {
    return this.call("readLink", [path], options?.signal, () => {
      const { node } = this.task.namespace.walk(path, this.task, false);
      return node.kind === "link" ? node.target : refuse("EINVAL");
    });
  }

  // -- regions

  startHeartbeat(directory: string, device: string, options?: CallOptions): Promise<void> {
    return this.call("startHeartbeat", [directory, device], options?.signal, async ({ interrupt }) => {
      const disk = this.#openDevice(device);
      if (disk.readOnly) refuse("EACCES", { syscall: "open", path: device });
      this.#walk(`${directory}/dev`);
      const region = this.kernel.regionAt(directory, this.task) ?? refuse("EACCES", { syscall: "open" });
      await region.start(disk, interrupt);
    });
  }

  lockRegion(
    region: string,
    create: boolean,
    timeoutMs: number,
    options?: CallOptions,
  ): Promise<RegionLock | null> {
    return this.call(
      "lockRegion",
      [region, create, timeoutMs],
      options?.signal,
      ({ interrupt, late }) => acquireRegion(this, region, create, timeoutMs, interrupt, late),
      null,
    );
  }

  regionSemaphores(region: string): Promise<SemaphoreFacts | null> {
    return this.call("regionSemaphores", [region], undefined, () => queryRegion(this, region), null);
  }

  // -- mounts

  mount(request: MountRequest, options?: CallOptions): Promise<void> {
    return this.call(
      "mount",
      [request],
      options?.signal,
      ({ interrupt, late }) => mount(this.kernel, this.task, request, interrupt, late),
      request.target,
    );
  }

  unmount(request: UnmountRequest, options?: CallOptions): Promise<void> {
    return this.call(
      "unmount",
      [request],
      options?.signal,
      () => unmount(this.kernel, this.task, request),
      request.target,
    );
  }

  mounts(namespace: string | null, options?: CallOptions): Promise<MountEntry[]> {
    return this.call("mounts", [namespace], options?.signal, () =>
      mountTable(namespaceAt(this.kernel, this.task, namespace)),
    );
  }

  // -- the rest

  setIoPriority(pid: number, ioClass: number, level: number): Promise<void> {
    return this.call("setIoPriority", [pid, ioClass, level], undefined, () => {
      if (pid <= 0 || ioClass > 3 || level > 7)
        refuseWithCode(
          "O2CB_INTERNAL_FAILURE",
          `process ${pid}, class ${ioClass}, level ${level} is out of range`,
        );
      const known =
        this.kernel.regions().some((region) => region.pid === pid) ||
        this.kernel.tasks().some((task) => task.pid === pid);
      if (!known) refuse("ESRCH");
      this.kernel.ioPriorities.set(pid, { ioClass, level });
    });
  }

  runProgram(path: string, args: readonly string[], options?: CallOptions): Promise<number> {
    return this.call("runProgram", [path, args], options?.signal, async ({ late }) => {
      if (!path.startsWith("/"))
        refuseWithCode("O2CB_INTERNAL_FAILURE", "the program's path is not absolute");
      const program = this.kernel.programs.get(this.#walk(path).path) ?? refuse("EACCES");
      const child = this.kernel.task({ name: path, ipc: this.task.ipc, namespace: this.task.namespace });
      try {
        const status = await program(args, child);
        if (late !== null) refuse(late);
        return status;
      } finally {
        child.end();
      }
    });
  }

  lockFile(path: string, timeoutMs: number, options?: CallOptions): Promise<Held> {
    return this.call("lockFile", [path, timeoutMs], options?.signal, async ({ interrupt, late }) => {
      this.#createFile(path);
      if (late !== null) refuse(late, { syscall: "flock" });
      const pause = this.kernel.clock.wait(timeoutMs);
      const givenUp = deferred<void>();
      const giveUp = (): void => givenUp.resolve();
      interrupt.addEventListener("abort", giveUp, { once: true });
      void pause.over.then(giveUp);
      try {
        const release = await this.kernel.fileLocks.lock(path, this.task, givenUp.promise);
        if (release !== null) return this.#held([path], release);
        if (interrupt.aborted) throw abortedCall("flock");
        return refuse("EAGAIN", {
          syscall: "flock",
          detail: `another process holds the lock, after ${timeoutMs} ms`,
        });
      } finally {
        pause.cancel();
        interrupt.removeEventListener("abort", giveUp);
      }
    });
  }

  connectAbstract(name: string, options?: CallOptions): Promise<number> {
    return this.call("connectAbstract", [name], options?.signal, () =>
      (this.kernel.abstractSockets.get(name) ?? refuse("ECONNREFUSED"))(),
    );
  }

  // -- what a test lets the process do beside `Native`

  /** Opens a file or directory, which keeps its mount busy until closed or the end of the process. */
  openFile(path: string): { close(): Promise<void> } {
    const { mount: on } = this.#walk(path);
    on.openFiles += 1;
    let open = true;
    const close = async (): Promise<void> => {
      if (!open) return;
      open = false;
      forget();
      await closeOn(on);
    };
    const forget = this.task.atExit("files", () => void close());
    return { close };
  }

  #walk(path: string): Place {
    return this.task.namespace.walk(path, this.task);
  }

  /** A device or an image; another file is a device without a volume to nobody. */
  #openDevice(path: string): BlockDevice {
    let node: TreeNode;
    try {
      ({ node } = this.#walk(path));
    } catch (error) {
      if (!(error instanceof Refusal) || error.errno === null) throw error;
      throw new Refusal(error.errno, { syscall: "open", path, code: openFailed(error.errno) ?? undefined });
    }
    if (node.kind === "block") return node.device;
    if (node.kind === "directory") refuseWithCode("O2CB_BAD_DEVICE", "it is not a block device", { path });
    return (
      (node.kind === "file" ? node.image : undefined) ??
      new BlockDevice({ name: path, number: { major: 0, minor: 0 }, image: true })
    );
  }

  #held(args: readonly unknown[], release: () => void): Held {
    let held = true;
    const forget = this.task.atExit("files", release);
    return {
      release: () => {
        if (!held) return;
        this.callNow("Held.release", args, () => {
          held = false;
          forget();
          release();
        });
      },
    };
  }

  #createFile(path: string): void {
    const cut = path.lastIndexOf("/");
    const above = this.task.namespace.parentOf(path.slice(0, cut), this.task);
    if (above.entry === undefined) {
      if (above.directory.node.kind !== "directory" || above.directory.node.make === undefined)
        refuse("EPERM", { syscall: "mkdir" });
      else above.directory.node.make(above.name, this.task);
    }
    const { directory, name, entry } = this.task.namespace.parentOf(path, this.task);
    if (entry !== undefined) return entry.kind === "directory" ? refuse("EISDIR") : undefined;
    if (!("put" in directory.node)) refuse("EACCES");
    (directory.node as { put(path: string, node: TreeNode): void }).put(name, {
      kind: "file",
      read: () => "",
    });
  }
}

async function closeOn(mount: Mount): Promise<void> {
  mount.openFiles -= 1;
  if (mount.openFiles === 0 && !mount.attached) await mount.fileSystem.release?.();
}

function factsOf({ node, mount, path }: Place): PathFacts {
  const image = node.kind === "file" ? node.image : undefined;
  return {
    realPath: path,
    kind: node.kind === "file" && image !== undefined ? "file" : node.kind,
    device: { ...mount.fileSystem.number },
    represents: node.kind === "block" ? { ...node.device.number } : null,
    mountId: BigInt(mount.id),
    isMountRoot: isMountRoot({ node, mount, path } as Place),
    filesystemMagic: mount.fileSystem.magic,
  };
}
