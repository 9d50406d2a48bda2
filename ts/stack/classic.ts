// The classic stack: the kernel's own disk heartbeat, driven through configfs, counted in SysV semaphores.
//
// Facts relied on: group-api 3.1 (gates and their three errors), 3.2 (local and global mode), 3.3-3.5 (begin, complete,
// leave), K1-K14; commands fact 1: the kernel knows one leave per superblock, so a mount takes one reference per superblock.
//
// Crash safety: until complete(0) every reference carries SEM_UNDO, so a process that dies takes it along; what remains is a
// region without references, which the next begin adopts or replaces and the next leave removes. A mount whose process dies
// between mount(2) and complete(0) is found by the next begin as a superblock without reference, and repaired.
import { exists, readHint } from "../attributes.ts";
import { isCode, O2cbError } from "../errors.ts";
import { requireHostNamespaces } from "../namespaces.ts";
import type { DeviceNumber, Held, Native, RegionLock } from "../native-types.ts";
import { DISMOUNT_PATIENCE_MS, hasLiveSuperblock } from "../region/liveness.ts";
import { withRegionLock } from "../region/lock.ts";
import { forgetRecord, heartbeatThread, newRecord, writeRecord, type JoinRecord } from "../region/record.ts";
import { ensureRegion, regionDirectory, type RegionContext, type RegionOrigin } from "../region/region.ts";
import { dropStale } from "../region/repair.ts";
import { destroySet, dropReferences, stopUnreferenced } from "../region/stop-region.ts";
import { lockVolume } from "../region/volume-lock.ts";
import { emit, type HeartbeatMode, type OnStep } from "../steps.ts";
import { CLASSIC_STACK } from "../volume.ts";
import { isLive, localNode, runningCluster, type LocalNode, type RunningCluster } from "./cluster.ts";
import { ClusterStack, MOUNT_SERVICE, refuseLocal, type JoinRequest, type Ticket } from "./cluster-stack.ts";
import { leaveMount } from "./leave-mount.ts";

export interface ClassicTicket extends Ticket {
  mode: HeartbeatMode;
  device: string | null;
  deviceNumber: DeviceNumber | null;
  /** as it was when the join began: a later change of the cluster strands nothing (B11) */
  readonly directory: string;
  /** whether the reference outlives this process once complete */
  persistent: boolean;
  /** whether a reference was taken at all: not in global mode, not for a further mount of a live superblock */
  counted: boolean;
  origin: RegionOrigin;
  /** held from begin to complete by mounts */
  volumeLock: Held | null;
  /** our note of the reference, where one was taken */
  record: JoinRecord | null;
  readonly request: JoinRequest;
}

export class ClassicStack extends ClusterStack<ClassicTicket> {
  readonly label = CLASSIC_STACK;
  readonly #configfs: string;

  constructor(native: Native, configfs: string) {
    super(native);
    this.#configfs = configfs;
  }

