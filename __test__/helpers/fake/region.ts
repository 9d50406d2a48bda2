// One heartbeat region: its attributes, the start that takes its time, the pin, the stop.
//
// Facts relied on: kernel-abi 1.6-1.8 (linux: fs/ocfs2/cluster/heartbeat.c). `dev` and `pid` read non-empty while a start is
// still under way; any failed start leaves a directory without a heartbeat; rmdir waits for a start that runs, and gives EBUSY
// while pinned; the last block a region writes has generation 0.
import type { BlockDevice } from "./device.ts";
import { DirectoryEvents } from "./directory-events.ts";
import { Refusal, refuse } from "./errors.ts";
import type { KernelFeatures } from "./features.ts";
import { kernelNumber } from "./kernel-number.ts";
import type { Task } from "./task.ts";
import { computedDirectory, type DirectoryNode, type Entries, type FileNode } from "./tree.ts";

const ITERATION_MS = 2000;
const MIN_BLOCK_BYTES = 512n;
const MAX_BLOCK_BYTES = 4096n;
const MAX_BLOCKS = 255n;

/** What a region knows of its cluster. */
export interface RegionCluster {
  readonly localNode: { readonly number: number | null } | null;
  readonly regions: { readonly size: number };
}

export interface RegionHost {
  readonly features: KernelFeatures;
  readonly heartbeat: { mode: "local" | "global" };
  readonly clock: { readonly now: number; advance(milliseconds: number): void };
  startThread(name: string): Task;
  /** settles when the kernel has seen enough beats, or refuses; a test may hold it */
  steady(region: Region, milliseconds: number, interrupt: AbortSignal): Promise<void>;
  isLive(): boolean;
  /** something that must never happen did */
  disaster(what: string): void;
  /** whether a superblock of this UUID is alive */
  isMounted(uuid: string): boolean;
}

export class Region {
  readonly name: string;
  blockBytes = 0;
  startBlock = 0n;
  blocks = 0;
  device: BlockDevice | null = null;
  /** what beats */
  thread: Task | null = null;
  /** the start is over and the node beats */
  live = false;
  /** domains that depend on it */
  readonly pins = new Set<string>();
  lastBeat: number | null = null;
  /** of its directory */
  readonly events = new DirectoryEvents();
  readonly #cluster: RegionCluster;
  readonly #host: RegionHost;
  #starting: Promise<void> | null = null;

  constructor(name: string, cluster: RegionCluster, host: RegionHost) {
    this.name = name;
    this.#cluster = cluster;
    this.#host = host;
  }

  get pid(): number {
    return this.thread?.pid ?? 0;
  }

  /** The thread that beats comes, named after the region. */
  startThread(): void {
    this.thread = this.#host.startThread(`o2hb-${this.name}`);
  }

  directory(): DirectoryNode {
    const number = (read: () => bigint | number, write: (value: bigint) => void): FileNode => ({
      kind: "file",
      read: () => `${read()}\n`,
      write: (text) => {
        const value = kernelNumber(text);
        if (this.device !== null) refuse("EINVAL");
        write(value);
      },
    });
    const entries = (): Entries => ({
      block_bytes: number(
        () => this.blockBytes,
        (value) => {
          if (value < MIN_BLOCK_BYTES || value > MAX_BLOCK_BYTES) refuse("ERANGE");
          if ((value & (value - 1n)) !== 0n) refuse("EINVAL");
          this.blockBytes = Number(value);
        },
      ),
      start_block: number(
        () => this.startBlock,
        (value) => {
          if (value >= 1n << 64n) refuse("EINVAL");
          this.startBlock = value;
        },
      ),
      blocks: number(
        () => this.blocks,
        (value) => {
          if (value === 0n || value > MAX_BLOCKS) refuse("ERANGE");
          this.blocks = Number(value);
        },
      ),
      // A number written from elsewhere is no open descriptor of the writer: only `start` succeeds.
      dev: {
        kind: "file",
        read: () => (this.device === null ? "" : `${this.device.name}\n`),
        write: () => refuse("EINVAL"),
      },
      pid: this.#host.features.pid && { kind: "file", read: () => (this.pid === 0 ? "" : `${this.pid}\n`) },
    });
    return computedDirectory(entries, { events: this.events });
  }

  /** The write of `dev`, with a descriptor of this device. */
  async start(device: BlockDevice, interrupt: AbortSignal): Promise<void> {
    const node = this.#cluster.localNode;
    if (this.device !== null || device.isImage) refuse("EINVAL");
    if (this.blockBytes === 0 || this.startBlock === 0n || this.blocks === 0 || node?.number == null)
      refuse("EINVAL");
    if (this.blockBytes !== device.sectorBytes) {
      refuse("EINVAL", {
        kernelMessages: [
          `o2hb: blocksize ${this.blockBytes} incorrect for device, expected ${device.sectorBytes}`,
        ],
      });
    }
    const end = (this.startBlock + BigInt(this.blocks)) * BigInt(this.blockBytes);
    if (device.broken || end > device.bytes) refuse("EIO");
    const milliseconds = this.#duration(device, node.number);
    this.device = device;
    this.startThread();
    this.#starting = this.#host.steady(this, milliseconds, interrupt);
    try {
      await this.#starting;
    } catch (error) {
      this.device = null;
      this.#endThread();
      // The kernel says EIO for an interrupted start; only the writer knows that it asked for it.
      if (interrupt.aborted) refuse("EIO", { code: "O2CB_ABORTED" });
      const messages = [`o2hb: Unable to stabilize heartbeat on region ${this.name} (${device.name})`];
      throw error instanceof Refusal
        ? new Refusal(error.errno, { kernelMessages: messages, ...error.fields })
        : error;
    } finally {
      this.#starting = null;
    }
    this.live = true;
    this.#beat(node.number, BigInt(this.pid) * 0x1_0000_0001n);
  }

  /** What rmdir does before the directory goes. */
  async stop(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    if (this.#host.features.pinning && this.pins.size > 0) refuse("EBUSY");
    if (this.#host.isMounted(this.name))
      this.#host.disaster(`the heartbeat of region ${this.name} was stopped under a live superblock`);
    const number = this.#cluster.localNode?.number;
    if (this.live && number != null) this.#beat(number, 0n);
    this.device = null;
    this.live = false;
    this.#endThread();
  }

  #endThread(): void {
    this.thread?.end();
    this.thread = null;
  }

  /** Iterations that the kernel wants (kernel-abi 1.8), in milliseconds. */
  #duration(device: BlockDevice, node: number): number {
    const steady = this.#host.heartbeat.mode === "global" && this.#cluster.regions.size === 1 ? 5 : 3;
    const [own] = device.readSlots({
      startBlock: this.startBlock + BigInt(node),
      blockBytes: this.blockBytes,
      blocks: 1,
    });
    return (steady + (own?.sequence === 0n ? 1 : 0) + (this.#host.isLive() ? 0 : 1) - 1) * ITERATION_MS;
  }

  #beat(node: number, generation: bigint): void {
    this.lastBeat = this.#host.clock.now;
    const sequence = 1_700_000_000n + BigInt(Math.floor(this.lastBeat / 1000));
    this.device?.writeSlot(
      { startBlock: this.startBlock, blockBytes: this.blockBytes },
      { slot: node, valid: true, sequence, node, generation, deadMs: 62_000 },
    );
  }
}
