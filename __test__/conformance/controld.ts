// What the contract means for a userspace stack with a control daemon: each service of the volume is counted by the daemon, one at a time joins, and
// what can be left of a join is a mount group, a connection and the lock that keeps two mounts apart. Over the fake daemon and real ones.
import assert from "node:assert/strict";
import type { StackFixture } from "./cluster-stack.ts";

export function controldFixture(
  parts: Pick<StackFixture, "native" | "volume" | "mount">,
  daemon: {
    /** how many services of the volume it has; null where it does not tell */
    services(): Promise<number | null>;
    /** its mount groups, after a little patience where there are some */
    groups(): Promise<readonly string[]>;
  },
): StackFixture {
  const { native, volume, mount } = parts;
  return {
    native,
    volume,
    ...(mount !== undefined && { mount }),
    concurrent: false,
    mismatches: [
      { change: { cluster: "elsewhere" }, code: "O2CB_INVALID_CLUSTER_NAME" },
      { change: { cluster: null }, code: "O2CB_INVALID_CLUSTER_NAME" },
      { change: { stack: "o2cb" }, code: "O2CB_INVALID_STACK_NAME" },
    ],
    held: () => daemon.services(),
    async assertClean() {
      assert.deepEqual(await daemon.groups(), []);
      const lock = await native.lockFile(`/run/ocfs2-group/${volume.uuid}.lock`, 0);
      lock.release();
    },
  };
}
