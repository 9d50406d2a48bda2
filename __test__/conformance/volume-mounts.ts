// mount(2) of a fixture's volume, without anything around it: what makes a superblock live while a case looks on.
import type { Native } from "../../ts/native-types.ts";
import { CLASSIC_STACK, type Volume } from "../../ts/volume.ts";

/** Mounts on a directory that `place` gives; the function given unmounts it there, and then calls `remove`. */
export async function mountVolumeAt(
  native: Native,
  volume: Volume,
  target: string,
  remove: () => void = () => undefined,
): Promise<() => Promise<void>> {
  const option = volume.stack === CLASSIC_STACK ? "heartbeat=local" : `cluster_stack=${volume.stack}`;
  await native.mount({
    source: volume.device,
    target,
    type: "ocfs2",
    flags: 0,
    options: [option],
    namespace: null,
    api: "mount",
  });
  return async () => {
    await native.unmount({ target, flags: 0, namespace: null });
    remove();
  };
}
