// A machine's initrd: busybox, the modules that the root needs, and guest/init.sh. Written here as a "newc" archive
// (Documentation/driver-api/early-userspace/buffer-format.rst of the kernel), since a tool would need a staging directory.
// Files keep no times and no owners, so equal inputs give equal bytes; the file's name carries the inputs' hash.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";

const BUSYBOX_NAMES = [
  "sh",
  "mount",
  "mkdir",
  "insmod",
  "switch_root",
  "stty",
  "ifconfig",
  "ln",
  "sed",
  "sleep",
  "uname",
];
const DIRECTORIES = ["bin", "proc", "sys", "dev", "host", "rw", "new", "modules"];

interface Entry {
  name: string;
  mode: number;
  data: Buffer;
}

/** Returns the path of the initrd in `directory`, built if it is not there. `modules`: files, in the order to load. */
export function initrd(directory: string, modules: readonly string[], busybox: string): string {
  const entries: Entry[] = [
    ...DIRECTORIES.map((name) => ({ name, mode: 0o40755, data: Buffer.alloc(0) })),
    { name: "bin/busybox", mode: 0o100755, data: readFileSync(busybox) },
    ...BUSYBOX_NAMES.map((name) => ({ name: `bin/${name}`, mode: 0o120777, data: Buffer.from("busybox") })),
    ...modules.map((path, index) => ({
      name: `modules/${String(index).padStart(2, "0")}-${basename(path)}`,
      mode: 0o100644,
      data: readFileSync(path),
    })),
    { name: "init", mode: 0o100755, data: readFileSync(new URL("guest/init.sh", import.meta.url)) },
  ];
  const archive = newc(entries);
  const hash = createHash("sha256").update(archive).digest("hex").slice(0, 16);
  const path = join(directory, `initrd-${hash}.gz`);
  if (!existsSync(path)) {
    writeFileSync(`${path}.${process.pid}`, gzipSync(archive, { level: 1 }));
    renameSync(`${path}.${process.pid}`, path);
  }
  return path;
}

function newc(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  const pad = (length: number) => Buffer.alloc((4 - (length % 4)) % 4);
  const add = (inode: number, { name, mode, data }: Entry) => {
    const links = 1;
    const path = Buffer.from(`${name}\0`);
    // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, 0, 0, path.length, 0];
    const head = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
    parts.push(Buffer.from(head), path, pad(head.length + path.length), data, pad(data.length));
  };
  entries.forEach((entry, index) => add(index + 1, entry));
  add(0, { name: "TRAILER!!!", mode: 0, data: Buffer.alloc(0) });
  return Buffer.concat(parts);
}