  protected async _begin(request: JoinRequest): Promise<ClassicTicket> {
    const { volume, signal, onStep } = request;
    const cluster = await runningCluster(this.native, this.#configfs, signal);
    checkStamp(request, cluster);
    const node = await localNode(this.native, this.#configfs, cluster.name, signal);
    emit(onStep, {
      step: "cluster",
      cluster: cluster.name,
      mode: cluster.mode,
      node: node.name,
      nodeNumber: node.number,
    });
    const isMount = request.service === MOUNT_SERVICE;
    const ticket: ClassicTicket = {
      state: "joining",
      busy: false,
      region: volume.uuid,
      service: request.service,
      cluster: cluster.name,
      mode: cluster.mode,
      device: volume.device,
      deviceNumber: volume.deviceNumber,
      directory: regionDirectory(cluster, volume.uuid),
      persistent: request.persistent ?? isMount,
      counted: false,
      origin: "adopted",
      volumeLock: null,
      record: null,
      request,
    };
    if (cluster.mode === "global") {
      await checkGlobalHeartbeat(this.native, cluster, node);
      return ticket;
    }
    await requireHostNamespaces(this.native, "begin-join", signal);
    if (isMount) ticket.volumeLock = await lockVolume(this.native, volume.uuid, request);
    try {
      // Before anything is made: killed between the set and the region, this process leaves what only a note leads to.
      await this.#note(ticket, { persistent: false, references: 0 }, onStep);
      const context: RegionContext = { native: this.native, cluster, volume, signal, onStep };
      await withRegionLock(this.native, volume.uuid, true, request, (lock) =>
        this.#join(context, node, lock, ticket),
      );
      return ticket;
    } catch (error) {
      await this.#forget(ticket);
      ticket.volumeLock?.release();
      throw error;
    }
  }

  /** Under the mutex: the region beats and this join is counted, or nothing has changed. */
  async #join(
    context: RegionContext,
    node: LocalNode,
    lock: RegionLock,
    ticket: ClassicTicket,
  ): Promise<void> {
    const { native, volume, signal, onStep } = context;
    try {
      const isMount = ticket.service === MOUNT_SERVICE;
      const isFurtherMount =
        isMount &&
        volume.deviceNumber !== null &&
        (await hasLiveSuperblock(native, volume.deviceNumber, signal));
      const freed = isMount && !isFurtherMount && (await dropStale(native, ticket, lock, { signal, onStep }));
      ticket.origin = await ensureRegion(context, node, lock);
      // What only mounts that are gone had held is this join's to remove, as if it had made it.
      if (freed && lock.references() === 0) ticket.origin = "created";
      if (isFurtherMount) {
        if (lock.references() === 0) {
          emit(onStep, { step: "repair-reference", region: volume.uuid });
          await this.#note(ticket, { persistent: true, references: 1 }, onStep);
          lock.take(false);
        } else await this.#forget(ticket, onStep);
        emit(onStep, { step: "additional-mount", region: volume.uuid, references: lock.references() });
        return;
      }
      await this.#note(ticket, { persistent: false, references: 1 }, onStep);
      const references = lock.take(true);
      ticket.counted = true;
      emit(onStep, { step: "reference", region: volume.uuid, references, persistent: ticket.persistent });
    } catch (error) {
      await this.#undoBegin(lock, ticket, error);
      throw error;
    }
  }

  /** Writes the note of a join when it begins, before its reference is taken, and before that becomes persistent. */
  async #note(
    ticket: ClassicTicket,
    state: { persistent: boolean; references: number },
    onStep?: OnStep,
  ): Promise<void> {
    const { service, region, cluster, device, deviceNumber, request } = ticket;
    const pid = (await readHint(this.native, `${ticket.directory}/pid`))?.trim() ?? null;
    ticket.record ??= await newRecord(this.native, {
      region,
      service,
      cluster,
      device,
      deviceNumber: deviceNumber === null ? null : `${deviceNumber.major}:${deviceNumber.minor}`,
      thread: null,
      persistent: false,
      handed: request.handed ?? false,
      directory: request.directory ?? null,
    });
    ticket.record = { ...ticket.record, ...state, thread: await heartbeatThread(this.native, pid) };
    await writeRecord(this.native, ticket.record, onStep);
  }

