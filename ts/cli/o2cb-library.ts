// The library as the sub-commands of o2cb use it. Each part is evaluated when it is called and not before: the monitor is in the same
// bundle, and stays small.
import type * as edits from "../config/edit.ts";
import type * as names from "../config/names.ts";
import type { lintText } from "../config/lint.ts";
import type { ClusterConfig, ConfiguredCluster } from "../config/model.ts";
import type { changeConfig, loadConfig } from "../config/store.ts";
import { O2cbError } from "../errors.ts";
import type { resolveRegion } from "../region/find-device.ts";

export interface O2cbLibrary {
  loadConfig: typeof loadConfig;
  changeConfig: typeof changeConfig;
  lintText(...given: Parameters<typeof lintText>): Promise<ReturnType<typeof lintText>>;
  edits(): Promise<typeof edits>;
  names(): Promise<typeof names>;
  resolveRegion: typeof resolveRegion;
  /** the IPv4 address of a host's name */
  lookup(name: string): Promise<string>;
}

export const o2cbLibrary: O2cbLibrary = {
  loadConfig: async (...given) => (await import("../config/store.ts")).loadConfig(...given),
  changeConfig: async (...given) => (await import("../config/store.ts")).changeConfig(...given),
  lintText: async (...given) => (await import("../config/lint.ts")).lintText(...given),
  edits: () => import("../config/edit.ts"),
  names: () => import("../config/names.ts"),
  resolveRegion: async (...given) => (await import("../region/find-device.ts")).resolveRegion(...given),
  lookup,
};

async function lookup(name: string): Promise<string> {
  const { lookup: ask } = await import("node:dns/promises");
  try {
    return (await ask(name, { family: 4 })).address;
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    throw new O2cbError(
      "O2CB_CONFIGURATION_ERROR",
      `the resolver has no IPv4 address of '${name}' (${code})`,
      {
        operation: "edit-configuration",
        remedy: "give the node's address with --ip",
        cause,
      },
    );
  }
}

/** Errors: O2CB_CONFIGURATION_ERROR. */
export function clusterOf({ clusters }: ClusterConfig, name: string, path: string): ConfiguredCluster {
  const found = clusters.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new O2cbError("O2CB_CONFIGURATION_ERROR", `there is no cluster '${name}' in '${path}'`, {
    operation: "read-configuration",
    path,
    cluster: name,
    remedy: "see its clusters: o2cb list-clusters",
  });
}
