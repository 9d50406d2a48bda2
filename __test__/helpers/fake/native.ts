// One fake process: `Native` over the state of a FakeKernel. Errors, refusals and their codes are those of the real module.
//
// Deliberately simpler than the real one: nothing runs in parallel; a call takes effect at one moment, except those that wait
// (a mutex, a file lock, a heartbeat, a dismount).
import type {
  BlockDeviceFacts,
  ByteChannel,
  CallOptions,
  EventWatch,
  ForegroundProgram,
  Held,
  HeartbeatSlot,
  Lockspace,
  MountEntry,
  MountNamespace,
  MountRequest,
  Native,
  ProgramRequest,
  RegionGeometry,
  RegionLock,
  ScannedDevice,
  SemaphoreFacts,
  SuperblockChange,
  SuperblockCopy,
  Superblocks,
  UnmountRequest,
  VolumeDetails,
  VolumeFacts,
} from "../../../ts/native-types.ts";
import { BlockDevice, type VolumeContent } from "./device.ts";
import { FakeChannel } from "./channel.ts";
import { deferred } from "./deferred.ts";
import { abortedCall, openFailed, Refusal, refuse, refuseWithCode } from "./errors.ts";
import { openLockspace } from "./fsdlm.ts";
import { mount, mountTable, namespaceAt, namespaceTable, unmount } from "./mount-calls.ts";
import { startProgram } from "./programs.ts";
import { acquireRegion, queryRegion } from "./region-lock.ts";
import { FakeStackCalls } from "./stack-calls.ts";
import { readSuperblocks, writeSuperblock } from "./superblocks.ts";
import type { TreeNode } from "./tree.ts";
import { detailsOf, scanned } from "./volume-details.ts";
import { FakeEventWatch } from "./watch.ts";

export class FakeNative extends FakeStackCalls implements Native {
  // -- volumes and devices

