// What a fake machine consists of apart from its kernel: disks, files, programs.
import type { DeviceNumber } from "../../../ts/native-types.ts";
import { BlockDevice, type DiskSettings } from "./device.ts";
import type { Task } from "./task.ts";
import { link, plainFile, PlainDirectory } from "./tree.ts";

/** A program of the fake machine; its exit status. */
export type Program = (args: readonly string[], task: Task) => number | Promise<number>;

export class Hardware {
  readonly root = new PlainDirectory();
  /** what /run holds */
  readonly run = this.root.directory("run");
  /** what a change in /run fails with now: it is read-only, or full */
  runFails: "EROFS" | "ENOSPC" | null = null;
  readonly disks = new Set<BlockDevice>();
  /** by the kernel's name, such as dm-0 */
  readonly mapperNames = new Map<string, string>();
  readonly programs = new Map<string, Program>();
  readonly #paths = new Map<BlockDevice, string[]>();

  installProgram(path: string, program: Program): void {
    this.programs.set(path, program);
    this.root.put(path, { kind: "file" });
  }

  addDirectory(path: string): void {
    this.root.directory(path);
  }

  addFile(path: string, text = ""): void {
    this.root.put(path, plainFile(text));
  }

  /** A block device: `/dev/<name>`, `/dev/block/<number>`, and whatever other paths are given. */
  addDisk(settings: DiskSettings, ...paths: string[]): BlockDevice {
    const disk = new BlockDevice(settings);
    if (disk.isImage) throw new TypeError("an image is no disk: use addImage");
    this.disks.add(disk);
    const at = `/dev/${disk.name.replaceAll("!", "/")}`;
    this.root.put(at, { kind: "block", device: disk });
    this.root.put(`/dev/block/${disk.number.major}:${disk.number.minor}`, link(at));
    for (const path of paths) this.root.put(path, link(at));
    this.#paths.set(disk, [at, `/dev/block/${disk.number.major}:${disk.number.minor}`, ...paths]);
    for (const path of paths)
      if (path.startsWith("/dev/mapper/")) this.mapperNames.set(disk.name, path.slice("/dev/mapper/".length));
    return disk;
  }

  /**
   * The device is gone (unplugged): no node in /dev, nothing in /sys/block, no input or output. What is mounted from it stays
   * mounted and a region on it stays a region. (A real node would fence itself in the end; this one does not.)
   */
  removeDisk(disk: BlockDevice): void {
    this.disks.delete(disk);
    disk.broken = true;
    for (const path of this.#paths.get(disk) ?? []) this.root.take(path);
  }

  addImage(path: string, settings: Omit<DiskSettings, "name" | "number" | "image">): BlockDevice {
    const disk = new BlockDevice({ ...settings, name: path, number: { major: 0, minor: 0 }, image: true });
    this.root.put(path, { kind: "file", image: disk });
    return disk;
  }

  disk(number: DeviceNumber): BlockDevice | undefined {
    return [...this.disks].find(
      (disk) => disk.number.major === number.major && disk.number.minor === number.minor,
    );
  }
}
