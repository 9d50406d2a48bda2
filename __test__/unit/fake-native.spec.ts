// The fake machine's own rules, seen through one process: attributes, regions, semaphores, devices, mounts.
import test from "ava";
import { beginGroupJoin } from "../../ts/membership.ts";
import { openVolume } from "../../ts/volume.ts";
import { classicLocal, DISK } from "../helpers/fake-native.ts";

test("a join begun, completed and left leaves nothing", async (t) => {
  const { kernel, uuid } = classicLocal();
  const native = kernel.process();
  const volume = await openVolume(native, DISK);
  const join = await beginGroupJoin(native, { volume, service: "fsck.ocfs2" });
  // Its record is named at random.
  t.deepEqual(
    kernel.leftovers().filter((what) => !what.startsWith("record ")),
    [`region ${uuid} (beats on sdb)`, `semaphore set of ${uuid} (references 1)`],
  );
  const member = await join.complete(0);
  await member.leave();
  t.deepEqual(kernel.leftovers(), []);
});
