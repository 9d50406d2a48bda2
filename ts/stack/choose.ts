// Which stack joins a volume's group: the one its stamp names, made the running one, on the transport that this node's kernel and
// dlm_controld have for it. Asked once for each join; the ticket then stays with that stack.
//
// Facts relied on: transport.ts. A volume's stack is set up before anything else is looked at, as the C library does: where another is in use, that is
// what has to be said (userspace-stack 8).
import type { Native } from "../native-types.ts";
import { CLASSIC_STACK, type Volume } from "../volume.ts";
import { ClassicStack } from "./classic.ts";
import type { ClusterStack } from "./cluster-stack.ts";
import { ControldStack } from "./controld.ts";
import type { DetectOptions } from "./detect.ts";
import { KernelDlmStack } from "./kernel-dlm.ts";
import { setupStack } from "./setup.ts";
import { transportOf } from "./transport.ts";

/** Errors: those of setupStack. */
export async function stackOf(native: Native, volume: Volume, options: DetectOptions): Promise<ClusterStack> {
  const { stack: label } = volume;
  const { configfs } = await setupStack(native, label, { ...options, volume, operation: "begin-join" });
  if (label === CLASSIC_STACK) return new ClassicStack(native, configfs as string);
  return (await transportOf(native, label, options.signal)) === "kernel"
    ? new KernelDlmStack(native, label)
    : new ControldStack(native, label);
}
