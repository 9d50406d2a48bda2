// What the native module throws, as O2cbError with the caller's stack.
//
// Facts relied on: errors made on the JavaScript thread for another thread's work have no frames of the caller. V8 finds those that await a
// promise once that has settled (its async stack traces); to take them at each start would cost more than a short call itself, 10 us of 20.
import { getSystemErrorMap } from "node:util";
import { errorCodes, type ErrorCode } from "./error-codes.ts";
import { O2cbError } from "./errors.ts";

/** What a native error carries besides its message. */
export interface NativeError extends Error {
  code: string;
  operation?: string;
  detail?: string;
  errno?: number;
  syscall?: string;
  path?: string;
  kernelMessages?: string[];
  holder?: number;
}

/** Codes that only repeat the errno: the errno's own text says more. */
const plainCodes: readonly string[] = [
  "O2CB_IO",
  "O2CB_NO_MEMORY",
  "O2CB_SERVICE_UNAVAILABLE",
  "O2CB_INTERNAL_FAILURE",
  "O2CB_PERMISSION_DENIED",
];

/** `lock region '/x': no such file or directory (ENOENT from open)` */
function sentence(error: NativeError, code: ErrorCode): string {
  const [name, text] = (error.errno && getSystemErrorMap().get(error.errno)) || [
    `errno ${-(error.errno ?? 0)}`,
  ];
  const what = error.detail ?? ((plainCodes.includes(code) && text) || errorCodes[code].sentence);
  const where = error.path === undefined ? "" : ` '${error.path}'`;
  const from = error.syscall === undefined ? "" : ` (${name} from ${error.syscall})`;
  return `${error.operation?.replaceAll("-", " ")}${where}: ${what}${from}`;
}

/** The function of the core's interface that is at work: the stack begins with who called it. */
type Above = (...args: never[]) => unknown;

/** What the caller gets for what the native module threw. */
export function converted(error: NativeError, above: Above, signal?: AbortSignal): Error {
  if (error.operation === undefined || !Object.hasOwn(errorCodes, error.code))
    return withStack(
      new TypeError(error.message || `a wrong argument: ${error.code}`, { cause: error }),
      above,
    );
  const code = error.code as ErrorCode;
  const cause: unknown = code === "O2CB_ABORTED" ? signal?.reason : undefined;
  const { operation, errno, syscall, path, kernelMessages, holder } = error;
  const fields = { operation, errno, syscall, path, kernelMessages, holder, cause };
  return withStack(new O2cbError(code, sentence(error, code), fields), above);
}

export function withStack<E extends Error>(error: E, above: Above): E {
  Error.captureStackTrace(error, above);
  return error;
}
