// What stops an installation of the helpers. Not an O2cbError: no cluster is involved, only files of this system.

/** Programs (and tests) branch on this; people read the message. */
export type InstallErrorCode =
  | "BAD_ARGUMENT"
  | "CHANGED_SINCE"
  | "FOREIGN_FILE"
  | "INCOMPLETE_PACKAGE"
  | "NODE_UNUSABLE"
  | "NOT_PERMITTED"
  | "OWNED_BY_PACKAGE"
  | "TOOL_FAILED";

export class InstallError extends Error {
  override readonly name = "InstallError";
  readonly code: InstallErrorCode;

  constructor(code: InstallErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
