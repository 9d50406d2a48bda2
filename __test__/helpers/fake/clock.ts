// The fake machine's time. Time limits of waits (a mutex, a file lock) run on real timers, `scale` times faster, or only when
// a test says so; what merely takes time (a heartbeat that becomes steady) passes at once and is added up.

import { deferred } from "./deferred.ts";

const DEFAULT_SCALE = 50;

export interface Pause {
  /** resolves when the time has passed; never after `cancel` */
  readonly over: Promise<void>;
  cancel(): void;
}

interface Alarm {
  at: number;
  ring: () => void;
}

export class FakeClock {
  readonly #scale: number;
  readonly #alarms = new Set<Alarm>();
  #manual = false;
  #now = 0;

  constructor(scale: number = DEFAULT_SCALE) {
    this.#scale = scale;
  }

  /** milliseconds since the machine came up */
  get now(): number {
    return this.#now;
  }

  /** From now on waits end only when `advance` says so. */
  useManual(): void {
    this.#manual = true;
  }

  /** Lets time pass: ends the waits that are over by then, in their order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    const due = [...this.#alarms].filter((alarm) => alarm.at <= end).toSorted((a, b) => a.at - b.at);
    for (const alarm of due) {
      this.#now = alarm.at;
      alarm.ring();
    }
    this.#now = end;
  }

  wait(milliseconds: number): Pause {
    const { promise, resolve } = deferred<void>();
    const alarm: Alarm = { at: this.#now + milliseconds, ring: () => undefined };
    const timer = this.#manual ? undefined : setTimeout(() => alarm.ring(), milliseconds / this.#scale);
    const cancel = (): void => {
      this.#alarms.delete(alarm);
      clearTimeout(timer);
    };
    alarm.ring = () => {
      cancel();
      this.#now = Math.max(this.#now, alarm.at);
      resolve();
    };
    this.#alarms.add(alarm);
    return { over: promise, cancel };
  }
}
