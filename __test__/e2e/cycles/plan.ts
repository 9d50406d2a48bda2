// What happens in one cycle, drawn from a seed: how a volume is mounted, how often and where, how each mount ends, what is
// killed and when. Pure. Each cycle has numbers of its own, so a seed replays it whatever the other volumes do meanwhile.

/** `bare` is mount(2) alone, which works only on a volume that is held. */
export type Mounter = "ours" | "ours-killed" | "peer" | "peer-killed" | "bare" | "bind";
export type Unmounter = "ours" | "ours-killed" | "c-era" | "umount2" | "lazy-open" | "namespace-end";

export interface MountPlan {
  by: Mounter;
  /** in a mount namespace of the cycle's own, which is made when it is first needed */
  inNamespace: boolean;
  /** seconds until the kill, for the killed ones */
  killAfter: number;
  end: Unmounter;
  killEndAfter: number;
}

export interface CyclePlan {
  mounts: MountPlan[];
  /** in which order the mounts end: positions in `mounts` */
  order: number[];
  auditMounted: boolean;
  auditBetween: boolean;
  auditAfter: boolean;
  /** what happens to this machine's monitor, and when; one that does not run is started */
  monitor: { at: "begin" | "mounted" | "unmounting"; signal: "SIGTERM" | "SIGKILL"; again: boolean } | null;
}

/** Numbers from 0 to 1 that follow from the words given: mulberry32 over their FNV-1a hash. */
export function numbersOf(...words: (number | string)[]): () => number {
  let state = 0x811c9dc5;
  for (const character of words.join("\0")) {
    state = Math.imul(state ^ character.charCodeAt(0), 0x01000193) >>> 0;
  }
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One of several, by weight. */
function pick<T extends string>(number: number, weights: Record<T, number>): T {
  const entries = Object.entries<number>(weights) as [T, number][];
  let at = number * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [name, weight] of entries) {
    at -= weight;
    if (at < 0) return name;
  }
  throw new Error("no weight");
}

/** The seconds that a mount takes from its start to its end: most of it is the kernel's wait for a steady heartbeat. */
const MOUNT_SECONDS = 8;
const UNMOUNT_SECONDS = 6;

export function drawCycle(next: () => number): CyclePlan {
  const chance = (probability: number): boolean => next() < probability;
  const count = Number(pick(next(), { "1": 55, "2": 35, "3": 10 }));
  const mounts = Array.from({ length: count }, (_, index): MountPlan => {
    const by: Mounter =
      index === 0
        ? pick(next(), { ours: 55, peer: 18, "ours-killed": 22, "peer-killed": 5 })
        : pick(next(), { ours: 30, peer: 15, bare: 20, bind: 25, "ours-killed": 10 });
    const inNamespace = chance(0.2);
    const usual = {
      ours: 30,
      "c-era": 18,
      umount2: 18,
      "lazy-open": 16,
      "ours-killed": 18,
      "namespace-end": inNamespace ? 60 : 0,
    };
    return {
      by,
      inNamespace,
      killAfter: round(next() * MOUNT_SECONDS),
      end: pick(next(), usual),
      killEndAfter: round(next() * UNMOUNT_SECONDS),
    };
  });
  const order = mounts.map((_, index) => index);
  for (let index = order.length - 1; index > 0; index -= 1) {
    const other = Math.floor(next() * (index + 1));
    [order[index], order[other]] = [order[other] ?? 0, order[index] ?? 0];
  }
  const [auditMounted, auditBetween, auditAfter] = [chance(0.3), chance(0.3), chance(0.4)];
  const monitor = chance(0.15)
    ? {
        at: pick(next(), { begin: 1, mounted: 1, unmounting: 1 }),
        signal: pick(next(), { SIGTERM: 1, SIGKILL: 2 }),
        again: chance(0.5),
      }
    : null;
  return { mounts, order, auditMounted, auditBetween, auditAfter, monitor };
}

/**
 * The same cycle with its heartbeat started by us, for a volume that another node has mounted. The C tool's start trusts the kernel's
 * three steady rounds, and on machines as busy as these the kernel may not have seen a living node by then: its mount then
 * replayed that node's journal (seen once in 150 cycles), and the volume and the DLM are broken from then on. Ours waits (ts/region/peers.ts).
 * The C tool's further mounts stay as drawn.
 */
export function startedByUs(plan: CyclePlan): CyclePlan {
  const [first, ...rest] = plan.mounts;
  if (first === undefined || !first.by.startsWith("peer")) return plan;
  return { ...plan, mounts: [{ ...first, by: first.by === "peer" ? "ours" : "ours-killed" }, ...rest] };
}

function round(seconds: number): number {
  return Math.round(seconds * 100) / 100;
}

/** One line for a person. */
export function planText({ mounts, order, monitor }: CyclePlan): string {
  const each = mounts.map(({ by, inNamespace, killAfter, end, killEndAfter }) => {
    const begin = by.endsWith("-killed") ? `${by}@${killAfter}s` : by;
    return `${begin}${inNamespace ? " in a namespace" : ""} .. ${end === "ours-killed" ? `${end}@${killEndAfter}s` : end}`;
  });
  const change =
    monitor === null
      ? ""
      : `; monitor ${monitor.signal}${monitor.again ? " and again" : ""} at ${monitor.at}`;
  return `${each.join(" | ")}; ended in order ${order.join(",")}${change}`;
}
