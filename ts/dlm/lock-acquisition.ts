// How a process comes by a lock: first the place that keeps the other processes of this node away, then the lock itself, tried for a while and
// then queued for once.
//
// Facts relied on (kernel-abi 5): an open in dlmfs can sleep while another holder on this node is asked for the lock (surprise 4), so the reservation
// comes first. A trylock never makes another node give up what it only caches (surprise 2); a request that queues does, but ends with
// the grant alone.
import { pause } from "../pause.ts";
import type { LockLevel, LockTransport, Reservation, TransportLock } from "./lock-transport.ts";

const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 250;

/** Where somebody who has a lock is: here, in another process of this node, on another node. */
export type LockHolder = "here" | "process" | "node";

/** Who wants the lock meanwhile. */
export interface Demand {
  /** others have waited: no overtaking them */
  readonly isPolite: boolean;
  /** the shortest that anybody who waits wants to try before the kernel queues */
  queueAfterMs(): number;
  /** it is not to be had at once; false where nobody is left who waits */
  refused(holder: LockHolder): boolean;
  /** from now on the kernel queues */
  queues(): void;
}

export interface QueueSeats {
  readonly transport: LockTransport;
  /** whether one more request may queue in the kernel; given back by `leaveQueue` */
  enterQueue(): boolean;
  leaveQueue(): void;
}

export interface Acquired {
  lock: TransportLock;
  reservation: Reservation;
}

export const NO_RESERVATION: Reservation = { isAwaited: () => false, release() {} };

/** Null where nobody wants it any more; nothing is held then, nor after an error. */
export async function acquire(
  seats: QueueSeats,
  name: string,
  level: LockLevel,
  demand: Demand,
  signal: AbortSignal,
): Promise<Acquired | null> {
  const reservation = await reserve(seats.transport, name, level, demand, signal);
  if (reservation === null) return null;
  let lock: TransportLock | null = null;
  try {
    lock = await open(seats, name, level, demand, { signal, reservation });
  } finally {
    if (lock === null) reservation.release();
  }
  return lock && { lock, reservation };
}

async function reserve(
  transport: LockTransport,
  name: string,
  level: LockLevel,
  demand: Demand,
  signal: AbortSignal,
): Promise<Reservation | null> {
  if (transport.reserve === undefined) return NO_RESERVATION;
  if (!demand.isPolite) {
    const now = await transport.reserve(name, level, { trylock: true, signal });
    if (now !== null) return now;
  }
  return demand.refused("process") ? transport.reserve(name, level, { trylock: false, signal }) : null;
}

async function open(
  seats: QueueSeats,
  name: string,
  level: LockLevel,
  demand: Demand,
  how: { signal: AbortSignal; reservation: Reservation },
): Promise<TransportLock | null> {
  const { transport } = seats;
  const began = performance.now();
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const lock = await transport.acquire(name, level, { trylock: true, ...how });
    if (lock !== null) return lock;
    if (!demand.refused("node")) return null;
    const isTime = transport.canCancel === true || performance.now() - began >= demand.queueAfterMs();
    if (isTime && seats.enterQueue()) break;
    await pause(pauseMs, how.signal);
    if (how.signal.aborted) return null;
  }
  try {
    demand.queues();
    return await transport.acquire(name, level, { trylock: false, ...how });
  } finally {
    seats.leaveQueue();
  }
}
