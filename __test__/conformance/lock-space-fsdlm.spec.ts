// The contract of a lock space over fs/dlm: two machines of one fake cluster, and nothing left at the end.
import test from "ava";
import { FsdlmTransport } from "../../ts/dlm/fsdlm-transport.ts";
import { LockSpace } from "../../ts/dlm/lock-space.ts";
import type { LockspaceLock } from "../../ts/native-types.ts";
import { FakeKernel, Fsdlm } from "../helpers/fake-native.ts";
import { cases } from "./lock-space.ts";

for (const { title, run } of cases) {
  test(`fsdlm: ${title}`, async (t) => {
    const dlm = new Fsdlm();
    const [here, there] = [new FakeKernel(), new FakeKernel()];
    for (const kernel of [here, there]) kernel.fsdlm = dlm;
    const beta = await there.process().openLockspace("PROGRAM");
    const locks = new Map<string, LockspaceLock>();
    const asked: Promise<void>[] = [];
    const take = async (name: string, level: "PR" | "EX", trylock: boolean): Promise<void> => {
      const lock = await beta.lock(name, level, trylock);
      if (lock === null) throw new Error(`${name} is refused to the other node`);
      locks.set(name, lock);
    };
    const end = async (name: string): Promise<void> => {
      await locks.get(name)?.release();
      locks.delete(name);
    };
    const spaces: LockSpace[] = [];
    await run({
      caches: false,
      async join() {
        const native = here.process();
        const space = new LockSpace(await FsdlmTransport.join(native, "PROGRAM"));
        spaces.push(space);
        return {
          space,
          kill: () => {
            native.kill();
            spaces.splice(spaces.indexOf(space), 1);
          },
        };
      },
      other: {
        hold: (name, level) => take(name, level, true),
        letGo: end,
        drop: end,
        async ask(name, level) {
          asked.push(take(name, level, false));
          await Promise.resolve();
        },
        async has(name) {
          await new Promise(setImmediate);
          return locks.has(name);
        },
      },
    });
    await Promise.all(spaces.map((space) => space.leave()));
    await Promise.all(asked);
    for (const name of [...locks.keys()]) await end(name);
    await beta.close();
    t.deepEqual(dlm.members, []);
  });
}
