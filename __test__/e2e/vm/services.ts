// corosync and dlm_controld for the machines: Debian's packages of the host's own suite, since a machine's user land is the host's.
// Unpacked, never installed, so that nothing starts on the host; a machine copies them over its root (userspace/cluster.ts).
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostSuite, Suite } from "./apt.ts";
import { host, patiently, type Log } from "./host.ts";
import { takeLock } from "./lock.ts";
import { labDirectory } from "./places.ts";

const PACKAGES = ["corosync", "dlm-controld"];
/** Of what they depend on, the parts that a host without them may lack. */
const LIBRARIES =
  /^lib(cfg|cmap|corosync-common|cpg|dlm|dlmcontrol|knet|nozzle|qb|quorum|sam|statgrab|votequorum|nl-genl-3-|nl-3-)\d*(t64)?$/;

/** The directory that holds usr/, from the cache or fetched (4 MB). */
export async function clusterServices(log: Log = () => {}): Promise<string> {
  const suite = hostSuite();
  const directory = join(labDirectory(), `services-${suite}`);
  if (isReady(directory)) return directory;
  const lock = await takeLock(`${directory}.lock`, (holder) =>
    log(`corosync and dlm_controld are being fetched by ${holder}`),
  );
  try {
    if (!isReady(directory)) await fetch(suite, directory, log);
    return directory;
  } finally {
    await lock.release();
  }
}

function isReady(directory: string): boolean {
  const mark = join(directory, "packages");
  return existsSync(mark) && readFileSync(mark, "utf8") === `${PACKAGES.join(" ")}\n`;
}

async function fetch(name: string, directory: string, log: Log): Promise<void> {
  const work = `${directory}.new`;
  rmSync(work, { recursive: true, force: true });
  try {
    mkdirSync(join(work, "tree"), { recursive: true });
    const suite = new Suite(name, join(work, "apt"), log);
    await suite.update();
    const names = new Set(PACKAGES);
    for (const one of names)
      for (const needed of await suite.dependencies(one)) if (LIBRARIES.test(needed)) names.add(needed);
    await suite.unpack([...names], join(work, "tree"));
    // /lib is a link on the host: what packages have there belongs into usr/lib.
    await patiently(log, "preparing corosync and dlm_controld", () => mergeLib(join(work, "tree")));
    writeFileSync(join(work, "tree", "packages"), `${PACKAGES.join(" ")}\n`);
    rmSync(directory, { recursive: true, force: true });
    renameSync(join(work, "tree"), directory);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function mergeLib(tree: string): Promise<void> {
  for (const name of ["lib", "sbin", "bin"]) {
    const from = join(tree, name);
    if (!existsSync(from)) continue;
    await host("cp", ["-a", `${from}/.`, join(tree, "usr", name)]);
    rmSync(from, { recursive: true });
  }
}
