// The cluster's timeouts: as configured, as in force, and as they have to be for a cluster that does not fence itself without need.
//
// Facts relied on: the init script asks for at least 7, 5000, 1000 and 2000 (group-api 4.5); the kernel ignores a dead threshold that
// comes while a region exists (kernel-abi 1.5), so that what is configured and what is in force may differ; all nodes need the same
// values, or they refuse to talk to each other (users 1.3, M8). Other nodes' values are not seen from here: the heartbeat area
// tells their dead time (slots.ts), the digest of the configuration all of them.
import { readSysconfig } from "../../config/sysconfig.ts";
import { readClusterState } from "../registered.ts";
import type { ClusterTimeouts } from "../timeouts.ts";
import { failure, good, warning, type Check, type Finding } from "./finding.ts";

interface Rule {
  variable: string;
  configured: "heartbeatThreshold" | "idleTimeoutMs" | "keepaliveDelayMs" | "reconnectDelayMs";
  inForce: Exclude<keyof ClusterTimeouts, "fenceMethod" | "deadSeconds">;
  what: string;
  advised: number;
}

const RULES: readonly Rule[] = [
  {
    variable: "O2CB_HEARTBEAT_THRESHOLD",
    configured: "heartbeatThreshold",
    inForce: "deadThreshold",
    what: "the dead threshold",
    advised: 7,
  },
  {
    variable: "O2CB_IDLE_TIMEOUT_MS",
    configured: "idleTimeoutMs",
    inForce: "idleMs",
    what: "the idle timeout",
    advised: 5000,
  },
  {
    variable: "O2CB_KEEPALIVE_DELAY_MS",
    configured: "keepaliveDelayMs",
    inForce: "keepaliveMs",
    what: "the keepalive delay",
    advised: 1000,
  },
  {
    variable: "O2CB_RECONNECT_DELAY_MS",
    configured: "reconnectDelayMs",
    inForce: "reconnectMs",
    what: "the reconnect delay",
    advised: 2000,
  },
];

export const timeoutChecks: readonly Check[] = [
  {
    id: "timeouts",
    look: async ({ native, signal }) => {
      const { values, path } = await readSysconfig(native, { signal });
      const cluster = await readClusterState(native);
      return RULES.map((rule) =>
        judge(rule, values[rule.configured], cluster?.timeouts[rule.inForce] ?? null, path),
      );
    },
  },
];

function judge(rule: Rule, configured: number, inForce: number | null, path: string): Finding {
  const id = "timeouts";
  const { variable, what, advised } = rule;
  if (inForce !== null && inForce !== configured)
    return failure(
      id,
      `${what} is ${inForce} in the kernel, and ${configured} is configured in ${path}`,
      rule.inForce === "reconnectMs"
        ? "run o2cb online, which sets it"
        : "run o2cb restart, once no volume is mounted: it does not change while the cluster runs",
      variable,
    );
  const where = inForce === null ? "is configured" : "is configured and in force";
  if (configured < advised)
    return warning(
      id,
      `${what} of ${configured} ${where}, which is less than the ${advised} that is safe: a short delay can fence a node`,
      `raise ${variable} on all nodes, with downtime`,
      variable,
    );
  return good(id, `${what} of ${configured} ${where}; other nodes need the same`, variable);
}
