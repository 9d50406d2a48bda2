// Which kernel interface to a lock manager a cluster stack has: the one place that chooses.
//
// Facts relied on: group-api 8.1, step 5, and B20: the choice follows from the running stack. The C library looks at a capability of a module that
// may just not be loaded, and then takes the wrong one.
import { O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { CLASSIC_STACK } from "../volume.ts";
import { joinDlmfs, type JoinDomainOptions } from "./dlmfs-transport.ts";
import type { LockTransport } from "./lock-transport.ts";

export type OpenTransport = (
  native: Native,
  domain: string,
  options: JoinDomainOptions,
) => Promise<LockTransport>;

/** By the stack's label; a stack that is not named here is a userspace stack's. */
const transports: Record<string, OpenTransport | undefined> = { [CLASSIC_STACK]: joinDlmfs };

/** Joins a domain through the lock manager of a stack. Errors: O2CB_STACK_MISMATCH, those of the transport's join. */
export async function openTransport(
  native: Native,
  stack: string,
  domain: string,
  options: JoinDomainOptions = {},
): Promise<LockTransport> {
  const open = transports[stack];
  if (open === undefined)
    throw new O2cbError(
      "O2CB_STACK_MISMATCH",
      `the lock manager of the cluster stack '${stack}' cannot be used by this version`,
      { operation: "join-domain", clusterStack: stack },
    );
  return open(native, domain, options);
}
