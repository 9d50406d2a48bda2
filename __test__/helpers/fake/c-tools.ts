// The C tools on the same machine, as far as they touch regions and references.
//
// Facts relied on: group-api 3.1-3.6 (gates, begin, leave, what each leaves behind), 3.8 (the leave by UUID needs a device that
// carries it), commands 1.3 (mount.ocfs2), 3 (ocfs2_hb_ctl). Their defects are kept: an existing region is adopted unseen, a
// second mount takes a second reference, a query makes a set, a reference dropped before a refused rmdir stays dropped.
import { O2cbError } from "../../../ts/errors.ts";
import type { BlockDevice } from "./device.ts";
import { abortedCall, errorFor, Refusal, refuseWithCode, type CallName } from "./errors.ts";
import type { FakeKernel } from "./kernel.ts";
import { mount, unmount } from "./mount-calls.ts";
import { MS_RDONLY } from "./ocfs2.ts";
import { COUNT, MUTEX_DOWN, MUTEX_UP } from "./region-lock.ts";
import { regionKey, type SemaphoreSet } from "./semaphores.ts";
import type { Task } from "./task.ts";
import { Region } from "./region.ts";
import type { Cluster } from "./configfs.ts";

const INCOMPAT_LOCAL_MOUNT = 0x8;
const MAX_BLOCKS = 255;

export class CTools {
  readonly #kernel: FakeKernel;

  constructor(kernel: FakeKernel) {
    this.#kernel = kernel;
  }

  /** `ocfs2_hb_ctl -S -u UUID service`: one persistent reference. */
  hbCtlStart(uuid: string): Promise<void> {
    return this.#run("ocfs2_hb_ctl", (task) => this.#begin(task, this.#scan(uuid), true));
  }

  /** `ocfs2_hb_ctl -K -u UUID`: what the kernel runs too, as a task of its own. */
  hbCtlStop(uuid: string, task?: Task): Promise<void> {
    const stop = async (own: Task): Promise<void> => {
      this.#scan(uuid);
      await this.#leave(own, uuid, true);
    };
    return this.#run("ocfs2_hb_ctl", stop, "startHeartbeat", task);
  }

  /** `ocfs2_hb_ctl -I -u UUID`: the references; the set is made where there is none. */
  async hbCtlInfo(uuid: string): Promise<number> {
    return this.#kernel.semaphores().get(regionKey(uuid), true, uuid).value(COUNT);
  }

  /** fsck.ocfs2 at work: a reference that goes with its process, and the domain. */
  async fsck(uuid: string): Promise<{ finish(): Promise<void>; kill(): void }> {
    const task = this.#kernel.task({ name: "fsck.ocfs2" });
    try {
      await this.#begin(task, this.#scan(uuid), false);
    } catch (error) {
      task.end();
      throw explain("startHeartbeat", error);
    }
    const leaveDomain = this.#kernel.joinDomain(uuid);
    task.atExit("files", leaveDomain);
    return {
      kill: () => task.end(),
      finish: async () => {
        leaveDomain();
        await this.#leave(task, uuid, false);
        task.end();
      },
    };
  }

  /** mount.ocfs2 of the C tools; `options` as after -o. */
  mount(device: string, directory: string, options = ""): Promise<void> {
    return this.#run(
      "mount.ocfs2",
      async (task) => {
        const { node } = task.namespace.walk(device, task);
        if (node.kind !== "block" || node.device.volume === null)
          return refuseWithCode("O2CB_BAD_SUPERBLOCK", "while opening the device");
        const { device: disk } = node;
        const { volume } = disk;
        const words = options
          .split(",")
          .filter((word) => word !== "" && word !== "rw" && word !== "defaults");
        const flags = words.includes("ro") ? MS_RDONLY : 0;
        const data = words.filter((word) => word !== "ro");
        const local = volume === null || (volume.featureIncompat & INCOMPAT_LOCAL_MOUNT) !== 0;
        data.push(local ? "heartbeat=none" : `heartbeat=${volume.stackFlags === 1 ? "global" : "local"}`);
        if (!local) await this.#begin(task, disk, true);
        const request = {
          source: device,
          target: directory,
          type: "ocfs2",
          flags,
          options: data,
          api: "mount",
          namespace: null,
        } as const;
        try {
          await mount(this.#kernel, task, request, new AbortController().signal, null);
        } catch (error) {
          if (!local && volume !== null) await this.#leave(task, volume.uuid, true).catch(() => undefined);
          throw error;
        }
      },
      "mount",
    );
  }

  /** umount(8) without a helper: the kernel's call-out is all there is. */
  umount(directory: string, lazy = false): Promise<void> {
    return this.#run(
      "umount",
      (task) => unmount(this.#kernel, task, { target: directory, flags: lazy ? 2 : 0, namespace: null }),
      "unmount",
    );
  }

