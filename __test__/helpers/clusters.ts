// The cluster of the fake machines as a configuration has it, and what is in the fake's configfs, to compare.
import { CLUSTER, type FakeKernel, type FakeNative } from "./fake-native.ts";
import type { WantedCluster } from "../../ts/cluster/nodes.ts";
import type { SysconfigValues } from "../../ts/config/sysconfig.ts";
import { SYSCONFIG_DEFAULTS } from "../../ts/config/sysconfig.ts";
import type { O2cbError } from "../../ts/errors.ts";

export const ALPHA = { name: "alpha", number: 0, address: "10.0.0.1", port: 7777 };
export const BETA = { name: "beta", number: 1, address: "10.0.0.2", port: 7777 };
export const GAMMA = { name: "gamma", number: 2, address: "10.0.0.3", port: 7777 };

export const LOCAL: WantedCluster = { name: CLUSTER, mode: "local", nodes: [ALPHA, BETA] };

export function globalCluster(...heartbeats: string[]): WantedCluster {
  return { name: CLUSTER, mode: "global", nodes: [ALPHA, BETA], heartbeats };
}

export const ENABLED: SysconfigValues = { ...SYSCONFIG_DEFAULTS, enabled: true, bootCluster: CLUSTER };

/** The registered cluster of the fake kernel; null where there is none. */
export function registration(kernel: FakeKernel): object | null {
  const [cluster] = kernel.clusters.values();
  if (cluster === undefined) return null;
  return {
    name: cluster.name,
    mode: kernel.heartbeat.mode,
    nodes: [...cluster.nodes.values()]
      .map(({ name, number, address, port, local }) => ({ name, number, address, port, local }))
      .toSorted((one, other) => (one.name < other.name ? -1 : 1)),
    regions: [...cluster.regions.keys()],
  };
}

export const WRITES = [
  "writeAttribute",
  "makeDirectory",
  "removeDirectory",
  "startHeartbeat",
  "mount",
  "unmount",
  "runProgram",
  "replaceFile",
  "removeFile",
];

/** The calls that change something, as they reached the kernel. */
export function written(native: FakeNative): string[] {
  return native.calls
    .filter(({ name }) => WRITES.includes(name))
    .map(({ name, args }) => `${name} ${args.join(" ")}`);
}

/** The error of a call that has to fail. */
export async function failure(promise: Promise<unknown>): Promise<O2cbError> {
  return promise.then(
    (value) => {
      throw new Error(`it did not fail: ${JSON.stringify(value)}`);
    },
    (error: unknown) => error as O2cbError,
  );
}
