// Paths, attributes and directories as one fake process sees them.
import type { CallOptions, DeviceNumber, Held, PathFacts } from "../../../ts/native-types.ts";
import { never } from "./deferred.ts";
import { DomainDirectory } from "./dlmfs.ts";
import { refuse, refuseWithCode } from "./errors.ts";
import { namespaceAt } from "./mount-calls.ts";
import { FakeProcess } from "./process.ts";
import { replaceFile } from "./replace-file.ts";
import { plainFile, PlainDirectory, type TreeNode } from "./tree.ts";
import { checkWritable, isMountRoot, type Mount, type Place } from "./vfs.ts";

const MAX_READ = 65_536;
const MAX_WRITE = 4095;

export class FakeFiles extends FakeProcess {
  inspectPath(path: string, namespace: string | null, options?: CallOptions): Promise<PathFacts> {
    return this.call("inspectPath", [path, namespace], options?.signal, () => {
      const place = namespaceAt(this.kernel, this.task, namespace).walk(path, this.task);
      return factsOf(place);
    });
  }

  readAttribute(path: string, options?: CallOptions): Promise<string> {
    return this.call("readAttribute", [path], options?.signal, () => {
      const { node } = this.walk(path);
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
      const place = this.walk(path);
      const { node } = place;
      if (node.kind === "directory") refuse("EISDIR", { syscall: "open" });
      if (node.kind !== "file" || node.write === undefined) return refuse("EACCES", { syscall: "open" });
      checkWritable(place, "grow");
      if (this.kernel.ignoresWrite?.(place.path)) return;
      node.write(value, this.task);
    });
  }

  listDirectories(path: string, options?: CallOptions): Promise<string[]> {
    return this.call("listDirectories", [path], options?.signal, () => {
      const { node } = this.walk(path);
      if (node.kind !== "directory") refuse("ENOTDIR", { syscall: "open" });
      return node.names(this.task).filter((name) => node.get(name, this.task)?.kind === "directory");
    });
  }

  makeDirectory(path: string, options?: CallOptions): Promise<void> {
    return this.call("makeDirectory", [path], options?.signal, () => {
      const { directory, name, entry } = this.task.namespace.parentOf(path, this.task);
      if (entry !== undefined) refuse("EEXIST");
      if (directory.node.kind !== "directory" || directory.node.make === undefined) return refuse("EPERM");
      checkWritable(directory, "grow");
      directory.node.make(name, this.task);
    });
  }

  removeDirectory(path: string, options?: CallOptions): Promise<void> {
    return this.call("removeDirectory", [path], options?.signal, async () => {
      const { directory, name, entry } = this.task.namespace.parentOf(path, this.task);
      if (entry === undefined) refuse("ENOENT");
      if (entry.kind !== "directory") refuse("ENOTDIR");
      if (isMountRoot(this.walk(path))) refuse("EBUSY");
      if (directory.node.kind !== "directory" || directory.node.remove === undefined) return refuse("EPERM");
      checkWritable(directory, "change");
      await directory.node.remove(name, this.task);
    });
  }

  readLink(path: string, options?: CallOptions): Promise<string> {
    return this.call("readLink", [path], options?.signal, () => {
      const { node } = this.task.namespace.walk(path, this.task, false);
      return node.kind === "link" ? node.target : refuse("EINVAL");
    });
  }

  listFiles(path: string, options?: CallOptions): Promise<string[]> {
    return this.call("listFiles", [path], options?.signal, () => {
      const { node } = this.walk(path);
      if (node.kind !== "directory") refuse("ENOTDIR", { syscall: "open" });
      return node.names(this.task).filter((name) => node.get(name, this.task)?.kind !== "directory");
    });
  }

  replaceFile(path: string, content: string, mode: number, options?: CallOptions): Promise<void> {
    return this.call("replaceFile", [path, content, mode], options?.signal, async ({ late, dies }) => {
      const diesHalfway = (): boolean => {
        if (dies) this.kill();
        return dies;
      };
      const number = this.calls.length;
      if (!replaceFile({ task: this.task, path, content, mode, number, diesHalfway })) await never();
      if (late !== null) refuse(late, { syscall: "fsync" });
    });
  }

  removeFile(path: string, options?: CallOptions): Promise<void> {
    return this.call("removeFile", [path], options?.signal, () => {
      const { directory, name, entry } = this.task.namespace.parentOf(path, this.task);
      if (entry === undefined) refuse("ENOENT");
      if (entry.kind === "directory") refuse("EISDIR");
      if (directory.node instanceof DomainDirectory) return directory.node.unlink(name);
      if (!(directory.node instanceof PlainDirectory)) return refuse("EPERM");
      checkWritable(directory, "change");
      directory.node.entries.delete(name);
    });
  }

  // -- what a test lets the process do beside `Native`

  /** Opens a file or directory, which keeps its mount busy until closed or the end of the process. */
  openFile(path: string): { close(): Promise<void> } {
    const { mount: on, path: at } = this.walk(path);
    on.openFiles += 1;
    const descriptor = Math.max(-1, ...this.task.openPaths.keys()) + 1;
    this.task.openPaths.set(descriptor, at);
    let open = true;
    const close = async (): Promise<void> => {
      if (!open) return;
      open = false;
      this.task.openPaths.delete(descriptor);
      forget();
      await closeOn(on);
    };
    const forget = this.task.atExit("files", () => void close());
    return { close };
  }

  // -- for the rest of the process

  protected walk(path: string): Place {
    return this.task.namespace.walk(path, this.task);
  }

  protected held(args: readonly unknown[], release: () => void): Held {
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

  /** open(2) with O_CREAT for writing; the directory is made where missing. */
  protected createFile(path: string): TreeNode {
    const above = this.task.namespace.parentOf(path.slice(0, path.lastIndexOf("/")), this.task);
    if (above.entry === undefined) {
      if (above.directory.node.kind !== "directory" || above.directory.node.make === undefined)
        return refuse("EPERM", { syscall: "mkdir" });
      checkWritable(above.directory, "grow");
      above.directory.node.make(above.name, this.task);
    }
    const { directory, name, entry } = this.task.namespace.parentOf(path, this.task);
    if (entry?.kind === "directory") return refuse("EISDIR");
    checkWritable(directory, entry === undefined ? "grow" : "change");
    if (entry !== undefined) return entry;
    if (!(directory.node instanceof PlainDirectory)) return refuse("EACCES");
    const file = plainFile("", 0o600);
    directory.node.entries.set(name, file);
    return file;
  }
}

async function closeOn(mount: Mount): Promise<void> {
  mount.openFiles -= 1;
  if (mount.openFiles === 0 && !mount.attached) await mount.fileSystem.release?.();
}

function factsOf(place: Place): PathFacts {
  const { node, mount, path } = place;
  return {
    realPath: path,
    kind: node.kind,
    device: { ...mount.fileSystem.number },
    represents: represented(node),
    mountId: BigInt(mount.id),
    isMountRoot: isMountRoot(place),
    filesystemMagic: mount.fileSystem.magic,
  };
}

function represented(node: TreeNode): DeviceNumber | null {
  if (node.kind === "block") return { ...node.device.number };
  return node.kind === "character" ? { ...node.number } : null;
}
