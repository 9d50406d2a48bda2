// What the contract means for a userspace stack whose joins are the kernel's own: nothing is counted, and what can be left of a join is the
// lockspace of a mount and the lock that keeps two mounts apart. Over the fake kernel and on real ones.
import assert from "node:assert/strict";
import { isErrno } from "../../ts/errors.ts";
import type { StackFixture } from "./cluster-stack.ts";

const LOCKSPACES = "/sys/kernel/dlm";

export function lockspaceFixture({
  native,
  volume,
  mount,
}: Pick<StackFixture, "native" | "volume" | "mount">): StackFixture {
  return {
    native,
    volume,
    ...(mount !== undefined && { mount }),
    // Two mounts are kept apart, two programs are not.
    concurrent: true,
    mismatches: [
      { change: { cluster: "elsewhere" }, code: "O2CB_INVALID_CLUSTER_NAME" },
      { change: { cluster: null }, code: "O2CB_INVALID_CLUSTER_NAME" },
      { change: { stack: "o2cb" }, code: "O2CB_INVALID_STACK_NAME" },
    ],
    held: () => Promise.resolve(null),
    async assertClean() {
      const lockspaces = await native.listDirectories(LOCKSPACES).catch((error: unknown): string[] => {
        if (isErrno(error, "ENOENT")) return [];
        throw error;
      });
      assert.ok(!lockspaces.includes(volume.uuid), "the kernel has no lockspace of the volume");
      const lock = await native.lockFile(`/run/ocfs2-group/${volume.uuid}.lock`, 0);
      lock.release();
    },
  };
}
