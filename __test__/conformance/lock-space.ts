// The contract of a lock space as a list of cases, over whatever transport. A fixture gives processes of one node, and plays the other nodes.
// No test runner is needed: a case throws.
import assert from "node:assert/strict";
import { O2cbError } from "../../ts/errors.ts";
import type { HeldLock } from "../../ts/dlm/held-lock.ts";
import type { LockSpace } from "../../ts/dlm/lock-space.ts";
import type { LockLevel } from "../../ts/dlm/lock-transport.ts";
import type { Step } from "../../ts/steps.ts";

/** What another node does. */
export interface OtherNode {
  hold(name: string, level: LockLevel): Promise<void>;
  /** closes it; what that leaves cached there is the transport's own */
  letGo(name: string): Promise<void>;
  /** closes it and gives it up */
  drop(name: string): Promise<void>;
  /** queues for it; whether it has it is `has` */
  ask(name: string, level: LockLevel): Promise<void>;
  has(name: string): Promise<boolean>;
}

export interface LockSpaceFixture {
  /** a process of this node in the domain; `kill` is SIGKILL */
  join(): Promise<{ space: LockSpace; kill: () => void }>;
  other: OtherNode;
  /** whether locks that are only closed stay with their node */
  caches: boolean;
}

export interface LockSpaceCase {
  title: string;
  run(fixture: LockSpaceFixture): Promise<void>;
}

