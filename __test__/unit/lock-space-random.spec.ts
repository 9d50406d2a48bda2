// Lock spaces of several processes and another node, at random: no two holders that exclude each other, every request is answered, and nothing
// is held at the end. The seed of a failure is in its title: OCFS2_GROUP_SEED makes the same choices, though not at the same
// moments.
import test from "ava";
import { joinDlmfs } from "../../ts/dlm/dlmfs-transport.ts";
import type { HeldLock } from "../../ts/dlm/held-lock.ts";
import { LockSpace } from "../../ts/dlm/lock-space.ts";
import { isCode } from "../../ts/errors.ts";
import { Random } from "../helpers/o2cb/random.ts";
import { classicLocal, UUID } from "../helpers/fake-native.ts";

const NAMES = ["a", "b"];
const PROCESSES = 3;
const ACTIONS = 120;
const EXPECTED = ["O2CB_ABORTED", "O2CB_TIMEOUT", "O2CB_LOCK_BUSY"] as const;
const seeds = process.env["OCFS2_GROUP_SEED"]
  ? [Number(process.env["OCFS2_GROUP_SEED"])]
  : Array.from({ length: 6 }, (_, index) => Math.floor(Date.now() % 1_000_000) + index);

for (const seed of seeds) {
  test(`holders exclude each other and everybody is answered (seed ${seed})`, async (t) => {
    t.timeout(60_000);
    const choices = new Random(seed);
    const next = (): number => choices.below(1_000_000) / 1_000_000;
    const pick = <T>(all: readonly T[]): T => all[Math.floor(next() * all.length)] as T;
    const { kernel } = classicLocal({ dlmfs: "/dlm" });
    await kernel.cTool.hbCtlStart(UUID);
    const spaces = await Promise.all(
      Array.from({ length: PROCESSES }, async () => new LockSpace(await joinDlmfs(kernel.process(), "D"))),
    );
    const holders = new Map<string, Set<HeldLock>>(NAMES.map((name) => [name, new Set()]));
    const others = (name: string) => kernel.dlmLocks.lock("D", name);

    const check = (name: string): void => {
      const all = [...(holders.get(name) ?? [])];
      const elsewhere = [...others(name).others.values()].filter(({ held }) => held);
      const exclusive = [...all, ...elsewhere].filter(({ level }) => level === "EX").length;
      t.true(
        exclusive === 0 || all.length + elsewhere.length === 1,
        `${name}: ${all.length}, ${elsewhere.length}`,
      );
    };
    const use = async (): Promise<void> => {
      const name = pick(NAMES);
      const level = pick(["EX", "PR"] as const);
      const keep = next() < 0.5;
      const holdMs = Math.floor(next() * 8);
      const controller = new AbortController();
      const timer = next() < 0.2 ? setTimeout(() => controller.abort(), next() * 20) : undefined;
      try {
        const held = await pick(spaces).lock(name, {
          level,
          trylock: next() < 0.3,
          signal: controller.signal,
          queueAfterMs: next() < 0.3 ? 0 : 15,
          ...(next() < 0.2 && { timeoutMs: next() * 30 }),
        });
        holders.get(name)?.add(held);
        check(name);
        await new Promise((resolve) => setTimeout(resolve, holdMs));
        check(name);
        holders.get(name)?.delete(held);
        await held.unlock({ keep });
      } catch (error) {
        if (!isCode(error, ...EXPECTED)) throw error;
      } finally {
        clearTimeout(timer);
      }
    };
    const elsewhere = async (): Promise<void> => {
      const lock = others(pick(NAMES));
      if (lock.asked !== null) return;
      lock.ask("beta", pick(["EX", "PR"] as const));
      while (lock.asked !== null) await lock.changed;
      await new Promise((resolve) => setTimeout(resolve, next() * 10));
      if (next() < 0.5) lock.letGo("beta");
      else lock.drop("beta");
    };

    const work: Promise<void>[] = [];
    for (let count = 0; count < ACTIONS; count += 1) {
      work.push(next() < 0.15 ? elsewhere() : use());
      if (next() < 0.5) await new Promise((resolve) => setTimeout(resolve, next() * 6));
    }
    await Promise.all(work);
    await Promise.all(spaces.map((space) => space.leave()));
    t.deepEqual([...kernel.domains.keys()], []);
    t.deepEqual(kernel.rangeLocks.count(), { held: 0, waiting: 0 });
  });
}
