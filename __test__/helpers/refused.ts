// An assertion that several suites share: a call fails with this errno, as an error of this package.
import type { ExecutionContext } from "ava";
import { O2cbError, type ErrorCode } from "../../ts/errors.ts";
import { errnoNumber } from "./fake/errors.ts";

/** Fails unless the call is refused with the errno (null: none) and, where given, the code. */
export async function refused(
  t: ExecutionContext,
  call: Promise<unknown> | (() => unknown),
  errno: string | null,
  code?: ErrorCode,
): Promise<O2cbError> {
  const error =
    typeof call === "function"
      ? t.throws(call as () => unknown, { instanceOf: O2cbError })
      : await t.throwsAsync(call, { instanceOf: O2cbError });
  // By number: some errnos have two names.
  t.is(error.errno, errno === null ? undefined : -errnoNumber(errno), error.message);
  if (code !== undefined) t.is(error.code, code);
  return error;
}