  async #forget(ticket: ClassicTicket, onStep?: OnStep): Promise<void> {
    if (ticket.record !== null) await forgetRecord(this.native, ticket.record.id, onStep);
    ticket.record = null;
  }

  /** Leaves no set, no region and no note that this begin made (B6, B9). */
  async #undoBegin(lock: RegionLock, ticket: ClassicTicket, error: unknown): Promise<void> {
    try {
      await this.#forget(ticket);
      const present = await exists(this.native, ticket.directory);
      if (present && ticket.origin === "created" && lock.references() === 0)
        await stopUnreferenced(this.native, ticket.directory, lock, null);
      else if (!present && lock.references() === 0) destroySet(lock);
    } catch (rollbackError) {
      if (error instanceof O2cbError) error.rollbackError ??= rollbackError;
    }
  }

  protected async _confirm(ticket: ClassicTicket, onStep?: OnStep): Promise<void> {
    if (ticket.counted && ticket.persistent) {
      await withRegionLock(this.native, ticket.region, true, { onStep }, async (lock) => {
        await this.#note(ticket, { persistent: true, references: 1 }, onStep);
        try {
          lock.handOver();
        } catch (error) {
          await this.#note(ticket, { persistent: false, references: 1 }, onStep);
          throw error;
        }
      });
    }
    ticket.volumeLock?.release();
    ticket.volumeLock = null;
  }

  protected async _undo(ticket: ClassicTicket, onStep?: OnStep): Promise<void> {
    if (ticket.counted) {
      await withRegionLock(this.native, ticket.region, true, { onStep }, async (lock) => {
        const { references } = lock.drop(true);
        ticket.counted = false;
        if (references > 0) {
          emit(onStep, { step: "leave", region: ticket.region, references });
          return this.#forget(ticket, onStep);
        }
        try {
          await stopUnreferenced(this.native, ticket.directory, lock, null, onStep);
        } catch (error) {
          // A region that was there before, pinned and without references, is given back as it was found.
          if (!(ticket.origin === "adopted" && isCode(error, "O2CB_REGION_IN_USE"))) {
            lock.take(true);
            ticket.counted = true;
            throw error;
          }
        }
        await this.#forget(ticket, onStep);
      });
    }
    ticket.volumeLock?.release();
    ticket.volumeLock = null;
  }

  protected async _leave(ticket: ClassicTicket, onStep?: OnStep): Promise<void> {
    if (ticket.mode === "global") return;
    if (ticket.service === MOUNT_SERVICE) {
      const outcome = await leaveMount(
        this.native,
        { ...ticket, kernelLeaves: false, patienceMs: DISMOUNT_PATIENCE_MS },
        { onStep },
      );
      if (outcome === "still-in-use") {
        throw new O2cbError(
          "O2CB_REGION_IN_USE",
          `the volume of region '${ticket.region}' is still mounted on this node`,
          { operation: "leave", region: ticket.region, path: ticket.device ?? undefined },
        );
      }
      return;
    }
    await withRegionLock(this.native, ticket.region, true, { onStep }, async (lock) => {
      const which = { count: 1, undo: !ticket.persistent };
      await dropReferences(this.native, ticket.directory, lock, which, onStep);
      await this.#forget(ticket, onStep);
    });
  }
}

function checkStamp(request: JoinRequest, cluster: RunningCluster): void {
  const { volume } = request;
  refuseLocal(request, CLASSIC_STACK);
  if (volume.cluster !== null && volume.cluster !== cluster.name) {
    throw new O2cbError(
      "O2CB_INVALID_CLUSTER_NAME",
      `the volume on '${volume.device}' belongs to cluster '${volume.cluster}', but '${cluster.name}' is registered on this node`,
      {
        operation: "begin-join",
        path: volume.device,
        region: volume.uuid,
        cluster: cluster.name,
        remedy: `register cluster '${volume.cluster}' on this node, or give the volume this cluster's stamp with tunefs.ocfs2 --update-cluster-stack`,
      },
    );
  }
  if (volume.heartbeatMode !== cluster.mode) {
    throw new O2cbError(
      "O2CB_INVALID_HEARTBEAT_MODE",
      `the volume on '${volume.device}' is formatted for ${volume.heartbeatMode} heartbeat, but cluster '${cluster.name}' runs ${cluster.mode} heartbeat`,
      {
        operation: "begin-join",
        path: volume.device,
        region: volume.uuid,
        cluster: cluster.name,
      },
    );
  }
}

/** In global mode a join starts nothing; without a live heartbeat the DLM would fail later with a bare EINVAL (B14). */
async function checkGlobalHeartbeat(native: Native, cluster: RunningCluster, node: LocalNode): Promise<void> {
  const fields = {
    operation: "begin-join",
    cluster: cluster.name,
    path: cluster.heartbeatDirectory,
    remedy: `start it: o2cb start-heartbeat ${cluster.name}`,
  };
  if ((await native.listDirectories(cluster.heartbeatDirectory)).length === 0) {
    throw new O2cbError(
      "O2CB_SERVICE_UNAVAILABLE",
      `cluster '${cluster.name}' runs global heartbeat, but no heartbeat region is started on this node`,
      fields,
    );
  }
  if ((await isLive(native, node)) === false) {
    throw new O2cbError(
      "O2CB_SERVICE_UNAVAILABLE",
      `node ${node.number} ('${node.name}') of cluster '${cluster.name}' does not heartbeat`,
      fields,
    );
  }
}
