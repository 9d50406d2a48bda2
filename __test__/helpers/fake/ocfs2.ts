// OCFS2 superblocks: when the kernel makes one, shares one, and lets it go.
//
// Facts relied on: kernel-abi 7 (linux: fs/ocfs2/super.c, stack_o2cb.c), 1.7 (pins), 4 (hb_ctl_path); commands facts 1-5. A second
// mount shares the superblock and is not looked at; liveness in any region is enough; the call-out runs once per
// superblock, after the domain is left and before the device is free. The cluster's name is never compared.
//
// Not modelled: the DLM, other nodes, what is in a journal.
import type { DeviceNumber } from "../../../ts/native-types.ts";
import type { BlockDevice, VolumeContent } from "./device.ts";
import { refuse } from "./errors.ts";
import type { KernelFeatures } from "./features.ts";
import { checkSyntax, invalid, stackOption } from "./ocfs2-options.ts";
import type { Region } from "./region.ts";
import type { Lockspaces } from "./lockspaces.ts";
import { PlainDirectory } from "./tree.ts";
import type { FileSystem } from "./vfs.ts";

export const OCFS2_MAGIC = 0x7461_636f;
export const MS_RDONLY = 1;
/** Above this many regions the kernel pins none in global mode (kernel-abi 1.7). */
const PIN_CUT_OFF = 3;

const INCOMPAT_HEARTBEAT_DEVICE = 0x2;
const INCOMPAT_LOCAL_MOUNT = 0x8;
const INCOMPAT_USERSPACE_STACK = 0x80;
const INCOMPAT_CLUSTER_INFO = 0x4000;

export interface Ocfs2Host {
  readonly features: KernelFeatures;
  /** `o2cb` where the kernel knows no other */
  readonly stackLabel: string;
  readonly heartbeat: { readonly mode: "local" | "global" };
  readonly superblocks: Set<Superblock>;
  readonly disks: ReadonlySet<BlockDevice>;
  readonly lockspaces: Lockspaces;
  hasLocalNode(): boolean;
  localNodeNumber(): number | null;
  hasModule(name: string): boolean;
  loadModule(name: string): boolean;
  regions(): Region[];
  /** runs the helper of hb_ctl_path */
  callOut(uuid: string): Promise<void>;
  /** its last user is gone: whoever watches it hears of it */
  died(superblock: Superblock): void;
  /** settles when the shutdown may come to put_super, where the dismount begins; a test may hold it */
  shutDown(superblock: Superblock): Promise<void>;
  /** settles when a dismount may go on; a test may hold it */
  dismount(superblock: Superblock): Promise<void>;
}

const contents = new WeakMap<BlockDevice, PlainDirectory>();

function filesOf(device: BlockDevice): PlainDirectory {
  let files = contents.get(device);
  if (files === undefined) contents.set(device, (files = new PlainDirectory()));
  return files;
}

export class Superblock implements FileSystem {
  readonly type = "ocfs2";
  readonly magic = OCFS2_MAGIC;
  readonly by: string;
  readonly device: BlockDevice;
  readonly volume: VolumeContent;
  readonly root: PlainDirectory;
  readonly number: DeviceNumber;
  /** uses the cluster: a domain, a pin, a call-out at the end */
  readonly clustered: boolean;
  options: readonly string[];
  readOnly: boolean;
  /** on its way out: the device is still claimed, a new mount waits */
  dying = false;
  /** whether /sys/fs/ocfs2/<disk> is there: a little longer than it lives */
  inSysfs = true;
  /** resolves when the device is free */
  end: Promise<void> | null = null;
  /** mounts, attached or detached with open files */
  users = 0;
  /** gives its slot back; a device that cannot be written gets none */
  readonly #freeSlot: () => void;
  readonly #host: Ocfs2Host;

  constructor(
    host: Ocfs2Host,
    device: BlockDevice,
    volume: VolumeContent,
    options: readonly string[],
    readOnly: boolean,
  ) {
    this.#host = host;
    this.device = device;
    this.volume = volume;
    this.root = filesOf(device);
    this.number = device.number;
    this.options = options;
    this.readOnly = readOnly;
    this.clustered = !options.includes("heartbeat=none");
    this.by = `superblock of ${device.name}`;
    const node = this.clustered ? (host.localNodeNumber() ?? 0) : 0;
    this.#freeSlot = device.readOnly
      ? () => undefined
      : device.slotState.take(node, volume.maxSlots, readOnly);
  }

