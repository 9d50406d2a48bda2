// Where a command gets the text of its --help from: the bundle has it written in (scripts/bundle.mjs); sources that run by
// themselves make it.

/** JSON: the texts of the program and of its sub-commands, by name. */
declare const OCFS2_GROUP_HELP: string | undefined;

export function helpText(name: string): string | Promise<string> {
  // One expression, which the bundler cuts down to its first half.
  return typeof OCFS2_GROUP_HELP === "string"
    ? ((JSON.parse(OCFS2_GROUP_HELP) as Record<string, string>)[name] ?? "")
    : import("./help.ts").then(({ helpOf }) => helpOf(name));
}
