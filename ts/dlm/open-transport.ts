// Which kernel interface to a lock manager a cluster stack has: the one place that chooses.
//
// Facts relied on: group-api 8.1, step 5, and B20: the choice follows from the running stack. The C library looks at a capability of a module that
// may just not be loaded, and then takes the wrong one.
import type { Native } from "../native-types.ts";
import { onAbort } from "../on-abort.ts";
import { tellLockspaceWaits } from "../stack/lockspace-progress.ts";
import { emit } from "../steps.ts";
import { CLASSIC_STACK } from "../volume.ts";
import { joinDlmfs, type JoinDomainOptions } from "./dlmfs-transport.ts";
import { FsdlmTransport } from "./fsdlm-transport.ts";
import type { LockTransport } from "./lock-transport.ts";

/** Joins a domain through the lock manager of a stack, by its label. Errors: those of the transport's join. */
export function openTransport(
  native: Native,
  stack: string,
  domain: string,
  options: JoinDomainOptions = {},
): Promise<LockTransport> {
  return stack === CLASSIC_STACK
    ? joinDlmfs(native, domain, options)
    : joinLockspace(native, domain, options);
}

/** The kernel waits for the cluster inside this call, where no signal reaches it: so it is told what it waits for, and that it does. */
async function joinLockspace(
  native: Native,
  domain: string,
  { signal, onStep }: JoinDomainOptions,
): Promise<LockTransport> {
  if (onStep === undefined) return FsdlmTransport.join(native, domain, { signal });
  const stopTelling = tellLockspaceWaits(native, domain, { onStep });
  const reason = "the lock manager joins the volume's lock space, where no signal reaches it";
  const stopHearing =
    signal === undefined || signal.aborted
      ? () => {}
      : onAbort(signal, () => emit(onStep, { step: "waiting-for-kernel", operation: "join", reason }));
  try {
    return await FsdlmTransport.join(native, domain, { signal });
  } finally {
    stopHearing();
    stopTelling();
  }
}