  get superOptions(): string {
    const stamped = (this.volume.featureIncompat & INCOMPAT_CLUSTER_INFO) !== 0;
    const isUser = isUserStack(this.volume);
    return [
      this.readOnly ? "ro" : "rw",
      ...(this.clustered ? ["_netdev"] : []),
      // Shown wherever neither of the other modes is set (userspace-stack 5).
      ...(isUser && this.clustered ? ["heartbeat=none"] : []),
      ...this.options.filter((option) => option !== "intr"),
      ...(stamped && !isUser && this.clustered ? ["cluster_stack=o2cb"] : []),
      "coherency=full",
    ].join(",");
  }

  hold(): void {
    this.users += 1;
  }

  async release(): Promise<void> {
    this.users -= 1;
    if (this.users > 0) return;
    this.dying = true;
    this.end = this.#dismount();
    await this.end;
  }

  async #dismount(): Promise<void> {
    // generic_shutdown_super: inotify is told before put_super begins.
    this.#host.died(this);
    await this.#host.shutDown(this);
    this.inSysfs = false;
    await this.#host.dismount(this);
    this.#freeSlot();
    if (this.clustered) {
      if (isUserStack(this.volume)) this.#host.lockspaces.leave(this.volume.uuid);
      unpinRegions(this.#host, `mount ${this.volume.uuid}`);
      this.#host.superblocks.delete(this);
      await this.#host.callOut(this.volume.uuid);
    }
    this.#host.superblocks.delete(this);
    this.device.claim = null;
  }
}

/** A superblock for the device: the one that is there, or a new one by the kernel's rules. */
export async function getSuperblock(
  host: Ocfs2Host,
  device: BlockDevice,
  flags: number,
  options: readonly string[],
): Promise<Superblock> {
  const readOnly = (flags & MS_RDONLY) !== 0;
  const current = (): Superblock | undefined =>
    device.claim instanceof Superblock ? device.claim : undefined;
  // A mount waits for one that is in the kernel, and for the end of a dismount that has begun.
  for (let other = joining.get(device); other !== undefined; other = joining.get(device)) await other;
  for (let dying = current(); dying?.dying; dying = current()) await dying.end;
  const shared = current();
  if (shared !== undefined) {
    if (shared.readOnly !== readOnly) refuse("EBUSY");
    return shared;
  }
  if (device.readOnly && !readOnly) refuse("EACCES");
  if (device.claim !== null) refuse("EBUSY");
  checkSyntax(options);
  const { volume } = device;
  if (device.broken) refuse("EIO");
  if (volume === null) return invalid("ocfs2: superblock probe failed!");
  if ((volume.featureIncompat & INCOMPAT_HEARTBEAT_DEVICE) !== 0)
    return invalid("ocfs2: Invalid number of node slots (0)");
  checkStack(host, device, volume, options, readOnly);
  if (isUserStack(volume) && !device.readOnly) await joinLockspace(host, device, volume);
  const superblock = new Superblock(host, device, volume, options, readOnly);
  if (superblock.clustered && !isUserStack(volume)) joinDomain(host, volume);
  device.claim = superblock;
  host.superblocks.add(superblock);
  return superblock;
}

const joining = new WeakMap<BlockDevice, Promise<unknown>>();

/** Another mount of the device waits for this one's end, however that comes (userspace-stack 6.1). */
async function joinLockspace(host: Ocfs2Host, device: BlockDevice, volume: VolumeContent): Promise<void> {
  if (!host.hasModule("ocfs2_stack_user") && !host.loadModule("ocfs2_stack_user"))
    refuse("ENOENT", { kernelMessages: ['ocfs2: Cluster stack driver "user" cannot be found'] });
  device.claim = { by: "mount(2) in the kernel" };
  const join = host.lockspaces.join(volume.uuid, volume.clusterName);
  joining.set(
    device,
    join.catch(() => undefined),
  );
  try {
    await join;
  } finally {
    device.claim = null;
    joining.delete(device);
  }
}