  async #run(
    name: string,
    work: (task: Task) => Promise<void>,
    call: CallName = "startHeartbeat",
    given?: Task,
  ): Promise<void> {
    const task = given ?? this.#kernel.task({ name });
    try {
      await work(task);
    } catch (error) {
      throw explain(call, error);
    } finally {
      if (given === undefined) task.end();
    }
  }

  /** The device that carries the UUID. */
  #scan(uuid: string): BlockDevice {
    const disk = [...this.#kernel.disks].find(({ volume, broken }) => volume?.uuid === uuid && !broken);
    return disk ?? refuseWithCode("O2CB_UNKNOWN_REGION", `no device carries '${uuid}'`);
  }

  #cluster(): Cluster {
    const [cluster] = this.#kernel.clusters.values();
    return cluster ?? refuseWithCode("O2CB_INVALID_CLUSTER_NAME", "no cluster");
  }

  async #lock(task: Task, uuid: string): Promise<SemaphoreSet> {
    for (;;) {
      const set = this.#kernel.semaphores(task.ipc).get(regionKey(uuid), true, uuid);
      const killed = new Promise<void>((resolve) => task.atExit("calls", resolve));
      try {
        if ((await set.operateOrSleep(task, MUTEX_DOWN, killed)) === "done") return set;
        throw abortedCall();
      } catch (error) {
        if (!(error instanceof Refusal && error.errno === "EIDRM")) throw error;
      }
    }
  }

  async #begin(task: Task, disk: BlockDevice, persistent: boolean): Promise<void> {
    const cluster = this.#cluster();
    const { volume } = disk;
    if (volume === null) return refuseWithCode("O2CB_BAD_SUPERBLOCK", "no volume");
    const global = volume.stackFlags === 1;
    if (volume.clusterName !== null && volume.clusterName !== cluster.name)
      refuseWithCode("O2CB_INVALID_CLUSTER_NAME", "another cluster");
    if (global !== (this.#kernel.heartbeat.mode === "global"))
      refuseWithCode("O2CB_INVALID_HEARTBEAT_MODE", "another mode");
    if (global) return;
    const set = await this.#lock(task, volume.uuid);
    try {
      if (!cluster.regions.has(volume.uuid)) await this.#create(cluster, disk, volume.uuid, task);
      set.operate(task, [{ index: COUNT, add: 1, undo: !persistent }]);
    } finally {
      set.operate(task, MUTEX_UP);
    }
  }

  async #create(cluster: Cluster, disk: BlockDevice, uuid: string, task: Task): Promise<void> {
    const region = new Region(uuid, cluster, this.#kernel);
    cluster.regions.set(uuid, region);
    region.blockBytes = disk.sectorBytes;
    region.startBlock =
      ((disk.volume?.heartbeat?.startBlock ?? 0n) * BigInt(disk.volume?.blockBytes ?? 0)) /
      BigInt(disk.sectorBytes);
    region.blocks = MAX_BLOCKS;
    const controller = new AbortController();
    task.atExit("calls", () => controller.abort());
    try {
      await region.start(disk, controller.signal);
    } catch (error) {
      if (task.alive) cluster.regions.delete(uuid);
      throw error;
    }
  }

  async #leave(task: Task, uuid: string, persistent: boolean): Promise<void> {
    const cluster = this.#cluster();
    if (this.#kernel.heartbeat.mode === "global") return;
    const set = await this.#lock(task, uuid);
    let destroyed = false;
    try {
      const count = set.value(COUNT);
      if (count > 0) set.operate(task, [{ index: COUNT, add: -1, undo: !persistent }]);
      if (count > 1) return;
      const region =
        cluster.regions.get(uuid) ?? refuseWithCode("O2CB_SERVICE_UNAVAILABLE", `there is no region ${uuid}`);
      await region.stop();
      cluster.regions.delete(uuid);
      this.#kernel.semaphores(task.ipc).remove(set);
      destroyed = true;
    } catch (error) {
      if (error instanceof Refusal && error.errno === "EBUSY")
        refuseWithCode("O2CB_REGION_IN_USE", "the region is pinned");
      throw error;
    } finally {
      if (!destroyed) set.operate(task, MUTEX_UP);
    }
  }
}

function explain(call: CallName, error: unknown): unknown {
  return error instanceof Refusal ? errorFor(call, undefined, error) : error;
}

/** The program that stands at hb_ctl_path where the C tools are installed. */
export function ocfs2HbCtl(kernel: FakeKernel): (args: readonly string[], task: Task) => Promise<number> {
  return async ([action, , uuid], task) => {
    if (action !== "-K" || uuid === undefined) return 0;
    try {
      await kernel.cTool.hbCtlStop(uuid, task);
      return 0;
    } catch (error) {
      if (error instanceof O2cbError) return 1;
      throw error;
    }
  };
}
