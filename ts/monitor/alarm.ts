// What the monitor sleeps on: it is rung, or the time has come that somebody asked for. One timer at most, and none at rest.

/** setTimeout takes no more than this. */
const LONGEST_MS = 0x7fff_ffff;

export class Alarm {
  #at: number | null = null;
  #isRung = false;
  #wake: (() => void) | null = null;

  /** when it goes off by itself, milliseconds since 1970; null: never */
  get at(): number | null {
    return this.#at;
  }

  get isWaiting(): boolean {
    return this.#wake !== null;
  }

  /** Nobody wants to be woken any more, at any time. */
  clear(): void {
    this.#at = null;
  }

  /** The earliest wish counts. */
  ask(at: number): void {
    this.#at = this.#at === null ? at : Math.min(this.#at, at);
  }

  /** Something has happened: `wait` returns at once, also one that comes later. */
  ring(): void {
    this.#isRung = true;
    this.#wake?.();
  }

  /** Sleeps; true where the time had come. */
  async wait(): Promise<boolean> {
    if (!this.#isRung) {
      await new Promise<void>((resolve) => {
        const left = this.#at === null ? null : Math.min(LONGEST_MS, Math.max(0, this.#at - Date.now()));
        const timer = left === null ? undefined : setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = null;
    }
    this.#isRung = false;
    return this.#at !== null && Date.now() >= this.#at;
  }
}
