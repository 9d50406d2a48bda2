// The one error class. Programs branch on `code`; people read `message`: what failed, on what, why, and what to do.
// Facts relied on: codes come from crates/error (generated into error-codes.ts); errno is negative, as in Node's own
// system errors. There are no subclasses, since a class check breaks when two copies of the package are installed.
import { constants } from "node:os";
import { errorCodes, type ErrorCode } from "./error-codes.ts";

export type { ErrorCode } from "./error-codes.ts";

/** What became of an operation that the caller gave up: it had succeeded, it was undone, or the kernel still holds it. */
export type AbortOutcome = "done" | "rolled-back" | "in-kernel";

export interface O2cbErrorFields {
  /** what this package was doing, as a kebab-case verb: `begin-join`, `mount` */
  operation: string;
  /** negative, as in Node's system errors */
  errno?: number | undefined;
  syscall?: string | undefined;
  path?: string | undefined;
  /** of the file at `path`, from 1 */
  line?: number | undefined;
  /** in characters, from 1 */
  column?: number | undefined;
  region?: string | undefined;
  cluster?: string | undefined;
  /** the cluster stack label concerned; `stack` is taken by the trace */
  clusterStack?: string | undefined;
  /** what to do, as an imperative phrase; the code's own remedy where absent */
  remedy?: string | undefined;
  /** what the kernel said meanwhile, oldest first */
  kernelMessages?: readonly string[] | undefined;
  /** the process that stands in the way, where known */
  holder?: number | undefined;
  /** set on O2CB_ABORTED */
  outcome?: AbortOutcome | undefined;
  /** on outcome `in-kernel`: settles when the kernel has answered and what was left is undone */
  settled?: Promise<unknown> | undefined;
  cause?: unknown;
}

/** Every failure of this package, except wrong arguments (TypeError, RangeError). */
export class O2cbError extends Error {
  override readonly name = "O2cbError";
  readonly code: ErrorCode;
  readonly operation: string;
  readonly errno: number | undefined;
  readonly syscall: string | undefined;
  readonly path: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly region: string | undefined;
  readonly cluster: string | undefined;
  readonly clusterStack: string | undefined;
  readonly remedy: string | undefined;
  readonly kernelMessages: readonly string[];
  readonly holder: number | undefined;
  readonly outcome: AbortOutcome | undefined;
  readonly settled: Promise<unknown> | undefined;
  /** what went wrong while undoing; this error stays the primary one */
  rollbackError: unknown;

  constructor(code: ErrorCode, message: string, fields: O2cbErrorFields) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = code;
    this.operation = fields.operation;
    this.errno = fields.errno;
    this.syscall = fields.syscall;
    this.path = fields.path;
    this.line = fields.line;
    this.column = fields.column;
    this.region = fields.region;
    this.cluster = fields.cluster;
    this.clusterStack = fields.clusterStack;
    this.remedy = fields.remedy ?? (errorCodes[code].remedy || undefined);
    this.kernelMessages = fields.kernelMessages ?? [];
    this.holder = fields.holder;
    this.outcome = fields.outcome;
    this.settled = fields.settled;
  }
}

// Where two names share a number (EAGAIN and EWOULDBLOCK) the first of the table stands; some are missing from Node's table.
const names = new Map<number, string>([
  [15, "ENOTBLK"],
  [49, "EUNATCH"],
  [53, "EBADR"],
]);
for (const [name, number] of Object.entries(constants.errno)) if (!names.has(number)) names.set(number, name);

/** `EBUSY` for an error that carries errno -16 (or 16); undefined where the error carries none. */
export function errnoName(error: unknown): string | undefined {
  const errno = (error as { errno?: unknown } | null)?.errno;
  return typeof errno === "number" ? names.get(Math.abs(errno)) : undefined;
}

/** Whether the error came from the kernel with one of these errnos, by name. */
export function isErrno(error: unknown, ...wanted: string[]): boolean {
  const name = errnoName(error);
  return name !== undefined && wanted.includes(name);
}

export function isCode(error: unknown, ...wanted: ErrorCode[]): boolean {
  return error instanceof Error && wanted.includes((error as { code?: ErrorCode }).code as ErrorCode);
}
