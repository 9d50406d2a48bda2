// What sub-commands of o2cb read of the configuration: the file, the service's settings, and the cluster that is meant.
//
// Facts relied on: the init script takes O2CB_BOOTCLUSTER where no cluster is named (commands 4.1, 4.2).
import type { ClusterConfig, ConfiguredCluster } from "../config/model.ts";
import type { Sysconfig } from "../config/sysconfig.ts";
import { O2cbError } from "../errors.ts";
import { UsageError, type Arguments } from "./argv.ts";
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

/**
 * The name of the cluster that is meant: as given, else the service's, else the only one of the configuration.
 * @throws UsageError
 */
export function meantCluster(
  args: Arguments,
  { bootCluster }: Sysconfig["values"],
  { clusters }: ClusterConfig,
): string {
  const given = args.operand("cluster");
  if (given !== "") return given;
  if (bootCluster !== null) return bootCluster;
  const [only, other] = clusters;
  if (only !== undefined && other === undefined) return only.name;
  throw new UsageError(`CLUSTER is missing, and the configuration has ${clusters.length} to choose from`);
}
