// The userspace stack of today: the volume's group is a lockspace of the kernel's DLM, which mount(2) joins and the end of the superblock
// leaves. Around it there is nothing to hold: begin looks whether the join can succeed, complete and leave keep the order.
//
// Facts relied on: userspace-stack 3.2 and 4.2 (begin, complete and leave of the C library do nothing here), 6.1 (mount(2) is the join, and waits for
// quorum and fencing where no signal reaches it; a second one of the same device queues behind it), 6.2 (that the C library's begin proves
// nothing). What keeps a dead node's volume safe is fencing, which belongs to the cluster.
//
// Not here: references and notes. Whatever is killed, the kernel and dlm_controld account for the superblock.
import { O2cbError } from "../errors.ts";
import type { DeviceNumber, Held, Native } from "../native-types.ts";
import { hasLiveSuperblock } from "../region/liveness.ts";
import { lockVolume } from "../region/volume-lock.ts";
import { emit } from "../steps.ts";
import { ClusterStack, MOUNT_SERVICE, refuseLocal, type JoinRequest, type Ticket } from "./cluster-stack.ts";
import { checkDlm } from "./dlm-checks.ts";

export interface KernelDlmTicket extends Ticket {
  readonly transport: "kernel";
  readonly deviceNumber: DeviceNumber | null;
  /** held from begin to complete by mounts */
  volumeLock: Held | null;
}

export class KernelDlmStack extends ClusterStack<KernelDlmTicket> {
  readonly label: string;

  constructor(native: Native, label: string) {
    super(native);
    this.label = label;
  }

  protected async _begin(request: JoinRequest): Promise<KernelDlmTicket> {
    const { volume, service, signal, onStep } = request;
    refuseLocal(request, this.label);
    const cluster = await checkDlm(this.native, volume, { signal, onStep });
    emit(onStep, { step: "cluster", cluster, mode: "none", node: null, nodeNumber: null });
    return {
      state: "joining",
      busy: false,
      transport: "kernel",
      region: volume.uuid,
      service,
      cluster,
      directory: null,
      deviceNumber: volume.deviceNumber,
      volumeLock:
        service === MOUNT_SERVICE ? await lockVolume(this.native, volume.uuid, { signal, onStep }) : null,
    };
  }

  protected async _confirm(ticket: KernelDlmTicket): Promise<void> {
    release(ticket);
  }

  protected async _undo(ticket: KernelDlmTicket): Promise<void> {
    release(ticket);
  }

  /** The superblock is the membership, so it has to be gone. */
  protected async _leave(ticket: KernelDlmTicket): Promise<void> {
    const { service, region, deviceNumber } = ticket;
    if (service !== MOUNT_SERVICE || deviceNumber === null) return;
    if (!(await hasLiveSuperblock(this.native, deviceNumber))) return;
    throw new O2cbError("O2CB_REGION_IN_USE", `the volume '${region}' is still mounted on this node`, {
      operation: "leave",
      region,
      clusterStack: this.label,
      remedy: "unmount it first",
    });
  }
}

function release(ticket: KernelDlmTicket): void {
  ticket.volumeLock?.release();
  ticket.volumeLock = null;
}
