// The calls of one fake process on the services of a userspace cluster stack: over the state that stack-services.ts keeps.
//
// Facts relied on: stack-services.ts; bind(2) of an abstract name that another socket has: EADDRINUSE. A listener ends with its
// process only: the fake does not see close(2).
import type {
  CallOptions,
  ControlDevice,
  DlmControl,
  LockspaceState,
  NativeStack,
  ProcessGroup,
} from "../../../ts/native-types.ts";
import { FakeDlm } from "./dlm-calls.ts";
import { refuse, refuseWithCode } from "./errors.ts";
import { notRunning } from "./stack-services.ts";

const CLUSTER_NAME = "totem.cluster_name";
const LONGEST_GROUP = 128;
const FIRST_DESCRIPTOR = 1000;

export class FakeStackCalls extends FakeDlm implements NativeStack {
  readClusterMap(key: string, options?: CallOptions): Promise<string | null> {
    return this.call("readClusterMap", [key], options?.signal, () => {
      const { clusterName, map } = this.kernel.services.corosync ?? notRunning("corosync");
      return (key === CLUSTER_NAME ? clusterName : map?.get(key)) ?? null;
    });
  }

  isQuorate(options?: CallOptions): Promise<boolean> {
    return this.call("isQuorate", [], options?.signal, () => {
      return (this.kernel.services.corosync ?? notRunning("corosync")).isQuorate;
    });
  }

  joinProcessGroup(name: string, options?: CallOptions): Promise<ProcessGroup> {
    return this.call("joinProcessGroup", [name], options?.signal, ({ interrupt }) => {
      const length = Buffer.byteLength(name);
      if (length === 0 || length > LONGEST_GROUP)
        refuseWithCode(
          "O2CB_INTERNAL_FAILURE",
          `the name of a process group has 1 to ${LONGEST_GROUP} bytes`,
        );
      const join = this.kernel.services.calls.joinProcessGroup?.bind(this.kernel.services.calls);
      return (join ?? notRunning("corosync"))(this, name, interrupt);
    });
  }

  lockspaceState(name: string, options?: CallOptions): Promise<LockspaceState | null> {
    return this.call("lockspaceState", [name], options?.signal, () => {
      return (this.kernel.services.lockspaces ?? notRunning("dlm_controld")).get(name) ?? null;
    });
  }

  connectDlmControl(options?: CallOptions): Promise<DlmControl> {
    return this.call("connectDlmControl", [], options?.signal, ({ interrupt }) => {
      const connect = this.kernel.services.calls.connectDlmControl?.bind(this.kernel.services.calls);
      return (connect ?? notRunning("dlm_controld"))(this, interrupt);
    });
  }

  dlmVersion(path: string, options?: CallOptions): ReturnType<NativeStack["dlmVersion"]> {
    return this.call("dlmVersion", [path], options?.signal, () => {
      return this.kernel.services.dlmDevices.get(path) ?? refuse("ENOENT", { syscall: "open" });
    });
  }

  openControlDevice(
    path: string,
    node: number,
    version: { major: number; minor: number },
    options?: CallOptions,
  ): Promise<ControlDevice> {
    return this.call("openControlDevice", [path, node, version], options?.signal, ({ interrupt }) => {
      const open = this.kernel.services.calls.openControlDevice?.bind(this.kernel.services.calls);
      return (open ?? (() => refuse("ENOENT")))(this, path, node, version, interrupt);
    });
  }

  /** Everybody in the fake machine is root, and connections are no descriptors. */
  peerUser(_descriptor: number): number {
    return 0;
  }

  listenAbstract(name: string, backlog: number, options?: CallOptions): Promise<number> {
    return this.call("listenAbstract", [name, backlog], options?.signal, () => {
      const { listeners } = this.kernel.services;
      if (listeners.has(name)) refuse("EADDRINUSE");
      const descriptor = FIRST_DESCRIPTOR + listeners.size;
      listeners.set(name, descriptor);
      this.task.atExit("files", () => listeners.delete(name));
      return descriptor;
    });
  }
}
