// The userspace stack with a control daemon: ocfs2_controld joins the volume's group before mount(2), is told how that went, and leaves the
// group when it is asked to.
//
// Facts relied on: userspace-stack 1.5 (a mounter is known by its connection, which stays open from begin to complete), 2.3 (what the daemon makes of a
// connection that ends: before its STATUS the mount is undone, after it the volume counts as mounted; of an additional mount nothing is left), 7.4.
// The daemon holds memberships for this node, not for a process: what a killed program had joined stays joined until somebody leaves it. For the
// service of mounts that is the next unmount of the volume.
//
// So a join that is given up is never just closed once the daemon has answered: its errno is told, and where that cannot be done, the membership is
// ended over another connection, unless a superblock lives that relies on it.
import { constants } from "node:os";
import { isCode, O2cbError } from "../errors.ts";
import { ControldClient, type ControldOptions, type MountKind } from "../controld/client.ts";
import type { Connection, Status } from "../controld/connection.ts";
import { ALREADY_MOUNTED } from "../controld/messages.ts";
import { refusal } from "../controld/refusals.ts";
import type { DeviceNumber, Held, Native } from "../native-types.ts";
import { DISMOUNT_PATIENCE_MS } from "../region/liveness.ts";
import { devicePath } from "../region/superblock.ts";
import { lockVolume } from "../region/volume-lock.ts";
import { emit, type OnStep } from "../steps.ts";
import { ClusterStack, MOUNT_SERVICE, refuseLocal, type JoinRequest, type Ticket } from "./cluster-stack.ts";
import { leaveControldMount, takeBack } from "./leave-controld.ts";
import { otherCluster } from "./user-cluster.ts";

export interface ControldTicket extends Ticket {
  readonly transport: "controld";
  readonly device: string;
  readonly deviceNumber: DeviceNumber | null;
  readonly kind: MountKind;
  /** the mounter's; null once the daemon has been told, or cannot be any more */
  connection: Connection | null;
  /** held from begin to complete by mounts */
  volumeLock: Held | null;
}

export class ControldStack extends ClusterStack<ControldTicket> {
  readonly label: string;
  readonly #options: ControldOptions;

  constructor(native: Native, label: string, options: ControldOptions = {}) {
    super(native);
    this.label = label;
    this.#options = options;
  }

  protected async _begin(request: JoinRequest): Promise<ControldTicket> {
    const { volume, service, signal, onStep } = request;
    refuseLocal(request, this.label);
    const device = await this.#pathForDaemon(request);
    const volumeLock =
      service === MOUNT_SERVICE ? await lockVolume(this.native, volume.uuid, { signal, onStep }) : null;
    try {
      const client = this.#client(volume.uuid);
      const connection = await client.connect("begin-join", { signal });
      const { cluster, kind } = await this.#join(client, connection, request, device);
      return {
        state: "joining",
        busy: false,
        transport: "controld",
        region: volume.uuid,
        service,
        cluster,
        directory: null,
        device,
        deviceNumber: volume.deviceNumber,
        kind,
        connection,
        volumeLock,
      };
    } catch (error) {
      volumeLock?.release();
      throw error;
    }
  }