  readVolume(device: string, options?: CallOptions): Promise<VolumeFacts> {
    return this.call("readVolume", [device], options?.signal, () => {
      const disk = this.#openDevice(device);
      return disk.facts(device, this.#volumeOn(disk));
    });
  }

  inspectVolume(
    device: string,
    options?: CallOptions & { partial?: boolean | undefined },
  ): Promise<VolumeDetails> {
    return this.call("inspectVolume", [device], options?.signal, () => {
      const disk = this.#openDevice(device);
      const content = this.#volumeOn(disk);
      const details = detailsOf(disk, content);
      const [problem] = details.problems;
      if (problem !== undefined && options?.partial !== true)
        refuseWithCode("O2CB_BAD_DIRECTORY", `${problem.what}: ${problem.why}`);
      return { ...disk.facts(device, content), ...details };
    });
  }

  listBlockDevices(options?: CallOptions): Promise<BlockDeviceFacts[]> {
    return this.call("listBlockDevices", [], options?.signal, () =>
      [...this.kernel.disks].map(({ name, number, bytes, above: { parent, holders, mapperName } }) => ({
        name,
        number,
        bytes,
        parent,
        holders,
        mapperName,
      })),
    );
  }

  scanVolumes(
    devices: readonly string[],
    slotMaps: boolean,
    threads: number,
    options?: CallOptions,
  ): Promise<ScannedDevice[]> {
    return this.call("scanVolumes", [devices, slotMaps, threads], options?.signal, () =>
      devices.map((device) => {
        try {
          return scanned(device, this.#openDevice(device), slotMaps);
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          return {
            device,
            volume: null,
            code: error.fields.code ?? "O2CB_BAD_DEVICE",
            failure: `scan-volumes: ${error.message}`,
          };
        }
      }),
    );
  }

  readSuperblocks(device: string, change: SuperblockChange, options?: CallOptions): Promise<Superblocks> {
    return this.call("readSuperblocks", [device, change], options?.signal, () => {
      const disk = this.#openDevice(device);
      return readSuperblocks(disk, device, this.#volumeOn(disk), change);
    });
  }

  writeSuperblock(
    device: string,
    copy: Pick<SuperblockCopy, "block" | "old" | "new">,
    options?: CallOptions,
  ): Promise<boolean> {
    return this.call("writeSuperblock", [device, copy], options?.signal, ({ late }) => {
      const disk = this.#openDevice(device);
      return writeSuperblock(disk, this.#volumeOn(disk), copy, late);
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
      const { node } = this.walk(device);
      if (node.kind !== "block") refuseWithCode("O2CB_BAD_DEVICE", "it is not a block device");
      const disk = node.device;
      if (disk.claim !== null) return null;
      const claim = { by: `process ${this.pid}` };
      disk.claim = claim;
      return this.held([device], () => {
        if (disk.claim === claim) disk.claim = null;
      });
    });
  }

  // -- regions

  startHeartbeat(directory: string, device: string, options?: CallOptions): Promise<void> {
    return this.call("startHeartbeat", [directory, device], options?.signal, async ({ interrupt }) => {
      const disk = this.#openDevice(device);
      if (disk.readOnly) refuse("EACCES", { syscall: "open", path: device });
      this.walk(`${directory}/dev`);
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

  mountNamespaces(options?: CallOptions): Promise<MountNamespace[]> {
    return this.call("mountNamespaces", [], options?.signal, () => namespaceTable(this.kernel, this.task));
  }

  watchEvents(options?: CallOptions): Promise<EventWatch> {
    return this.call("watchEvents", [], options?.signal, () => new FakeEventWatch(this));
  }

  // -- the distributed lock manager

  openLockspace(name: string, options?: CallOptions): Promise<Lockspace> {
    return this.call("openLockspace", [name], options?.signal, () => openLockspace(this, name), null);
  }

  // -- the rest

  setIoPriority(pid: number, ioClass: number, level: number): Promise<void> {
    return this.call("setIoPriority", [pid, ioClass, level], undefined, () => {
      if (pid <= 0 || ioClass > 3 || level > 7)
        refuseWithCode(
          "O2CB_INTERNAL_FAILURE",
          `process ${pid}, class ${ioClass}, level ${level} is out of range`,
        );
      if (!this.kernel.tasks().some((task) => task.pid === pid)) refuse("ESRCH");
      this.kernel.ioPriorities.set(pid, { ioClass, level });
    });
  }

  runProgram(path: string, args: readonly string[], options?: CallOptions): Promise<number> {
    return this.call("runProgram", [path, args], options?.signal, async ({ late }) => {
      if (!path.startsWith("/"))
        refuseWithCode("O2CB_INTERNAL_FAILURE", "the program's path is not absolute");
      const program = this.kernel.programs.get(this.walk(path).path) ?? refuse("EACCES");
      const { ipc, pidNamespace, namespace } = this.task;
      const child = this.kernel.task({ name: path, parent: this.task, ipc, pidNamespace, namespace });
      try {
        const status = await program(args, child);
        if (late !== null) refuse(late);
        return status;
      } finally {
        child.end();
      }
    });
  }

  startProgram(request: ProgramRequest): Promise<ForegroundProgram> {
    return this.call("startProgram", [request], undefined, () => startProgram(this, request), request.file);
  }

  lockFile(path: string, timeoutMs: number, options?: CallOptions): Promise<Held> {
    return this.call("lockFile", [path, timeoutMs], options?.signal, async ({ interrupt, late }) => {
      const file = this.createFile(path);
      if (late !== null) refuse(late, { syscall: "flock" });
      const pause = this.kernel.clock.wait(timeoutMs);
      const givenUp = deferred<void>();
      const giveUp = (): void => givenUp.resolve();
      interrupt.addEventListener("abort", giveUp, { once: true });
      void pause.over.then(giveUp);
      try {
        const release = await this.kernel.fileLocks.lock(file, path, this.task, givenUp.promise);
        if (release !== null) return this.held([path], release);
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

  /** No code runs in a fake process. */
  releaseCode(): number {
    return 0;
  }

  connectAbstract(name: string, options?: CallOptions): Promise<ByteChannel> {
    return this.call("connectAbstract", [name], options?.signal, () => {
      const listener = this.kernel.abstractSockets.get(name) ?? refuse("ECONNREFUSED");
      return new FakeChannel(this, name, listener);
    });
  }

  #volumeOn(disk: BlockDevice): VolumeContent {
    if (disk.broken) refuse("EIO", { syscall: "pread", code: "O2CB_IO" });
    if (disk.volume === null)
      refuseWithCode("O2CB_BAD_SUPERBLOCK", "no OCFS2 superblock is at any of the places where one can be");
    return disk.volume;
  }

  /** A device or an image; another file is a device without a volume to nobody. */
  #openDevice(path: string): BlockDevice {
    let node: TreeNode;
    try {
      ({ node } = this.walk(path));
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
}
