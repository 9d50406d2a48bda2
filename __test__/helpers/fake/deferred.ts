// A promise settled from outside, and the promise of a process that is no more.

export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** What a call of a dead process gives: nothing, ever. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}