function isUserStack({ featureIncompat, stackLabel }: VolumeContent): boolean {
  const stamped = (featureIncompat & (INCOMPAT_USERSPACE_STACK | INCOMPAT_CLUSTER_INFO)) !== 0;
  return stamped && stackLabel !== "o2cb" && (featureIncompat & INCOMPAT_LOCAL_MOUNT) === 0;
}

function checkStack(
  host: Ocfs2Host,
  device: BlockDevice,
  volume: VolumeContent,
  options: readonly string[],
  readOnly: boolean,
): void {
  const none = options.includes("heartbeat=none");
  if ((volume.featureIncompat & INCOMPAT_LOCAL_MOUNT) !== 0) {
    if (!none) invalid("ocfs2: Cannot heartbeat on a locally mounted device.");
    return;
  }
  if (none) {
    if (device.readOnly && readOnly) return;
    invalid("ocfs2: Heartbeat has to be started to mount a read-write clustered device.");
  }
  if (device.readOnly) refuse("EROFS");
  const stamped = (volume.featureIncompat & (INCOMPAT_USERSPACE_STACK | INCOMPAT_CLUSTER_INFO)) !== 0;
  const label = stamped ? (volume.stackLabel ?? "") : "o2cb";
  const wanted = stackOption(options);
  if (label === "o2cb" && wanted !== null)
    invalid("ocfs2: cluster stack passed to mount, but this filesystem does not support it");
  if (label !== "o2cb" && wanted === null)
    invalid("ocfs2: Userspace stack expected, but o2cb heartbeat arguments passed to mount");
  if (host.stackLabel !== label)
    refuse("EBUSY", { kernelMessages: ["ocfs2: A different cluster stack is in use"] });
  if (label !== "o2cb") {
    if (wanted !== label)
      invalid(
        `ocfs2: cluster stack passed to mount ("${wanted}") does not match the filesystem ("${label}")`,
      );
    return;
  }
  const global = (volume.featureIncompat & INCOMPAT_CLUSTER_INFO) !== 0 && (volume.stackFlags & 1) !== 0;
  if (options.includes("heartbeat=global") !== global) invalid("ocfs2: Mismatching o2cb heartbeat modes");
}

function joinDomain(host: Ocfs2Host, volume: VolumeContent): void {
  checkCluster(host);
  pinRegions(host, volume.uuid, `mount ${volume.uuid}`);
}

/** What any domain needs: a node, a heartbeat somewhere, the stack's module. */
export function checkCluster(host: Ocfs2Host): void {
  if (!host.hasLocalNode()) invalid("o2cb: This node has not been configured.");
  const regions = host.regions();
  if (!regions.some((region) => region.live))
    invalid(`o2cb: ${host.heartbeat.mode === "global" ? "Global" : "Local"} heartbeat has not been started.`);
  if (
    host.features.stackGlue &&
    !host.hasModule("ocfs2_stack_o2cb") &&
    !host.loadModule("ocfs2_stack_o2cb")
  ) {
    refuse("ENOENT", { kernelMessages: ['ocfs2: Cluster stack driver "o2cb" cannot be found'] });
  }
}

/** A domain of this name makes its region, or all regions, stay; `pin` tells its users apart. */
export function pinRegions(host: Ocfs2Host, domain: string, pin: string): void {
  if (!host.features.pinning) return;
  const regions = host.regions();
  const global = regions.length <= PIN_CUT_OFF ? regions : [];
  const pinned =
    host.heartbeat.mode === "local" ? regions.filter((region) => region.name === domain) : global;
  for (const region of pinned) region.pins.add(pin);
}

export function unpinRegions(host: Ocfs2Host, pin: string): void {
  for (const region of host.regions()) region.pins.delete(pin);
}

/** The remount of a superblock (kernel-abi 7.1): the same heartbeat mode, and no writing on a read-only device. */
export function remountSuperblock(superblock: Superblock, flags: number, options: readonly string[]): void {
  checkSyntax(options);
  const mode = (list: readonly string[]): string | undefined =>
    list.find((option) => option.startsWith("heartbeat="));
  if (mode(options) !== mode(superblock.options)) invalid("ocfs2: Cannot change heartbeat mode on remount");
  const readOnly = (flags & MS_RDONLY) !== 0;
  if (!readOnly && superblock.device.readOnly) refuse("EROFS");
  superblock.options = options;
  superblock.readOnly = readOnly;
}
