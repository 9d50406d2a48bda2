// Scenarios as ava tests: skipped by name where machines cannot run, one lab for the tests of a file. (The demo and the benchmark
// use ours.ts without ava.)
import test, { type ExecutionContext } from "ava";
import type { Lab, LabOptions } from "./vm/lab.ts";
import { missingForMachines } from "./vm/requirements.ts";
import { bootPrepared, type Prepared } from "./ours.ts";

const missing = missingForMachines();

/** A scenario, or its skip by name where machines cannot run here. */
export function scenario(title: string, body: (t: ExecutionContext) => Promise<void>): void {
  if (missing !== null) test.skip(`${title} (${missing})`, () => {});
  else test.serial(title, body);
}

/** The tests of one file share one lab; its end is looked after whatever happens. */
export function sharedLab(options: LabOptions & { hbCtlPath?: string; install?: boolean }): {
  get: () => Prepared;
} {
  return shared((t) => bootPrepared(t, options));
}

/** The same for what boots in another way. */
export function shared<P extends { lab: Lab }>(boot: (t: ExecutionContext) => Promise<P>): { get: () => P } {
  let prepared: P | undefined;
  if (missing === null) {
    test.before("the machines boot", async (t) => {
      t.timeout(600_000);
      prepared = await boot(t);
    });
    test.afterEach.always((t) => {
      if (!t.passed) prepared?.lab.keep();
    });
    test.after.always("the machines end", async () => {
      await prepared?.lab.close();
    });
  }
  return {
    get() {
      if (prepared === undefined) throw new Error("the machines did not boot");
      return prepared;
    },
  };
}
