// What sub-commands of o2cb read of the configuration: the file, a cluster of it, and the service's settings. What cannot be understood is
// an error with its place: nothing is done with a default in its stead.
import type { ClusterConfig, ConfiguredCluster } from "../config/model.ts";
import type { Sysconfig } from "../config/sysconfig.ts";
import { O2cbError } from "../errors.ts";
import type { Arguments } from "./argv.ts";
import type { JobContext } from "./job.ts";
import { configPath } from "./o2cb-syntax.ts";

type Context = Pick<JobContext, "native" | "signal">;

export async function configuration(args: Arguments, { native, signal }: Context): Promise<ClusterConfig> {
  const { loadConfig } = await import("../config/store.ts");
  return (await loadConfig(native, configPath(args), { signal })).config;
}

/** The one that the command line names. Errors: O2CB_CONFIGURATION_ERROR. */
export async function configuredCluster(args: Arguments, context: Context): Promise<ConfiguredCluster> {
  const { clusters } = await configuration(args, context);
  const name = args.operand("cluster");
  const found = clusters.find((one) => one.name === name);
  if (found !== undefined) return found;
  const path = configPath(args);
  throw new O2cbError("O2CB_CONFIGURATION_ERROR", `there is no cluster '${name}' in '${path}'`, {
    ...{ operation: "read-configuration", path, cluster: name },
    remedy: "see its clusters: o2cb list-clusters",
  });
}

/** The service's settings. Errors: O2CB_CONFIGURATION_ERROR where one cannot be understood. */
export async function settings({ native, signal }: Context): Promise<Sysconfig> {
  const { readSysconfig } = await import("../config/sysconfig.ts");
  const found = await readSysconfig(native, { signal });
  const bad = found.findings.find(({ severity }) => severity === "error");
  if (bad === undefined) return found;
  const { line, column, message, remedy } = bad;
  const fields = { operation: "read-configuration", path: found.path, line, column, remedy };
  throw new O2cbError(
    "O2CB_CONFIGURATION_ERROR",
    `'${found.path}', line ${line}, column ${column}: ${message}`,
    fields,
  );
}
