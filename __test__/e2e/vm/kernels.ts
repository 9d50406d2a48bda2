// Debian's stock kernels for the machines: fetched once, unpacked (never installed), reduced to the image and the modules
// that the lab uses with what they depend on, decompressed, so that busybox's insmod and the host's modprobe can load them.
//
// Relies on Debian's packages: linux-image-amd64 depends on the current image; from 7.2 on the image is split into
// linux-image, linux-binary, linux-modules and linux-base packages, and the image lies beside the modules; modules may be
// compressed and may lie under usr/lib/modules.
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { Suite } from "./apt.ts";
import { LabError } from "./errors.ts";
import { host, hostTry, patiently, type Log } from "./host.ts";
import { takeLock } from "./lock.ts";
import { labDirectory } from "./places.ts";

/** Kernel series -> Debian suite. */
const SUITES = { "5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "7.2": "forky" } as const;

export type KernelName = keyof typeof SUITES;
export const KERNELS = Object.keys(SUITES) as KernelName[];

/** What a machine needs to reach its root; loaded by init.sh. */
const EARLY = ["virtio_pci", "virtio_blk", "virtio_net", "9p", "9pnet_virtio", "overlay"];
/** What scenarios load with modprobe, or the kernel by itself. */
const LATER = [
  "configfs",
  "ocfs2",
  "ocfs2_stack_o2cb",
  "ocfs2_stack_user",
  "ocfs2_dlmfs",
  "loop",
  "ext4",
  "dm_mod",
  "dm_flakey",
];
/** Not in every series (built in, or gone). */
const OPTIONAL = ["crc32c_generic", "crc32c_intel"];
const FORMAT = createHash("sha256")
  .update(JSON.stringify([1, EARLY, LATER, OPTIONAL]))
  .digest("hex");

/** A kernel that is ready to boot. */
export interface Kernel {
  /** uname -r */
  readonly version: string;
  /** the bzImage */
  readonly image: string;
  /** directory that holds <version>/, as /lib/modules does */
  readonly modules: string;
  /** module files to load before the root is there, in order */
  readonly early: readonly string[];
  /** holds the image and the initrds */
  readonly directory: string;
}

/** The kernel of that series, from the cache or fetched from the system's Debian mirror (70-150 MB, a minute or two). */
export async function kernel(name: KernelName, log: Log = () => {}): Promise<Kernel> {
  const directory = join(labDirectory(), SUITES[name]);
  const cached = read(directory);
  if (cached !== undefined) return cached;
  const lock = await takeLock(`${directory}.lock`, (holder) =>
    log(`kernel ${name} is being fetched by ${holder}`),
  );
  try {
    return read(directory) ?? (await fetch(name, directory, log));
  } finally {
    await lock.release();
  }
}

function read(directory: string): Kernel | undefined {
  const path = join(directory, "kernel.json");
  if (!existsSync(path)) return undefined;
  const { format, version, early } = JSON.parse(readFileSync(path, "utf8")) as Record<string, string> & {
    early: string[];
  };
  if (format !== FORMAT || version === undefined) return undefined;
  const modules = join(directory, "usr/lib/modules");
  const files = early.map((file) => join(modules, version, file));
  return { version, image: join(directory, "vmlinuz"), modules, early: files, directory };
}

async function fetch(name: KernelName, directory: string, log: Log): Promise<Kernel> {
  const work = `${directory}.new`;
  rmSync(work, { recursive: true, force: true });
  try {
    const tree = join(work, "tree");
    mkdirSync(tree, { recursive: true });
    const suite = new Suite(SUITES[name], join(work, "apt"), log);
    await suite.update();
    await suite.unpack(await packages(suite, name), tree);
    const result = join(work, "result");
    await patiently(log, `preparing kernel ${name}`, () => reduce(name, tree, result));
    rmSync(directory, { recursive: true, force: true });
    renameSync(result, directory);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const ready = read(directory);
  if (ready === undefined)
    throw new LabError("kernel", `Kernel ${name} could not be prepared in ${directory}.`);
  log(`kernel ${name} is ${ready.version}`);
  return ready;
}

async function packages(suite: Suite, name: KernelName): Promise<string[]> {
  const image = (await suite.dependencies("linux-image-amd64")).find((one) => one.startsWith("linux-image-"));
  if (image === undefined) throw new LabError("kernel", `Debian ${SUITES[name]} has no linux-image-amd64.`);
  if (!image.startsWith(`linux-image-${name}`)) {
    throw new LabError("kernel", `Debian ${SUITES[name]} has ${image} now, which is not a ${name} kernel.`);
  }
  return [
    image,
    ...(await suite.dependencies(image)).filter((one) => /^linux-(binary|modules|base)-\d/.test(one)),
  ];
}

/** Copies from an unpacked package what the lab uses. */
async function reduce(name: KernelName, tree: string, result: string): Promise<void> {
  if (!existsSync(join(tree, "usr/lib/modules"))) {
    mkdirSync(join(tree, "usr/lib"), { recursive: true });
    renameSync(join(tree, "lib/modules"), join(tree, "usr/lib/modules"));
  }
  rmSync(join(tree, "lib"), { recursive: true, force: true });
  symlinkSync("usr/lib", join(tree, "lib"));
  const version = readdirSync(join(tree, "usr/lib/modules"))[0];
  const image = version === undefined ? undefined : findImage(tree, version);
  if (version === undefined || image === undefined) {
    throw new LabError("kernel", `The packages of kernel ${name} hold no image or no modules.`);
  }

  const from = join(tree, "usr/lib/modules", version);
  const to = join(result, "usr/lib/modules", version);
  mkdirSync(to, { recursive: true });
  symlinkSync("usr/lib", join(result, "lib"));
  copyFileSync(image, join(result, "vmlinuz"));
  for (const file of ["modules.builtin", "modules.builtin.modinfo", "modules.order"]) {
    if (existsSync(join(from, file))) copyFileSync(join(from, file), join(to, file));
  }
  await host("depmod", ["-b", tree, version]);
  const closure = async (modules: readonly string[], required: boolean) => {
    const files = new Set<string>();
    for (const module of modules) {
      const { status, stdout } = await hostTry("modprobe", [
        "-d",
        tree,
        "-S",
        version,
        "--show-depends",
        module,
      ]);
      if (status !== 0 && required)
        throw new LabError("kernel", `Kernel ${version} has no module ${module}.`);
      for (const [, path] of stdout.matchAll(/^insmod (\S+)/gm)) files.add(path ?? "");
    }
    const copied: string[] = [];
    for (const path of files) copied.push(await copyModule(path, from, to));
    return copied;
  };
  const early = await closure(EARLY, true);
  await closure(LATER, true);
  await closure(OPTIONAL, false);
  await host("depmod", ["-b", result, version]);
  writeFileSync(join(result, "kernel.json"), JSON.stringify({ format: FORMAT, version, early }, null, 2));
}

function findImage(tree: string, version: string): string | undefined {
  const places = [
    join(tree, "boot", `vmlinuz-${version}`),
    join(tree, "usr/lib/modules", version, "vmlinuz"),
  ];
  return places.find((path) => existsSync(path));
}

/** Copies one module, decompressed; returns its path below the modules' directory. */
async function copyModule(path: string, from: string, to: string): Promise<string> {
  const inside = relative(
    from,
    path.replace(/\/lib\/modules\//, "/usr/lib/modules/").replace("/usr/usr/", "/usr/"),
  );
  const target = join(to, inside.replace(/\.(xz|zst|gz)$/, ""));
  if (existsSync(target)) return relative(to, target);
  mkdirSync(dirname(target), { recursive: true });
  const packed = join(dirname(target), basename(path));
  copyFileSync(path, packed);
  if (path.endsWith(".xz")) await host("xz", ["-d", "-f", packed]);
  else if (path.endsWith(".zst")) await host("zstd", ["-d", "-q", "-f", "--rm", packed]);
  else if (path.endsWith(".gz")) await host("gzip", ["-d", "-f", packed]);
  return relative(to, target);
}
