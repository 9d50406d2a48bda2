// What the lab needs on the host, what of it is missing, and its installation where that is possible.
//
// Debian's package names. The peer's tools (ocfs2-tools) are there for the scenarios; the rest is for the machines.
import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { HOST_PATH, hostTry, patiently, type Log } from "./host.ts";

export interface Requirement {
  /** what is looked for: a program's name, or a phrase */
  readonly what: string;
  /** the Debian package that holds it */
  readonly package: string;
}

const PROGRAMS: readonly Requirement[] = [
  { what: "qemu-system-x86_64", package: "qemu-system-x86" },
  { what: "setpriv", package: "util-linux" },
  { what: "flock", package: "util-linux" },
  { what: "apt-get", package: "apt" },
  { what: "dpkg-deb", package: "dpkg" },
  { what: "depmod", package: "kmod" },
  { what: "modprobe", package: "kmod" },
  { what: "xz", package: "xz-utils" },
  { what: "mkfs.ocfs2", package: "ocfs2-tools" },
  { what: "mount.ocfs2", package: "ocfs2-tools" },
  { what: "o2cb", package: "ocfs2-tools" },
];

/** Who is process 1 in a machine: the lab's agent, or the host's systemd with the agent as a unit. */
export type Init = "agent" | "systemd";
/** More than that, for machines that boot with systemd. Debian's udev is a package apart; without it no device ever appears. */
const FOR_SYSTEMD: readonly Requirement[] = [
  { what: "systemctl", package: "systemd" },
  { what: "udevadm", package: "udev" },
];

/** The path of a program, also where the user's PATH lacks the directories of the administrator's programs. */
export function findProgram(name: string): string | null {
  for (const directory of HOST_PATH.split(delimiter)) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // not there
    }
  }
  return null;
}

/** A busybox that needs no libraries, or null. */
export function staticBusybox(): string | null {
  const path = findProgram("busybox");
  if (path === null) return null;
  // ELF64 little-endian: program headers at e_phoff (32), e_phentsize (54), e_phnum (56); type 3 is PT_INTERP
  const head = Buffer.alloc(4096);
  const file = openSync(path, "r");
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  if (head.readUInt32BE(0) !== 0x7f454c46 || head[4] !== 2) return null;
  const from = Number(head.readBigUInt64LE(32));
  const size = head.readUInt16LE(54);
  for (let index = 0; index < head.readUInt16LE(56); index += 1) {
    const at = from + index * size;
    if (at + 4 > head.length || head.readUInt32LE(at) === 3) return null;
  }
  return path;
}

/** What is missing; empty where machines can be booted. */
export function missingRequirements(init: Init = "agent"): Requirement[] {
  const programs = init === "systemd" ? [...PROGRAMS, ...FOR_SYSTEMD] : PROGRAMS;
  const missing = programs.filter(({ what }) => findProgram(what) === null);
  if (staticBusybox() === null) missing.push({ what: "a static busybox", package: "busybox-static" });
  return missing;
}

function packagesOf(missing: readonly Requirement[]): string[] {
  return [...new Set(missing.map((one) => one.package))];
}

/** One phrase for people, with the command that helps; null where nothing is missing. */
export function missingForMachines(missing: readonly Requirement[] = missingRequirements()): string | null {
  if (process.arch !== "x64") return `the machines need an x86-64 host, this one is ${process.arch}`;
  if (missing.length === 0) return null;
  const names = missing.map(({ what }) => what).join(", ");
  const command = `apt-get install -y --no-install-recommends ${packagesOf(missing).join(" ")}`;
  return `machines need ${names}: as root, ${command}`;
}

/**
 * Installs what is missing where this process is root; returns what still is missing afterwards for any machine. What only those
 * with systemd lack is installed too, but not missed.
 */
export async function installMissing(log: Log): Promise<Requirement[]> {
  const missing = missingRequirements("systemd");
  if (missing.length === 0) return [];
  if (process.getuid?.() !== 0 || findProgram("apt-get") === null) {
    log(missingForMachines(missing) ?? "");
    return missingRequirements();
  }
  const apt = (...args: string[]) => hostTry("apt-get", ["-q", ...args]);
  const install = (...names: string[]) => apt("install", "-y", "--no-install-recommends", ...names);
  const names = packagesOf(missing);
  await patiently(log, "fetching the system's package lists: apt-get update", () => apt("update"));
  const all = await patiently(log, `installing ${names.join(" ")} with apt-get`, () => install(...names));
  if (all.status !== 0) {
    log(`apt-get refused the set (${reason(all.stderr)}); trying its packages one by one`);
    for (const name of names) {
      const one = await patiently(log, `installing ${name}`, () => install(name));
      if (one.status !== 0) log(`apt-get refused ${name}: ${reason(one.stderr)}`);
    }
  }
  const still = missingRequirements("systemd");
  if (still.length > 0) log(`still missing: ${missingForMachines(still)}`);
  return missingRequirements();
}

function reason(stderr: string): string {
  return /^E: (.*)$/m.exec(stderr)?.[1] ?? (stderr.trim().split("\n").at(-1) || "without a word");
}
