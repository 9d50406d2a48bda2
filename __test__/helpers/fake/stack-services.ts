// The services of a userspace cluster stack on the fake machine: what corosync, dlm_controld and the two control devices would answer. Tests
// set it; nothing changes by itself. Process groups, dlm_controld's clients and the handshake have behaviour, which a test brings along.
//
// Facts relied on: userspace-stack 2.4, 2.6, 3.1, 4.2. By default nothing of it is there, as on a host without these packages.
import type {
  ControlDevice,
  DlmControl,
  LockspaceState,
  NativeStack,
  ProcessGroup,
} from "../../../ts/native-types.ts";
import type { RefusalFields } from "./errors.ts";
import { refuseWithCode } from "./errors.ts";
import type { FakeProcess } from "./process.ts";

/** corosync, as it runs on this machine. */
export interface Corosync {
  /** totem.cluster_name; null: not set */
  clusterName: string | null;
  isQuorate: boolean;
  /** other keys of its map */
  map?: ReadonlyMap<string, string>;
}

/** What has behaviour; `process` is who calls. Refusals are thrown as `refuse` and `refuseWithCode` throw them. */
export interface ServiceCalls {
  joinProcessGroup(process: FakeProcess, name: string, interrupt: AbortSignal): Promise<ProcessGroup>;
  connectDlmControl(process: FakeProcess, interrupt: AbortSignal): Promise<DlmControl>;
  openControlDevice(
    process: FakeProcess,
    path: string,
    ...how: [...device: DeviceArguments, interrupt: AbortSignal]
  ): Promise<ControlDevice>;
}

type DeviceArguments = [node: number, version: Parameters<NativeStack["openControlDevice"]>[2]];

export class StackServices {
  /** null: it does not run */
  corosync: Corosync | null = null;
  /** dlm_controld's, by their names; null: it does not run */
  lockspaces: Map<string, LockspaceState> | null = null;
  /** the DLM's control device, by its paths */
  readonly dlmDevices = new Map<string, { major: number; minor: number; patch: number }>();
  /** abstract names that processes of this machine listen on, with the descriptor each got */
  readonly listeners = new Map<string, number>();
  /** what a test brings along; each alone may be missing */
  calls: Partial<ServiceCalls> = {};
}

/** A service of corosync's or dlm_controld's that does not run here. */
export function notRunning(service: string, fields: RefusalFields = {}): never {
  return refuseWithCode("O2CB_SERVICE_UNAVAILABLE", `${service} does not run on this node`, fields);
}
