// The contract of a lock space over dlmfs on the fake kernel: with places in /run, and nothing left at the end.
import test from "ava";
import { joinDlmfs } from "../../ts/dlm/dlmfs-transport.ts";
import { LockSpace } from "../../ts/dlm/lock-space.ts";
import { classicLocal, UUID } from "../helpers/fake-native.ts";
import { cases, type LockSpaceFixture } from "./lock-space.ts";

for (const { title, run } of cases) {
  test(`dlmfs: ${title}`, async (t) => {
    const { kernel } = classicLocal({ dlmfs: "/dlm" });
    await kernel.cTool.hbCtlStart(UUID);
    const lock = (name: string) => kernel.dlmLocks.lock("PROGRAM", name);
    const spaces: LockSpace[] = [];
    const fixture: LockSpaceFixture = {
      caches: true,
      async join() {
        const native = kernel.process();
        const space = new LockSpace(await joinDlmfs(native, "PROGRAM"));
        spaces.push(space);
        return { space, kill: () => native.kill() };
      },
      other: {
        hold: async (name, level) => lock(name).hold("beta", level),
        letGo: async (name) => lock(name).letGo("beta"),
        drop: async (name) => lock(name).drop("beta"),
        ask: async (name, level) => lock(name).ask("beta", level),
        has: async (name) => lock(name).others.has("beta"),
      },
    };
    await run(fixture);
    for (const space of spaces)
      if ((space.transport as { isDead?: boolean }).isDead !== true) void space.leave();
    const last = kernel.process();
    const space = new LockSpace(await joinDlmfs(last, "PROGRAM"));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await space.leave();
    t.deepEqual([...kernel.domains.keys()], []);
    t.deepEqual(kernel.rangeLocks.count(), { held: 0, waiting: 0 });
    t.deepEqual(kernel.disasters, []);
  });
}
