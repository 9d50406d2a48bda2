// A machine of a userspace stack in the mode without recovery callbacks, with a control daemon; the kernel's call-out at the end of a
// superblock leaves through it, as ocfs2_hb_ctl does. What it contains counts as clean.
import { CONTROLD_SOCKET } from "../../ts/controld/connection.ts";
import { leaveControldMount } from "../../ts/stack/leave-controld.ts";
import { FakeControld } from "./fake-controld.ts";
import { userStack, type FakeKernel, type Machine } from "./fake-native.ts";

export interface ControldMachine extends Machine {
  daemon: FakeControld;
}

export function controldMachine(): ControldMachine {
  const machine = userStack({ dlm: "controld" });
  const { kernel } = machine;
  const daemon = new FakeControld();
  kernel.lockspaces.isDaemonReady = true;
  kernel.abstractSockets.set(CONTROLD_SOCKET, daemon.listener);
  leavesThroughDaemon(kernel);
  return { ...machine, daemon };
}

/** The kernel's call-out asks the daemon, whichever runs there. */
export function leavesThroughDaemon(kernel: FakeKernel): void {
  kernel.hbCtlPath = "/sbin/ocfs2_hb_ctl";
  kernel.callOutHook = async (_program, args, task) => {
    try {
      await leaveControldMount(kernel.processOf(task), {
        region: args.at(-1) ?? "",
        clusterStack: "pcmk",
        device: null,
        deviceNumber: null,
        patienceMs: 0,
      });
      return 0;
    } catch {
      return 1;
    }
  };
}

/** Waits until the daemon has no mount group; for what it does after a client's end. */
export async function groupsGone(daemon: FakeControld): Promise<void> {
  for (let turn = 0; turn < 100 && daemon.view().length > 0; turn++)
    await new Promise((resolve) => setImmediate(resolve));
}
