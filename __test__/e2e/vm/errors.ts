// The lab's one error class. Every failure of the lab itself (not of a tested program) is a `LabError` whose message is
// complete by itself: what failed, on which node, with the end of the outputs that explain it.

/** What went wrong, for a caller that wants to branch. */
export type LabErrorKind =
  | "requirements" // something is not installed
  | "kernel" // a kernel could not be fetched or unpacked
  | "boot" // a machine did not come up
  | "machine" // a machine ended (panic, fence, QEMU failure) or exceeded its limit
  | "hung" // a command exceeded its limit
  | "command" // a command given to run() ended with a status other than 0
  | "left" // something is left on a node that should be clean
  | "usage"; // the lab was used wrongly

export class LabError extends Error {
  override readonly name = "LabError";
  readonly kind: LabErrorKind;

  constructor(kind: LabErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** The last `lines` lines of `text`, each indented by two spaces; "  (nothing)" where there is none. */
export function tail(text: string, lines = 25): string {
  const all = text.replaceAll("\r", "").trimEnd().split("\n");
  const last = all.slice(-lines).map((line) => `  ${line}`);
  return text.trim() === "" ? "  (nothing)" : last.join("\n");
}
