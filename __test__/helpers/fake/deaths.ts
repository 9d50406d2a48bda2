// The ways in which a superblock dies while no umount.ocfs2 runs (commands 2.4): for tests that hold for each of them.
import type { FakeKernel } from "./kernel.ts";

export interface Death {
  title: string;
  /** The volume mounted once, in the host's namespace, at this directory is unmounted; when it resolves its superblock is gone. */
  die(kernel: FakeKernel, directory: string): Promise<unknown>;
}

export const deaths: readonly Death[] = [
  { title: "umount2(2) by a program", die: (kernel, directory) => kernel.cTool.umount(directory) },
  {
    title: "a lazy umount2(2) by a program",
    die: (kernel, directory) => kernel.cTool.umount(directory, true),
  },
  {
    title: "the close of the last file after a lazy unmount",
    async die(kernel, directory) {
      const user = kernel.process({ name: "editor" });
      const file = user.openFile(directory);
      await kernel.cTool.umount(directory, true);
      await file.close();
      user.exit();
    },
  },
  {
    title: "the kill of the last user after a lazy unmount",
    async die(kernel, directory) {
      const user = kernel.process({ name: "editor" });
      user.openFile(directory);
      await kernel.cTool.umount(directory, true);
      await ended(kernel, () => user.kill());
    },
  },
  {
    title: "the end of the last mount namespace",
    async die(kernel, directory) {
      kernel.addNamespace("/run/netns/last");
      await kernel.cTool.umount(directory);
      await kernel.endNamespace("/run/netns/last");
    },
  },
  {
    title: "the kill of the last process of a mount namespace",
    async die(kernel, directory) {
      const inside = kernel.process({ name: "container", namespace: kernel.unshare() });
      await kernel.cTool.umount(directory);
      await ended(kernel, () => inside.kill());
    },
  },
];

/** A kill returns before the superblocks that it ends are gone. */
async function ended(kernel: FakeKernel, kill: () => void): Promise<void> {
  const before = [...kernel.superblocks];
  kill();
  await Promise.all(before.map(({ end }) => end));
}
