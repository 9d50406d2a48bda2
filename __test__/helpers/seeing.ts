// A process of a fake machine that sees other files than the machine has: what /proc, /sys and /etc say of hardware and of the host, which
// the fake does not model. Everything else is the machine's.
import { O2cbError } from "../../ts/errors.ts";
import type { PathFacts } from "../../ts/native-types.ts";
import type { FakeNative } from "./fake-native.ts";

/** A file's text; null: nothing is there; a link's target, whose real path is what it says; a directory with nothing in it. */
export type Sight = string | null | { leadsTo: string } | { directory: true };

export function seeing(native: FakeNative, sights: Readonly<Record<string, Sight>>): FakeNative {
  const real = {
    readAttribute: native.readAttribute.bind(native),
    listFiles: native.listFiles.bind(native),
    listDirectories: native.listDirectories.bind(native),
    inspectPath: native.inspectPath.bind(native),
    readLink: native.readLink.bind(native),
  };
  const paths = Object.keys(sights).filter((path) => sights[path] !== null);
  const isAbsent = (path: string): boolean =>
    Object.keys(sights).some(
      (hidden) => sights[hidden] === null && (path === hidden || path.startsWith(`${hidden}/`)),
    );
  const below = (path: string): string[] =>
    paths.filter((one) => one.startsWith(`${path}/`)).map((one) => one.slice(path.length + 1));
  const absent = (path: string): O2cbError =>
    new O2cbError("O2CB_SERVICE_UNAVAILABLE", `'${path}' is not there`, {
      operation: "see",
      errno: -2,
      path,
    });

  native.readAttribute = async (path, options) => {
    const sight = sights[path];
    if (typeof sight === "string") return sight;
    if (isAbsent(path)) throw absent(path);
    return real.readAttribute(path, options);
  };
  const list = async (
    path: string,
    names: readonly string[],
    others: () => Promise<string[]>,
  ): Promise<string[]> => {
    const found = below(path).length > 0 || path in sights;
    const rest = await others().catch((error: unknown) => {
      if (found) return [];
      throw error;
    });
    return [...new Set([...names, ...rest])].filter((name) => !isAbsent(`${path}/${name}`));
  };
  native.listFiles = async (path, options) => {
    if (isAbsent(path)) throw absent(path);
    const names = below(path).filter((name) => !name.includes("/") && !isDirectory(`${path}/${name}`));
    return list(path, names, () => real.listFiles(path, options));
  };
  native.listDirectories = async (path, options) => {
    if (isAbsent(path)) throw absent(path);
    const names = below(path).flatMap((name) => {
      const [first = ""] = name.split("/");
      return name.includes("/") || isDirectory(`${path}/${name}`) ? [first] : [];
    });
    return list(path, names, () => real.listDirectories(path, options));
  };
  const isDirectory = (path: string): boolean => {
    const sight = sights[path];
    return typeof sight === "object" && sight !== null && "directory" in sight;
  };
  native.inspectPath = async (path, namespace, options) => {
    if (isAbsent(path)) throw absent(path);
    const sight = sights[path];
    if (sight === undefined && below(path).length === 0) return real.inspectPath(path, namespace, options);
    const facts: PathFacts = {
      realPath: typeof sight === "object" && sight !== null && "leadsTo" in sight ? sight.leadsTo : path,
      kind: typeof sight === "string" ? "file" : "directory",
      device: { major: 0, minor: 99 },
      represents: null,
      mountId: 1n,
      isMountRoot: false,
      filesystemMagic: 0,
    };
    return facts;
  };
  native.readLink = async (path, options) => {
    if (isAbsent(path)) throw absent(path);
    const sight = sights[path];
    if (typeof sight === "object" && sight !== null && "leadsTo" in sight) return sight.leadsTo;
    return real.readLink(path, options);
  };
  return native;
}