  /** Joined, on the connection; or nothing is held, and the connection closed. */
  async #join(
    client: ControldClient,
    connection: Connection,
    request: JoinRequest,
    device: string,
  ): Promise<{ cluster: string; kind: MountKind }> {
    const { volume, service, onStep } = request;
    let isAsked = false;
    try {
      const [running] = await client.clustersOver(connection, "begin-join", request);
      const cluster = this.#checkName(request, running);
      emit(onStep, { step: "cluster", cluster, mode: "none", node: null, nodeNumber: null });
      isAsked = true;
      const names = { uuid: volume.uuid, cluster, device, service };
      const kind = await client.mount(connection, names, request);
      if (kind === "additional")
        emit(onStep, { step: "additional-mount", region: volume.uuid, references: 1 });
      return { cluster, kind };
    } catch (error) {
      // The daemon may have answered just before it could see that nobody listens any more.
      const crossed = isAsked && !connection.isUsable ? await connection.giveUp() : null;
      connection.close();
      if (crossed?.number === 0 || crossed?.number === ALREADY_MOUNTED)
        await this.#takeBackAfter(error, request);
      throw error;
    }
  }

  protected async _confirm(ticket: ControldTicket, onStep?: OnStep): Promise<void> {
    const isMount = ticket.service === MOUNT_SERVICE;
    try {
      const status = await this.#tell(ticket, 0, onStep);
      if (status.number !== 0) this.#warnOfStatus(ticket, 0, status, onStep);
    } catch (error) {
      // The volume is mounted, and for the daemon too. A program has done nothing yet: it can still give the join up.
      if (!isMount) throw error;
      const reason = (error as Error).message;
      const code = error instanceof O2cbError ? error.code : "O2CB_INTERNAL_FAILURE";
      emit(onStep, {
        step: "warning",
        code,
        message: `the volume '${ticket.region}' is mounted, but ocfs2_controld could not be told: ${reason}; look whether it still runs (systemctl status ocfs2-controld)`,
      });
    }
    release(ticket);
  }

  protected async _undo(ticket: ControldTicket, onStep: OnStep | undefined, result: number): Promise<void> {
    let isUndone = false;
    try {
      const status = await this.#tell(ticket, sendable(result), onStep);
      isUndone = status.number === 0;
      if (!isUndone) this.#warnOfStatus(ticket, result, status, onStep);
    } catch (error) {
      // Told or not, the membership is ended in another way.
      if (!(error instanceof O2cbError)) throw error;
    }
    if (!isUndone) await takeBack(this.native, { ...ticket, clusterStack: this.label }, this.#with(onStep));
    release(ticket);
  }

  protected async _leave(ticket: ControldTicket, onStep?: OnStep): Promise<void> {
    const { region, service, device, deviceNumber } = ticket;
    const outcome = await leaveControldMount(
      this.native,
      {
        region,
        clusterStack: this.label,
        service,
        device,
        deviceNumber: service === MOUNT_SERVICE ? deviceNumber : null,
        patienceMs: DISMOUNT_PATIENCE_MS,
      },
      this.#with(onStep),
    );
    if (outcome === "still-in-use") {
      throw new O2cbError("O2CB_REGION_IN_USE", `the volume '${region}' is still mounted on this node`, {
        operation: "leave",
        region,
        clusterStack: this.label,
        path: device,
        remedy: "unmount it first",
      });
    }
  }

  /** The result over the mounter's own connection, which ends with it. */
  async #tell(ticket: ControldTicket, result: number, onStep?: OnStep): Promise<Status> {
    const { connection, region, service } = ticket;
    if (connection === null) {
      throw new O2cbError("O2CB_SERVICE_UNAVAILABLE", `the connection of the join of '${region}' was lost`, {
        operation: "complete-join",
        region,
        clusterStack: this.label,
        remedy: "give the join up, and begin another",
      });
    }
    try {
      return await this.#client(region).mountResult(connection, { uuid: region, service }, result, {
        onStep,
      });
    } finally {
      ticket.connection = null;
      connection.close();
    }
  }

  /** The running cluster's name, which is the volume's: the daemon would answer a bare EINVAL. */
  #checkName({ volume }: JoinRequest, running: string | undefined): string {
    const fields = {
      operation: "begin-join",
      path: volume.device,
      region: volume.uuid,
      clusterStack: this.label,
    };
    if (volume.cluster !== null && (running === undefined || volume.cluster === running))
      return volume.cluster;
    throw otherCluster(volume, running, fields);
  }

  /** A path of the device that the daemon can look at, from its own directory and in a frame's words. */
  async #pathForDaemon({ volume, signal }: JoinRequest): Promise<string> {
    const { realPath } = await this.native.inspectPath(volume.device, null, { signal });
    if (!realPath.includes(" ") || volume.deviceNumber === null) return realPath;
    return (await devicePath(this.native, volume.deviceNumber, null, signal)) ?? realPath;
  }

  #warnOfStatus(ticket: ControldTicket, result: number, status: Status, onStep: OnStep | undefined): void {
    const what =
      result === 0
        ? `the join of '${ticket.region}' is complete`
        : `the join of '${ticket.region}' is given up`;
    const { code, message } = refusal("MRESULT", status, `${what}, but`, { operation: "complete-join" });
    emit(onStep, { step: "warning", code, message });
  }

  /** Begin has failed with `error`, and the daemon holds its mount. */
  async #takeBackAfter(error: unknown, { volume, service, onStep }: JoinRequest): Promise<void> {
    const { uuid: region, deviceNumber } = volume;
    try {
      const where = { region, clusterStack: this.label, service, deviceNumber };
      await takeBack(this.native, where, this.#with(onStep));
    } catch (rollbackError) {
      if (!(error instanceof O2cbError)) return;
      error.rollbackError ??= rollbackError;
      if (!isCode(error, "O2CB_ABORTED")) return;
      const message = `given up, but ocfs2_controld holds the membership of '${region}' still: ${(rollbackError as Error).message}`;
      const told = new O2cbError("O2CB_ABORTED", message, {
        ...error,
        outcome: "in-kernel",
        remedy: `end it: ocfs2_hb_ctl -K -u ${region} ${service}`,
        cause: error,
      });
      told.rollbackError = rollbackError;
      throw told;
    }
  }

  #with(onStep: OnStep | undefined): ControldOptions & { onStep: OnStep | undefined } {
    return { ...this.#options, onStep };
  }

  #client(region: string): ControldClient {
    return new ControldClient(this.native, this.#options, { region, clusterStack: this.label });
  }
}

/** An errno as the daemon can read it; one of ours may be out of a C int's range. */
function sendable(result: number): number {
  return result <= 0x7fff_ffff ? result : constants.errno.EIO;
}

function release(ticket: ControldTicket): void {
  ticket.volumeLock?.release();
  ticket.volumeLock = null;
}
