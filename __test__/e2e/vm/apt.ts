// Fetches packages of another Debian suite without touching the system's apt: private lists, cache and source file, the
// mirror and the key read from the system's own sources (apt's proxy and other configuration stay in force).
// Nothing is installed; a package is only unpacked. If the system names no Debian mirror, that is said.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LabError } from "./errors.ts";
import { host, patiently, type Log } from "./host.ts";

interface Source {
  uri: string;
  options: string;
}

/** Reads one-line and deb822 sources; the first whose suite is a plain release (not -security, -updates) counts. */
export function parseSource(text: string, release: string): Source | undefined {
  for (const line of text.split("\n")) {
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line.trim());
    if (match?.[2] === undefined || match[3] !== release || !match[4]?.split(/\s+/).includes("main"))
      continue;
    const keys = (match[1] ?? "").split(/\s+/).filter((option) => /^(signed-by|trusted)=/i.test(option));
    return { uri: match[2], options: keys.join(" ") };
  }
  for (const stanza of text.split(/\n\s*\n/)) {
    const field = (name: string) =>
      new RegExp(`^${name}:[ \\t]*(.*(?:\\n[ \\t].*)*)$`, "im")
        .exec(stanza.replace(/^#.*\n?/gm, ""))?.[1]
        ?.trim();
    const uri = field("URIs")?.split(/\s+/)[0];
    if (uri === undefined || !field("Types")?.split(/\s+/).includes("deb")) continue;
    if (
      !field("Suites")?.split(/\s+/).includes(release) ||
      !field("Components")?.split(/\s+/).includes("main")
    )
      continue;
    const key = field("Signed-By");
    return { uri, options: key !== undefined && /^\S+$/.test(key) ? `signed-by=${key}` : "" };
  }
  return undefined;
}

/** The Debian suite of this host. */
export function hostSuite(): string {
  return /^VERSION_CODENAME=(\S+)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "stable";
}

/** The system's own Debian mirror. */
function systemSource(): Source {
  const release = hostSuite();
  const files = ["/etc/apt/sources.list"];
  try {
    const parts = readdirSync("/etc/apt/sources.list.d").toSorted();
    files.push(
      ...parts
        .map((name) => join("/etc/apt/sources.list.d", name))
        .filter((path) => /\.(list|sources)$/.test(path)),
    );
  } catch {
    // no such directory: the one file must do
  }
  for (const file of files) {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch {
      continue;
    }
    const source = parseSource(text, release);
    if (source !== undefined) return source;
  }
  throw new LabError(
    "kernel",
    `No Debian mirror with the suite ${release} is named in /etc/apt; the lab cannot fetch kernels.`,
  );
}

/** One suite's packages, through a private state under `directory`. */
export class Suite {
  readonly #name: string;
  readonly #directory: string;
  readonly #log: Log;
  readonly #options: string[];

  constructor(name: string, directory: string, log: Log) {
    this.#name = name;
    this.#directory = directory;
    this.#log = log;
    const source = systemSource();
    for (const part of ["lists/partial", "cache/archives/partial"])
      mkdirSync(join(directory, part), { recursive: true });
    const options = source.options === "" ? "" : `[${source.options}] `;
    writeFileSync(join(directory, "sources.list"), `deb ${options}${source.uri} ${name} main\n`);
    this.#options = [
      `Dir::State::Lists=${join(directory, "lists")}`,
      `Dir::Cache=${join(directory, "cache")}`,
      `Dir::Etc::SourceList=${join(directory, "sources.list")}`,
      "Dir::Etc::SourceParts=/dev/null",
      "Acquire::Languages=none",
      "APT::Sandbox::User=root",
    ].flatMap((option) => ["-o", option]);
  }

  async update(): Promise<void> {
    await patiently(this.#log, `fetching the package list of Debian ${this.#name}`, () =>
      host("apt-get", [...this.#options, "update"]),
    );
  }

  /** The names of the packages that `name` depends on. */
  async dependencies(name: string): Promise<string[]> {
    const text = await host("apt-cache", [...this.#options, "depends", name]);
    return [...text.matchAll(/^\s*\|?Depends: ([a-z0-9][^\s<>]*)$/gm)].map((match) => match[1] ?? "");
  }

  /** Downloads `names` and unpacks them into `target`. */
  async unpack(names: readonly string[], target: string): Promise<void> {
    const archives = join(this.#directory, "debs");
    mkdirSync(archives, { recursive: true });
    await patiently(this.#log, `downloading ${names.join(", ")}`, () =>
      host("apt-get", [...this.#options, "download", ...names], archives),
    );
    for (const file of readdirSync(archives)) {
      await patiently(this.#log, `unpacking ${file}`, () =>
        host("dpkg-deb", ["-x", join(archives, file), target]),
      );
    }
  }
}
