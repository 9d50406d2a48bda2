// Which kernel interface to a lock manager a cluster stack has: the one place that chooses.
//
// Facts relied on: group-api 8.1, step 5, and B20: the choice follows from the running stack. The C library looks at a capability of a module that
// may just not be loaded, and then takes the wrong one.
import type { Native } from "../native-types.ts";
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
    : FsdlmTransport.join(native, domain, options);
}
