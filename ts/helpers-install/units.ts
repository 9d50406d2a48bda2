// The systemd units: which there are, where they go, and what systemd is told afterwards.
//
// Facts relied on: packages put units into /usr/lib/systemd/system, and leave /etc/systemd/system to the administrator, whose
// files and drop-ins go first (systemd.unit(5)); systemd reads them at daemon-reload only; /run/systemd/system is there where systemd
// runs (sd_booted(3)). `systemctl enable` and `disable` of a unit with an init script of the same name act on that script, too.
//
// Deliberately not done: nothing is enabled or started by itself, and the cluster is not stopped.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { InstallError } from "./errors.ts";
import type { Manifest } from "./manifest.ts";
import type { Wanted } from "./runtime.ts";
import type { Tree } from "./tree.ts";

export const unitDirectory = "/usr/lib/systemd/system";
export const unitNames = [
  "o2cb.service",
  "o2cb-monitor.service",
  "o2cb-reconcile.service",
  "o2cb-reconcile.timer",
  "ocfs2-controld.service",
] as const;
/** They do no harm when they end: the cluster goes on without them. */
const attendants = ["o2cb-monitor.service", "o2cb-reconcile.timer"];

/** The units as they are placed; `packageRoot` is the directory of this package's package.json. */
export function wantedUnits(tree: Tree, packageRoot: string): Wanted[] {
  return unitNames.map((name): Wanted => {
    const source = path.join(packageRoot, "systemd", name);
    if (!existsSync(source)) {
      const text = `${source} is missing; install ocfs2-group again`;
      throw new InstallError("INCOMPLETE_PACKAGE", text);
    }
    const full = `${unitDirectory}/${name}`;
    const content = { kind: "file", data: readFileSync(source), mode: 0o644 } as const;
    return { name: full, path: tree.locate(full), content, isHelper: true };
  });
}

/** Whether an installation placed units. */
export function hasUnits(manifest: Manifest | null): boolean {
  return (manifest?.placed ?? []).some((placed) =>
    unitNames.some((name) => placed.path.endsWith(`/systemd/system/${name}`)),
  );
}

/** What is left to do for whoever has placed the units for the first time. */
export function unitsAdvice(tree: Tree): string[] {
  const enable = `Nothing is started at boot yet: systemctl enable o2cb.service o2cb-reconcile.timer`;
  if (!tree.exists("/etc/init.d/ocfs2")) return [enable];
  return [
    enable,
    "The init script ocfs2 of other tools mounts the volumes of /etc/fstab too, and at its end kills what uses them: " +
      "systemctl mask ocfs2.service",
  ];
}

/** What of systemd is asked: null where it does not run, or the tree is not the running system. */
export function runningSystemd(tree: Tree): Systemd | null {
  return tree.isSystem && existsSync("/run/systemd/system") ? new Systemd(tree) : null;
}

export class Systemd {
  readonly #tree: Tree;
  readonly #run: (args: readonly string[]) => string | null;

  /** `run` returns why systemctl failed, or null. */
  constructor(tree: Tree, run: (args: readonly string[]) => string | null = systemctl) {
    this.#tree = tree;
    this.#run = run;
  }

  /** Has the units read again; returns what could not be done, as sentences. */
  reload(): string[] {
    return this.#problems(["daemon-reload"]);
  }

  /** Before the units are removed: the monitor and the timer end, and nothing of ours is started at boot any more. */
  retire(): string[] {
    // Not --now: it would not end while a volume is in use, and must not.
    const ended = [
      ...this.#problems(["disable", "--now", ...attendants]),
      ...this.#problems(["disable", "ocfs2-controld.service"]),
    ];
    // An init script of this name takes over, and stays as enabled as it was.
    if (this.#tree.exists("/etc/init.d/o2cb")) return ended;
    return [...ended, ...this.#problems(["disable", "o2cb.service"])];
  }

  #problems(args: readonly string[]): string[] {
    const why = this.#run(args);
    return why === null ? [] : [`systemctl ${args.join(" ")} failed (${why}); run it by hand`];
  }
}

function systemctl(args: readonly string[]): string | null {
  const { status, stderr, error } = spawnSync("systemctl", ["--quiet", ...args], {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
    timeout: 120_000,
  });
  if (status === 0) return null;
  return error?.message ?? stderr.trim().replaceAll("\n", " ");
}
