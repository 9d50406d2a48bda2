// What went wrong, as the monitor tells it.
import { errorCodes } from "../error-codes.ts";

export interface Failure {
  code: string;
  message: string;
}

export function failureOf(error: unknown): Failure {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return {
    code: typeof code === "string" && code in errorCodes ? code : "O2CB_INTERNAL_FAILURE",
    message: typeof message === "string" ? message : String(error),
  };
}