export async function fails(code: string, promise: Promise<unknown>): Promise<O2cbError> {
  const error = await promise.then(
    () => assert.fail(`it must fail with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof O2cbError, String(error));
  assert.equal(error.code, code, error.message);
  return error;
}

/** A promise, and whether it has settled; unlike a race it waits no longer than a turn. */
function watched<T>(promise: Promise<T>): { promise: Promise<T>; isSettled: () => Promise<boolean> } {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  return {
    promise,
    isSettled: async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return settled;
    },
  };
}

export const cases: LockSpaceCase[] = [
  {
    title: "a lock is taken, says what it is, and is given up once",
    async run({ join, other }) {
      const { space } = await join();
      const held = await space.lock("one");
      assert.deepEqual([held.name, held.level], ["one", "EX"]);
      await held.unlock();
      await held.unlock();
      await other.hold("one", "EX");
      await fails("O2CB_LOCK_BUSY", space.lock("one", { trylock: true }));
      assert.equal(await space.tryLock("one"), null);
      await other.drop("one");
      await using again = await space.lock("one", { level: "PR" });
      assert.equal(again.level, "PR");
    },
  },
  {
    title: "EX excludes and PR is shared, within a process and between processes of a node",
    async run({ join }) {
      const [first, second] = [await join(), await join()];
      for (const space of [first.space, second.space]) {
        const held = await first.space.lock("x");
        assert.equal(await space.tryLock("x"), null);
        assert.equal(await space.tryLock("x", { level: "PR" }), null);
        const waiting = watched(space.lock("x"));
        assert.equal(await waiting.isSettled(), false);
        await held.unlock();
        await (await waiting.promise).unlock();
        const readers = await Promise.all([
          first.space.lock("x", { level: "PR" }),
          space.lock("x", { level: "PR" }),
          space.lock("x", { level: "PR", trylock: true }),
        ]);
        assert.equal(await space.tryLock("x"), null);
        await Promise.all(readers.map((reader) => reader.unlock()));
        await (await space.lock("x", { trylock: true })).unlock();
      }
    },
  },
  {
    title: "within a process it is first come, first served; a reader does not overtake a writer",
    async run({ join }) {
      const { space } = await join();
      const order: string[] = [];
      const first = await space.lock("x", { level: "PR" });
      const take = async (who: string, level: LockLevel): Promise<void> => {
        const held = await space.lock("x", { level });
        order.push(who);
        await held.unlock({ keep: true });
      };
      const all = [take("writer", "EX"), take("reader", "PR"), take("second", "EX")];
      assert.equal(await space.tryLock("x", { level: "PR" }), null, "not past those that wait");
      await first.unlock();
      await Promise.all(all);
      assert.deepEqual(order, ["writer", "reader", "second"]);
    },
  },
  {
    title: "two trylocks at one moment are not each other's obstacle, as far as they agree",
    async run({ join }) {
      const { space } = await join();
      const readers = await Promise.all([1, 2, 3].map(() => space.tryLock("r", { level: "PR" })));
      assert.ok(readers.every((one) => one !== null));
      await Promise.all(readers.map((one) => one?.unlock()));
      const writers = await Promise.all([1, 2, 3].map(() => space.tryLock("w")));
      assert.equal(writers.filter((one) => one !== null).length, 1);
      await Promise.all(writers.map((one) => one?.unlock()));
      assert.notEqual(await space.tryLock("w"), null, "an unlock that is under way is no holder");
    },
  },
  {
    title: "waiting for another node ends when that gives the lock up, and is told",
    async run({ join, other }) {
      const { space } = await join();
      await other.hold("x", "EX");
      const steps: Step[] = [];
      const waiting = watched(space.lock("x", { onStep: (step) => steps.push(step) }));
      assert.equal(await waiting.isSettled(), false);
      await other.drop("x");
      await (await waiting.promise).unlock();
      assert.ok(steps.some((step) => step.step === "wait-lock" && step.holder === "node"));
    },
  },
  {
    title: "what another node only keeps cached is had by waiting",
    async run({ join, other, caches }) {
      const { space } = await join();
      await other.hold("x", "EX");
      await other.letGo("x");
      if (caches) assert.equal(await space.tryLock("x"), null);
      await (await space.lock("x", { queueAfterMs: 10 })).unlock();
    },
  },
  {
    title: "giving up while it is tried rolls back; a timeout says so too",
    async run({ join, other }) {
      const { space } = await join();
      await other.hold("x", "EX");
      const controller = new AbortController();
      const waiting = space.lock("x", { signal: controller.signal, queueAfterMs: Infinity });
      setTimeout(() => controller.abort(), 10);
      assert.equal((await fails("O2CB_ABORTED", waiting)).outcome, "rolled-back");
      const late = await fails("O2CB_TIMEOUT", space.lock("x", { timeoutMs: 15, queueAfterMs: Infinity }));
      assert.equal(late.outcome, "rolled-back");
      await fails("O2CB_ABORTED", space.lock("x", { signal: AbortSignal.abort() }));
      await other.drop("x");
      await (await space.lock("x", { trylock: true })).unlock();
    },
  },
  {
    title: "giving up what the kernel queues for tells so, and it is given up when it is granted",
    async run({ join, other, caches }) {
      if (!caches) return;
      const { space } = await join();
      await other.hold("x", "EX");
      const controller = new AbortController();
      let queued = (): void => {};
      const isQueued = new Promise<void>((resolve) => (queued = resolve));
      const waiting = space.lock("x", {
        signal: controller.signal,
        queueAfterMs: 0,
        onStep: (step) => step.step === "wait-lock" && step.isQueued && queued(),
      });
      await isQueued;
      // It is told as the call begins; until the kernel has it, it can be taken back.
      await new Promise((resolve) => setTimeout(resolve, 200));
      controller.abort();
      const error = await fails("O2CB_ABORTED", waiting);
      assert.equal(error.outcome, "in-kernel");
      assert.equal(await space.tryLock("x"), null);
      await other.drop("x");
      await error.settled;
      await other.hold("x", "EX");
      await other.drop("x");
      await (await space.lock("x", { trylock: true })).unlock();
    },
  },
  {
    title: "the next one takes over what was queued for",
    async run({ join, other, caches }) {
      if (!caches) return;
      const { space } = await join();
      await other.hold("x", "EX");
      const late = await fails("O2CB_TIMEOUT", space.lock("x", { timeoutMs: 40, queueAfterMs: 0 }));
      assert.equal(late.outcome, "in-kernel");
      const next = watched(space.lock("x"));
      assert.equal(await next.isSettled(), false);
      await other.drop("x");
      await (await next.promise).unlock();
    },
  },
  {
    title: "a value written under EX is read by whoever has the lock next",
    async run({ join }) {
      const [first, second] = [await join(), await join()];
      const writer = await first.space.lock("v");
      const { length } = await writer.readValue();
      await writer.writeValue(Uint8Array.of(1, 2, 3));
      await writer.unlock({ keep: true });
      const reader = await second.space.lock("v", { level: "PR" });
      assert.deepEqual(
        [...(await reader.readValue())],
        [1, 2, 3, ...Array.from({ length: length - 3 }, () => 0)],
      );
      await assert.rejects(reader.writeValue(Uint8Array.of(1)), TypeError);
      await reader.unlock();
      const again = await first.space.lock("v");
      await assert.rejects(again.writeValue(new Uint8Array(length + 1)), RangeError);
      await again.unlock();
      await fails("O2CB_NOT_JOINED", again.readValue());
      await fails("O2CB_NOT_JOINED", again.writeValue(Uint8Array.of(1)));
    },
  },
  {
    title: "who holds a lock hears of another node that waits, once, and the end of the lock ends it",
    async run({ join, other }) {
      const { space } = await join();
      if (!space.transport.canNotify) {
        const held = await space.lock("n");
        await fails("O2CB_DLM_UNAVAILABLE", held.notifications().next());
        return;
      }
      const held = await space.lock("n");
      const heard: string[] = [];
      const listening = (async () => {
        for await (const { name } of held.notifications()) {
          heard.push(name);
          void held.unlock();
        }
      })();
      await other.ask("n", "EX");
      await listening;
      assert.deepEqual(heard, ["n"]);
      await space.lock("other");
      assert.equal(await other.has("n"), true);
    },
  },
  {
    title: "a notification can be given up, and an unlock does not wait for one",
    async run({ join }) {
      const { space } = await join();
      if (!space.transport.canNotify) return;
      const held = await space.lock("n");
      const controller = new AbortController();
      const waiting = held.notifications({ signal: controller.signal }).next();
      controller.abort();
      await fails("O2CB_ABORTED", waiting);
      const second = held.notifications().next();
      await held.unlock();
      assert.deepEqual(await second, { value: undefined, done: true });
      await (await space.lock("n", { trylock: true })).unlock();
    },
  },
  {
    title: "a process that is killed leaves its locks to the others of its node",
    async run({ join }) {
      const [first, second] = [await join(), await join()];
      await first.space.lock("x");
      const waiting = watched(second.space.lock("x"));
      assert.equal(await waiting.isSettled(), false);
      first.kill();
      await (await waiting.promise).unlock();
    },
  },
  {
    title: "names are looked at before anything else",
    async run({ join }) {
      const { space } = await join();
      for (const name of ["", ".x", "$x", "a/b", "a\0b", "x".repeat(32), "ä".repeat(16)])
        await fails("O2CB_INVALID_LOCK_NAME", space.lock(name));
      await (await space.lock("x".repeat(31))).unlock();
      await assert.rejects(space.lock("x", { level: "CW" as LockLevel }), TypeError);
      await assert.rejects(space.lock("x", { timeoutMs: -1 }), RangeError);
    },
  },
  {
    title: "leaving ends every lock, tells who waits, and is done once",
    async run({ join, other }) {
      const { space } = await join();
      const held: HeldLock[] = [await space.lock("a"), await space.lock("b", { level: "PR" })];
      const kept = await space.lock("c");
      await kept.unlock({ keep: true });
      await other.hold("d", "EX");
      const waiting = fails("O2CB_ABORTED", space.lock("d", { queueAfterMs: Infinity }));
      const here = fails("O2CB_ABORTED", space.lock("a"));
      await space.leave();
      await Promise.all([waiting, here]);
      await Promise.all(held.map((one) => one.unlock()));
      await space.leave();
      await fails("O2CB_NOT_JOINED", space.lock("a"));
      const next = await join();
      for (const name of ["a", "b", "c"]) await (await next.space.lock(name, { trylock: true })).unlock();
    },
  },
  {
    title: "what is kept is given up when another node queues for it",
    async run({ join, other }) {
      const { space } = await join();
      await (await space.lock("k")).unlock({ keep: true });
      await other.ask("k", "EX");
      for (let turn = 0; turn < 200 && !(await other.has("k")); turn += 1)
        await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(await other.has("k"), true);
    },
  },
  {
    title: "holders of one process that keep a lock do not keep it from another process",
    async run({ join }) {
      const [first, second] = [await join(), await join()];
      const work = { isOver: false };
      const busy = [1, 2, 3].map(async () => {
        while (!work.isOver) {
          const held = await first.space.lock("fair");
          await new Promise((resolve) => setTimeout(resolve, 1));
          await held.unlock({ keep: true });
        }
      });
      const other = await second.space.lock("fair", { timeoutMs: 5000 });
      await other.unlock();
      work.isOver = true;
      await Promise.all(busy);
    },
  },
];
