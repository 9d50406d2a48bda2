// The part of `Native` for userspace cluster stacks (native-stack-types.ts): not built yet.
import { O2cbError } from "./errors.ts";
import type { NativeStack } from "./native-stack-types.ts";

/** Refuses everything as a host without these services does. */
export function stackCalls(): NativeStack {
  const missing = (): Promise<never> =>
    Promise.reject(
      new O2cbError("O2CB_SERVICE_UNAVAILABLE", "this build has no userspace cluster stacks", {
        operation: "load-libcpg",
      }),
    );
  return {
    readClusterMap: missing,
    isQuorate: missing,
    joinProcessGroup: missing,
    lockspaceState: missing,
    connectDlmControl: missing,
    dlmVersion: missing,
    openControlDevice: missing,
    listenAbstract: missing,
  };
}
